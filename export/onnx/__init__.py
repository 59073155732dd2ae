"""ONNX: a native recurrent operator for each layer and direction."""

from keras_rnnlm.export.onnx.writing import convert, count_operators, to_onnx

__all__ = ["convert", "count_operators", "to_onnx"]
