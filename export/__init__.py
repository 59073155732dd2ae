"""How a model leaves Keras.

`model.save` and `model.export(path, format="tf_saved_model")` of Keras take every layer of this package as it is.
"""
