"""How far an export may be from the Keras model."""

# The largest error that is let through: of a float, relative to the largest number of its tensor where that is above 1.
BOUNDS = {None: 1e-5, "float16": 5e-3, "int8": 3e-2}
# And of the perplexity of a text, relative.
PERPLEXITY = {None: 1e-4, "float16": 5e-3, "int8": 2e-2}
