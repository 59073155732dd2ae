"""A page that an exported model answers in, in the reader's own browser: a folder for any static server."""

from keras_rnnlm.export.page import onnxruntime_web
from keras_rnnlm.export.page.making import make_page

__all__ = ["make_page", "onnxruntime_web"]
