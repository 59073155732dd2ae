"""Runs what was exported: `load(path)`, for ONNX, LiteRT and SavedModel alike.

For ONNX and LiteRT it needs numpy, tokenizers and that one runtime: it imports neither Keras nor TensorFlow.
"""

from keras_rnnlm.export.runtime.language_model import ExportedLanguageModel
from keras_rnnlm.export.runtime.loading import load
from keras_rnnlm.export.runtime.models import ExportedModel

__all__ = ["ExportedLanguageModel", "ExportedModel", "load"]
