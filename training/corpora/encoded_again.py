"""A run's encoded text that is damaged: encoded again from what it came from, or done without where possible."""

import os

from keras_rnnlm.training.corpora.encoded import DamagedError, encode_corpus, load_encoded, read_index
from keras_rnnlm.training.corpora.encoded_elsewhere import lies_in, text_of_reference
from keras_rnnlm.training.corpora.opening import open_corpus

NEEDED = ("train", "valid")  # by a training; the test split is for `evaluate` alone


def as_given(sources, valid, test):
    """What `open_corpus` was called with, in a form that is found again from another folder."""
    named = {"sources": sources, "valid": valid, "test": test}
    return {name: None if paths is None else absolute(paths) for name, paths in named.items()}


def text_of(folder, recipe, tokenizer, display):
    """The text of a run that is resumed."""
    if lies_in(folder.data) is not None:
        return text_of_reference(folder.data)
    try:
        return load_encoded(folder.data)
    except DamagedError as error:
        damaged = error
    try:
        return _again(folder, recipe, tokenizer, display)
    except (ValueError, OSError) as error:
        why = f"It cannot be encoded again: {error}"
    try:
        encoded = load_encoded(folder.data, verify=NEEDED)
    except DamagedError as error:
        raise ValueError(f"{error.what}. {why}. Put the text back as it was, or start a new run") from error
    display.warn(f"{damaged.what}. {why}. The training continues without this split")
    return encoded


def _again(folder, recipe, tokenizer, display):
    index = read_index(folder.data)
    given = index.get("given") or {"sources": index["sources"]}
    if "-" in given["sources"]:
        raise ValueError("it came from the standard input")
    if index["tokenizer"] != tokenizer.fingerprint:
        raise ValueError(f"{folder.tokenizer} is not the vocabulary that it was written in")
    settings = {name: getattr(recipe, name) for name in ("split", "encoding", "text_column") if hasattr(recipe, name)}
    corpus = open_corpus(**given, **settings)
    if corpus.fingerprint != index["corpus"]:
        raise ValueError(f"{', '.join(given['sources'])} changed since the run began")
    display.warn(f"the encoded text in {folder.data} is damaged, and is encoded again from what it came from")
    return encode_corpus(corpus, tokenizer, folder.data, display.encoding, given)


def absolute(paths):
    """The paths from the root; names of data sets and the like as they are."""
    paths = [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    named = ("-", "stdlib")
    kept = [path in named or path.startswith(("tfds:", "hf:", "stdlib:")) for path in paths]
    return [path if keep else os.path.abspath(os.path.expanduser(path)) for path, keep in zip(paths, kept)]
