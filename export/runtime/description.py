"""What an exported file says of itself: its task, its inputs and outputs in their order, its states.

ONNX holds it in its metadata, a LiteRT file in a buffer that its metadata names, a SavedModel in `assets.extra`, which
TensorFlow Serving leaves alone. A runtime may list names in another order than the file does.
"""

import json
import pathlib
import re

from keras_rnnlm.schema import COUNT, TEXT, Optional, Rule, check, is_count, parse_json

KEY = "keras_rnnlm"
FORMAT = 1
OF_SAVED_MODEL = pathlib.PurePath("assets.extra", f"{KEY}.json")
_STATE = re.compile(r"layer_(\d+)_(\w+)")


def text_of(description):
    """What is written: see `keras_rnnlm.export.interface.Interface.description`."""
    return json.dumps({"format": FORMAT, **description})


def _is_shape(value):
    return all(is_count(size) for size in (value if isinstance(value, list) else [value]))


SCHEMA = {
    "task": Optional(TEXT),
    "signature": Optional(TEXT),
    "vocabulary_size": Optional(COUNT),
    "inputs": Optional([{"name": TEXT, "dtype": TEXT}]),
    "outputs": Optional([TEXT]),
    "states": Optional([(TEXT, TEXT, Rule("a width, or a list of sizes", _is_shape))]),
}
SCHEMA["begin"] = Optional({**SCHEMA, "signature": TEXT, "outputs": [TEXT]})


def read(text, path):
    """The description in a file, or an empty one where the file holds none, as those of other programs."""
    if text is None:
        return {}
    try:
        found = parse_json(text)
        version = found["format"]
        if version == FORMAT:
            check(found, SCHEMA)
            if "states" in found and "signature" not in found and "vocabulary_size" not in found:
                raise ValueError("before signatures had names, only language models had states")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: it describes itself by {str(text)[:100]!r}") from error
    if version != FORMAT:
        raise ValueError(f"{path} describes itself in format {version}, and this version reads format {FORMAT}")
    return found


def by_names(inputs, outputs):
    """The description of a LiteRT file or a SavedModel that version 0.1.0 wrote, which holds none; empty for others.

    Args:
        inputs, outputs: the shapes of a step's, by name: layer_0_h, layer_0_c, layer_1_h, ... Of states that are
            neither h nor c the order is a guess.
    """
    names = [name for name in inputs if _STATE.fullmatch(name) and f"{name}_out" in outputs]
    if not {"tokens", *names} == set(inputs) or "logits" not in outputs:
        return {}

    def place(name):
        layer, letter = _STATE.fullmatch(name).groups()
        return int(layer), {"h": 0, "c": 1}.get(letter, 2), letter

    states = [[name, f"{name}_out", int(inputs[name][-1])] for name in sorted(names, key=place)]
    return {"vocabulary_size": int(outputs["logits"][-1]), "states": states}


def whole(description, names):
    """Of the signatures that a file holds, the one for whole sequences. Files of version 0.1.0 do not name it."""
    named = description.get("signature")
    return named if named in names else "score" if "score" in names else "serving_default"


def in_order(outputs, description):
    """Outputs by name, in the order of the description."""
    known = [name for name in description.get("outputs", ()) if name in outputs]
    return {name: outputs[name] for name in dict.fromkeys([*known, *outputs])}
