"""SavedModel: for TensorFlow Serving, with text in and text out."""

from keras_rnnlm.export.saved_model.writing import count_operators, to_saved_model, write

__all__ = ["count_operators", "to_saved_model", "write"]
