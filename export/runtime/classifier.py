"""An exported classifier: the class of each text, without Keras."""

import json
import typing

import numpy as np

from keras_rnnlm.export.runtime.lines import by_parts, lines_of
from keras_rnnlm.export.runtime.models import ExportedModel
from keras_rnnlm.schema import COUNT, Optional

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")


class Classified(typing.NamedTuple):
    """The best label of a text, and the probability of each."""

    label: str
    probabilities: dict


class ExportedClassifier(ExportedModel):
    """What `runtime.load` returns of a classifier: `classify(texts)`, beside `run(inputs)`."""

    takes_text = takes_ids = True
    asked = ()
    manifest = {**ExportedModel.manifest, "model": {"words": COUNT, "classes": COUNT, "characters": Optional(COUNT)}}

    def classify(self, texts, batch_size=32):
        """A `Classified` of each text, a list.

        Words are what stands between white space. A text without words has the class of none.
        """
        if isinstance(texts, str):
            raise ValueError(f"`texts` is a list of texts. Received: {texts!r:.60}")
        vocabulary, found = self.reader(), []
        for begin in range(0, len(texts), batch_size):
            rows = [text.split() for text in texts[begin : begin + batch_size]]
            inputs = vocabulary.encode([row or [""] for row in rows])
            empty = [k for k, row in enumerate(rows) if not row]
            inputs["words"][empty], inputs["characters"][empty] = 0, 0
            if "characters" not in self.about:
                inputs.pop("characters")
            logits = np.asarray(self.run(inputs)["logits"], "float64")
            scores = np.exp(logits - logits.max(axis=1, keepdims=True))
            for row in scores / scores.sum(axis=1, keepdims=True):
                probabilities = dict(zip(vocabulary.labels, map(float, row)))
                found.append(Classified(vocabulary.labels[int(row.argmax())], probabilities))
        return found

    @classmethod
    def check_belongs(cls, vocabulary, about, name):
        mine, model = vocabulary.sizes, (about["words"], about["classes"])
        if (mine["words"], mine["labels"]) != model or about.get("characters", mine["characters"]) != mine[
            "characters"
        ]:
            raise ValueError(
                f"{name} has {mine['words']} words and {mine['labels']} labels, the model {model[0]} and {model[1]}: "
                "they do not belong together"
            )

    # On the command line

    def show(self, options, settings, prompts):
        found = self.classify(prompts)
        if options.json:
            print(json.dumps({"prompts": prompts, "classes": [answer._asdict() for answer in found]}))
            return
        for answer in found:
            print(f"{answer.label}\t{answer.probabilities[answer.label]:.4f}")

    def predict(self, file, *, encoding="utf-8", batch_size=32):
        """Of a file with a text in every line: label, probability and text. An empty line stays one."""
        if file.suffix.lower() in TABLES:
            raise ValueError(f"{file} is a table: `predict` reads a text in every line")
        lines = lines_of(file, encoding)
        texts = [line for line in lines if line.strip()]
        answers = by_parts(lambda some: self.classify(some, batch_size), texts, batch_size)
        for line in lines:
            if not line.strip():
                yield "", None
                continue
            answer, text = next(answers), line.strip()
            yield (
                f"{answer.label}\t{answer.probabilities[answer.label]:.4f}\t{text}",
                {"text": text, **answer._asdict()},
            )
