"""A run's text that the command `encode` has written: read where it lies, and never copied."""

import dataclasses
import json
import os
import pathlib

from keras_rnnlm.training.corpora.encoded import INDEX, PARTED, WHAT, load_encoded, read_index
from keras_rnnlm.training.corpora.encoded_folder import is_encoded
from keras_rnnlm.training.corpora.encoded_shards import open_encoded
from keras_rnnlm.training.corpora.opening import paths_of
from keras_rnnlm.training.corpora.whole_folders import told, write_synced, written_folder

LOOKED_AT = 1 << 20  # tokens that settings are chosen by


def place_of(given):
    """The folder that `encode` has written, where such a one is given; None: what is given are texts."""
    found = [path for path in paths_of(given.corpus) if os.path.isdir(path) and is_encoded(path)]
    if not found:
        return None
    others = [path for path in paths_of(given.corpus) if path not in found]
    if len(found) > 1 or others:
        raise ValueError(
            f"{found[0]} is encoded text, and has to be the only one: encode all texts together. "
            f"Received: {' '.join(paths_of(given.corpus))}"
        )
    place = pathlib.Path(found[0])
    _check_decided(place, {"valid": given.valid, "test": given.test})
    return place


def check_settings(place, recipe, named):
    """Raises where a setting is of a text that is still to be encoded."""
    of_vocabulary = {name: name for name in ("tokenizer", "vocabulary_size", "min_count") if name in named}
    _check_decided(place, {"split": recipe.split, "text_column": recipe.text_column, **of_vocabulary})


def _check_decided(place, said):
    said = [name for name, value in said.items() if value is not None]
    if said:
        raise ValueError(
            f"{place} is encoded, and its splits and its vocabulary are made: drop {', '.join(said)}, or encode again"
        )


def look(place):
    """What settings are chosen by, see `choosing.look`; and the tokenizer."""
    from keras_rnnlm.training.recipes import choosing

    encoded, tokenizer = open_encoded(place)
    train = encoded["train"]
    text = choosing.look([tokenizer.decode(train[:LOOKED_AT])])
    return dataclasses.replace(text, characters=train.characters), tokenizer


def refer(folder, place):
    """Leaves in a folder the index of encoded text that stays where it is. Returns the `Encoded` and its tokenizer."""
    encoded, tokenizer = open_encoded(place)
    index = {**read_index(place), "format": PARTED, "folder": os.path.abspath(place)}
    with written_folder(folder, WHAT) as partial, told(folder, WHAT):
        write_synced(partial / INDEX, json.dumps(index, indent=1).encode())
    return encoded, tokenizer


def lies_in(folder):
    """Where the encoded text of a run is that is not in its own folder, or None."""
    try:
        return read_index(folder).get("folder")
    except ValueError:
        return None


def text_of_reference(folder):
    """The text that a run refers to, which has to be as it was. Its size is looked at: each process reads a part."""
    mine = read_index(folder)
    try:
        there = read_index(mine["folder"])
        if any(there[name] != mine[name] for name in ("corpus", "tokenizer", "splits")):
            raise ValueError(f"{mine['folder']} is another text by now")
        return load_encoded(folder, verify=False)
    except ValueError as error:
        why = getattr(error, "what", str(error)).rstrip(".")
        raise ValueError(f"{why}. The run reads it there: put it back as it was, or start a new run") from error
