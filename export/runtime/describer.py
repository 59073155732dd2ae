"""How an exported model answers that writes of pictures or recordings: it reads the files, without Keras."""

import pathlib

import numpy as np

from keras_rnnlm.export.runtime.lines import lines_of
from keras_rnnlm.export.runtime.models import difference
from keras_rnnlm.export.runtime.translator import CHECKED, IDS, ExportedTranslator
from keras_rnnlm.schema import COUNT, NUMBER, TEXT, parse_json
from keras_rnnlm.sources import NAMES, source_of

LISTS = (".tsv", ".txt", ".jsonl", ".json", ".ndjson")


class ExportedDescriber(ExportedTranslator):
    """A translator whose sources are no ids. Nothing is kept between calls.

    Attributes:
        source: the `keras_rnnlm.sources.Source`, which reads files.
        tokenizer: its `keras_rnnlm.text.TargetVocabulary`; None where the export came without one.
        target_vocabulary: the number of ids.
        start, end: the ids before the first symbol of a target, and after its last.
    """

    asked = None
    sizes = ("target_vocabulary", "start", "end")
    manifest = {
        "model": {
            **{name: IDS for name in sizes},
            "source": {"kind": TEXT},
            "inputs": [{"name": TEXT}],
            "states": [(TEXT, TEXT, IDS)],
            "begin": {"signature": TEXT},
        },
        "check": {"target": [COUNT], "log_probabilities": [NUMBER]},
    }

    def __init__(self, engine, kind, about, tokenizer=None, missing=None):
        super().__init__(engine, kind, about, tokenizer, missing)
        self.source = source_of(about["source"])

    def encode(self, sources):
        """Arrays side by side, float32, to what every step reads and the states it begins in, two lists."""
        return self._encoded(np.ascontiguousarray(sources, "float32"))

    def _given(self, sources):
        return sources, self.tokenizer, {"source": self.source}

    def log_probabilities(self, source, target):
        """Of each id of a target, the end included where it has one, given a source, a file or an array: a list."""
        return self._log_probabilities(self.encode(self.source.filled(self.source.checked([source]))), target)

    # On the command line

    def predict(self, file, *, encoding="utf-8", batch_size=32, **options):
        """The file is a source itself; or a list, as in a corpus, of which only the paths are read.

        `options` are those of `translate`.
        """
        self.reader()
        file = pathlib.Path(file)
        files = _listed(file, encoding) if file.suffix.lower() in LISTS else [file]
        for first in range(0, len(files), batch_size):  # so many are in memory
            some = files[first : first + batch_size]
            for source, (best, *_) in zip(some, self.translate(some, batch_size=batch_size, **options)):
                yield best.text, {"source": str(source), "text": best.text, "score": best.score}

    def show(self, options, settings, prompts):
        raise ValueError(f"{options.artifact} writes of files, and no prompt: keras-rnnlm predict has it do so")

    # Beside the Keras model

    @classmethod
    def check_belongs(cls, vocabulary, about, name):
        held = {"target": about["target_vocabulary"]}
        if vocabulary.sizes != held or vocabulary.source.description() != about["source"]:
            raise ValueError(f"{name} is of other sources or targets than the model: they do not belong together")

    def check_of(self, rng, example):
        target = rng.integers(1, self.target_vocabulary, CHECKED).tolist()
        return {"target": target, "log_probabilities": self.log_probabilities(self.source.example(CHECKED), target)}

    def error_of(self, check):
        found = self.log_probabilities(self.source.example(CHECKED), check["target"])
        return difference(check["log_probabilities"], found)


def _listed(file, encoding):
    found = []
    for number, line in enumerate(lines_of(file, encoding), 1):
        if not line.strip():
            continue
        if line.lstrip().startswith("{"):
            try:
                read = parse_json(line)
                line = next(read[name] for name in NAMES if isinstance(read.get(name), str))
            except (ValueError, StopIteration) as error:
                raise ValueError(f"{file}, line {number}: an object with the path of a file") from error
        found.append(file.parent / line.split("\t")[0].strip())
    return found
