"""Exports are made with Keras's TensorFlow backend alone."""

import keras

collect_ignore_glob = [] if keras.backend.backend() == "tensorflow" else ["test_*.py"]
