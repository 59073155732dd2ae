"""What `evaluate` found, kept in the run for `info`: a line of evaluations.jsonl for each text."""

import errno
import hashlib
import os

from keras_rnnlm.training.corpora.file_sources import SPLITS
from keras_rnnlm.training.runs.curves import read_history
from keras_rnnlm.whole_files import reason


def model_digest(folder):
    """A hash of a run's model.keras, or None where there is none yet."""
    if not folder.model_file.is_file():
        return None
    with open(folder.model_file, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def keep_evaluation(folder, text, of, result, to_json, warn):
    """Adds what was found on a text. A run that may only be read is no reason to lose the result.

    `of` is the `model_digest` of before: while a text was scored a run may have found a better model. None is that of a
    run without a model yet, whose newest checkpoint was scored, and will soon be another: it is not kept.
    """
    if of is None:
        return
    line = to_json({"text": text, "of": of, "result": result}).encode() + b"\n"
    try:
        with open(folder.evaluations, "ab", buffering=0) as file:
            size = file.tell()
            if file.write(line) < len(line):  # half of it would spoil what comes next
                file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        warn(f"what was found is not kept for `info`: {folder.evaluations} could not be written: {reason(error)}")


def kept_evaluations(folder):
    """By the texts' names, what was found last of the model that the run has now."""
    if not folder.evaluations.is_file():
        return {}
    now = model_digest(folder)
    records = [record for record in read_history(folder.evaluations) if now is not None and record.get("of") == now]
    return {record["text"]: record["result"] for record in records if _is_whole(record)}


def _is_whole(record):
    text, result = record.get("text"), record.get("result")
    return isinstance(text, str) and isinstance(result, dict) and all(isinstance(m, dict) for m in result.values())


def text_name(text):
    """The name that a text is kept by: a split's own, or where the text is."""
    return os.path.abspath(text) if text not in SPLITS and os.path.exists(text) else str(text)
