"""How an exported translator answers: it encodes sources, and writes what it says of them."""

import dataclasses
import json

import numpy as np

from keras_rnnlm import generation
from keras_rnnlm.export.runtime.lines import by_parts, lines_of
from keras_rnnlm.export.runtime.models import ExportedModel, difference
from keras_rnnlm.generation import checks
from keras_rnnlm.generation.beam import log_softmax
from keras_rnnlm.schema import COUNT, NUMBER, TEXT, whole

IDS = whole(1, 2**31 - 1)
CHECKED = 12  # random symbols whose log-probabilities by Keras a manifest holds


class ExportedTranslator(ExportedModel):
    """A translator in its runtime. Nothing is kept between calls.

    Attributes:
        tokenizer: its `keras_rnnlm.text.PairVocabulary`; None where the export came without one.
        source_vocabulary, target_vocabulary: the numbers of ids.
        start, end: the ids before the first symbol of a target, and after its last.
    """

    takes_text = True
    asked = ("beam", "length")
    sizes = ("source_vocabulary", "target_vocabulary", "start", "end")
    manifest = {
        "model": {
            **{name: IDS for name in sizes},
            "inputs": [{"name": TEXT}],
            "states": [(TEXT, TEXT, IDS)],
            "begin": {"signature": TEXT},
        },
        "check": {"source": [COUNT], "target": [COUNT], "log_probabilities": [NUMBER]},
    }

    def __init__(self, engine, kind, about, tokenizer=None, missing=None):
        super().__init__(engine, kind, about, tokenizer, missing)
        for name in self.sizes:
            setattr(self, name, about[name])
        self._states = [tuple(state[:2]) for state in about["states"]]  # name, name when it comes out
        states = {name for name, _ in self._states}
        taken = [tensor["name"] for tensor in about["inputs"]]
        self._constants = [name for name in taken if name != "tokens" and name not in states]

    def encode(self, sources):
        """Ids, (batch, time) filled up with 0, to what every step reads and the states it begins in, two lists."""
        return self._encoded(checks.check_ids(sources, ("batch", "time"), self.source_vocabulary))

    def _encoded(self, sources):
        found = self.engine.ask(self.about["begin"]["signature"], {"source": sources})
        names = self._constants, [name for name, _ in self._states]
        missing = [name for some in names for name in some if f"{name}_begin" not in found]
        if missing:
            raise ValueError(f"The export is damaged: of a source it does not give {', '.join(missing)}")
        return tuple([found[f"{name}_begin"] for name in some] for some in names)

    def step(self, tokens, constants, states):
        """One symbol of each row, (batch,), to the logits of the next, the attention, (batch, time), and new states."""
        tokens = checks.check_ids(tokens, ("batch",), self.target_vocabulary)
        names = [*self._constants, *(name for name, _ in self._states)]
        given = dict(zip(names, map(np.ascontiguousarray, [*constants, *states]), strict=True))
        found = self.engine.run({"tokens": tokens, **given})  # its ids are checked, and this is every step
        return found["logits"], found["attention"], [found[name] for _, name in self._states]

    def translate(
        self,
        sources,
        beam=1,
        length_normalisation=1.0,
        max_length=100,
        attention=False,
        batch_size=32,
        rescoring=None,
    ):
        """As `translate` of the model: the `Translation`s for each source, best first.

        A source is a text or a list of ids; of pictures and recordings, a file or an array.

        `rescoring`, of texts, is a `keras_rnnlm.generation.Rescoring`.
        """
        given, vocabulary, kind = self._given(sources)
        found = generation.translate(
            self.encode,
            self.step,
            given,
            start=self.start,
            end=self.end,
            beam=beam,
            length_normalisation=length_normalisation,
            max_length=max_length,
            attention=attention,
            batch_size=batch_size,
            **kind,
        )
        if vocabulary is not None:
            found = [[dataclasses.replace(one, text=vocabulary.write(one.ids)) for one in some] for some in found]
        return found if rescoring is None else rescoring(found)

    def _given(self, sources):
        """Sources as `generation.translate` takes them, what writes texts, or None, and what says their kind."""
        are_texts = not isinstance(sources, str) and [isinstance(source, str) for source in sources]
        if isinstance(sources, str) or any(are_texts) and not all(are_texts):
            raise ValueError(
                f"`sources` is a list of texts, or a list of lists of ids. Received: sources={sources!r:.200}"
            )
        vocabulary = self.reader() if any(are_texts) else None
        if vocabulary is not None:
            sources = [vocabulary.source_ids(text) for text in sources]
        return sources, vocabulary, {"source_vocabulary": self.source_vocabulary}

    def log_probabilities(self, source, target):
        """Of each id of a target, the end included where it has one, given a source: a list."""
        return self._log_probabilities(self.encode([list(source) or [0]]), target)

    def _log_probabilities(self, begun, target):
        target = checks.check_ids(target, vocabulary=self.target_vocabulary).tolist()
        (constants, states), found = begun, []
        for before, token in zip([self.start, *target], target):
            logits, _, states = self.step([before], constants, states)
            found.append(float(log_softmax(logits[0].astype("float64"))[token]))
        return found

    # On the command line

    def predict(self, file, *, encoding="utf-8", batch_size=32, **options):
        """The file holds a source a line; what stands after a tab, as in a corpus of pairs, is not read.

        `options` are those of `translate`.
        """
        sources = [line.split("\t")[0].strip() for line in lines_of(file, encoding)]
        found = by_parts(lambda some: self.translate(some, batch_size=batch_size, **options), sources, batch_size)
        for source, (best, *_) in zip(sources, found):
            yield best.text, {"source": source, "text": best.text, "score": best.score}

    def show(self, options, settings, prompts):
        length = {} if options.length is None else {"max_length": options.length}
        written = self.translate(prompts, beam=options.beam or 1, **length)
        texts = [best.text for best, *_ in written]
        print(json.dumps({"prompts": prompts, "texts": texts}) if options.json else "\n".join(texts))

    # Beside the Keras model

    @classmethod
    def check_belongs(cls, vocabulary, about, name):
        held = {side: about[f"{side}_vocabulary"] for side in ("source", "target")}
        if vocabulary.sizes != held:
            raise ValueError(f"{name} has {vocabulary.sizes} ids, the model {held}: they do not belong together")

    def check_of(self, rng, example):
        source = rng.integers(1, self.source_vocabulary, CHECKED).tolist()
        target = rng.integers(1, self.target_vocabulary, CHECKED).tolist()
        return {"source": source, "target": target, "log_probabilities": self.log_probabilities(source, target)}

    def error_of(self, check):
        return difference(check["log_probabilities"], self.log_probabilities(check["source"], check["target"]))

    @classmethod
    def check_manifest(cls, manifest):
        super().check_manifest(manifest)
        for side in {"source", "target"} & set(manifest["check"]):
            size = manifest["model"][f"{side}_vocabulary"]
            if max(manifest["check"][side], default=0) >= size:
                raise ValueError(f"it holds the id {max(manifest['check'][side])}, beyond the {side} vocabulary")
