"""How well a translator predicts targets, and how far what it writes is from them."""

import numpy as np

from keras_rnnlm.perplexity import perplexity
from keras_rnnlm.text.pair_vocabulary import RESERVED
from keras_rnnlm.training import tasks
from keras_rnnlm.training.evaluation.bleu import bleu
from keras_rnnlm.training.evaluation.edits import errors

NOBODYS = "\ue000"  # a word of private use
NONE = -1  # the id of nothing that is written


class Scorer(tasks.Scorer):
    """Scores pairs by a `Translator`.

    `loss` is in nats a symbol, the end included. Of what is written, `exact` is the share of the sources for which it
    is one of their targets, and `error_rate` the symbols that are wrong beside the nearest of these. A symbol of a
    target that the vocabulary lacks is written by nobody: <unk> is not right there.

    Args:
        model: a `Translator`.
        batch: pairs side by side.
        decode: how many sources are written of, spread over all; 0: none.
        beam: hypotheses a source.
        rescoring: how these are put in order, a `keras_rnnlm.generation.Rescoring`.
        bleu: whether to find `bleu` and `chrf`, too.
        vocabulary: what ids mean, which the last two have to know, and which ids mean nothing.
    """

    def __init__(self, model, *, batch=32, decode=0, beam=1, rescoring=None, bleu=False, vocabulary=None):
        from keras_rnnlm.models.compiled import compiled

        super().__init__(model)
        self.batch, self.decode, self.beam = batch, decode, beam
        self.rescoring, self.bleu, self.vocabulary = rescoring, bleu, vocabulary
        self.decides = "error_rate" if decode else "loss"
        self._losses = compiled(model, lambda *given: model.losses_of(*given))

    def score(self, split, progress=None):
        import keras

        stream, total, count = split.stream(self.batch, shuffle=False), 0.0, 0
        read, groups = stream.steps(), self._chosen(split)
        steps = read + -(-len(groups) // self.batch)

        def told(number):
            if progress is not None:
                progress(number, steps)

        for number, (inputs, wanted) in enumerate(stream.batches()):
            given = [keras.ops.convert_to_tensor(array) for array in (inputs["source"], inputs["target"], wanted)]
            total += float(np.sum(keras.ops.convert_to_numpy(self._losses(*given)), dtype="float64"))
            count += int(np.count_nonzero(inputs["target"]))
            told(number + 1)
        found = {"loss": total / count, "perplexity": perplexity(total / count)}
        return found | self._written(split, groups, lambda part: told(read + part)) if self.decode else found

    def _chosen(self, split):
        """The sources that are written of, each the numbers of its pairs."""
        groups = split.grouped() if self.decode else []
        chosen = np.unique(np.linspace(0, len(groups) - 1, min(self.decode, len(groups))).astype(int))
        return [groups[place] for place in chosen]

    def _written(self, split, groups, told):
        sources = [split.sequence("source", numbers[0]) for numbers in groups]
        wanted = [[split.sequence("target", number).tolist() for number in numbers] for numbers in groups]
        known = [[[NONE if self._is_unknown(id) else id for id in ids] for ids in targets] for targets in wanted]
        longest = 10 + 2 * max(len(target) for targets in wanted for target in targets)
        options = dict(beam=self.beam, max_length=longest, batch_size=self.batch)
        found, order = [None] * len(sources), sorted(range(len(sources)), key=lambda place: len(sources[place]))
        for part, begin in enumerate(range(0, len(order), self.batch)):
            places = order[begin : begin + self.batch]
            for place, one in zip(places, self.model.translate([sources[place] for place in places], **options)):
                found[place] = one
            told(part + 1)
        found = found if self.rescoring is None else self.rescoring(found, self.vocabulary.write)
        written = [best.ids for best, *_ in found]
        measures = errors(written, known)
        if self.bleu:
            texts = [self.vocabulary.write(ids) for ids in written]
            measures |= bleu(texts, [[self._reference(ids) for ids in targets] for targets in wanted])
        return {**measures, "written": len(written)}

    def _is_unknown(self, id):
        return self.vocabulary is not None and id - RESERVED == self.vocabulary.target.unknown

    def _reference(self, ids):
        """The text of a target. An unknown word of it is one that nobody writes, so that none is right."""
        parts = [[]]
        for id in ids:
            if self._is_unknown(id):
                parts.append([])
            else:
                parts[-1].append(id)
        return f" {NOBODYS} ".join(map(self.vocabulary.write, parts))
