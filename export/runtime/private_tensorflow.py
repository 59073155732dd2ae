"""All that reading SavedModels takes of TensorFlow's private parts. tests/test_private.py says what breaks."""


def graphs_of(path, tf):
    """The graphs of a SavedModel, by what TensorFlow's own loader reads."""
    return tf.__internal__.saved_model.parse_saved_model(str(path)).meta_graphs
