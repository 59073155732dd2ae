"""What is written of a source: beam search with an encoder before it. In numpy alone, for models and exported files."""

import dataclasses

import numpy as np

from keras_rnnlm.generation import checks
from keras_rnnlm.generation.arrays import take_rows, to_numpy
from keras_rnnlm.generation.beam import beam_search
from keras_rnnlm.generation.samplers import Beam
from keras_rnnlm.schema import is_count

LENGTHS = 8  # sources are filled up to a multiple of it: few shapes, for each of which something is compiled


@dataclasses.dataclass(frozen=True)
class Translation:
    """One hypothesis for a source.

    Attributes:
        ids: what was written, without the symbol that ended it.
        score: its log-probability, the end included, divided by the number of its symbols ** `length_normalisation`.
        attention: where it was asked for, (ids, source): the weights with which each symbol attended to the source's
            symbols, or to other places of it.
        text: what the ids stand for, where the source came as a text or as a file.
        log_probability: of the ids and the end, given the source.

    >>> Translation(ids=[5, 7], score=-0.2, text="guten Tag").text
    'guten Tag'
    """

    ids: list[int]
    score: float
    attention: np.ndarray | None = None
    text: str | None = None
    log_probability: float | None = None


def translate(
    encode,
    step,
    sources,
    *,
    start,
    end,
    source_vocabulary=2**31,
    source=None,
    beam=1,
    length_normalisation=1.0,
    max_length=100,
    attention=False,
    batch_size=32,
):
    """The hypotheses for each source, best first.

    Args:
        encode: `encode(sources)`, int32 (batch, time) filled up with 0, returns what every step reads of them, a list,
            and the states in which they begin, a list. The last that is read are booleans (batch, places), which of the
            places are of the source.
        step: `step(tokens, constants, states)`, tokens int32 (batch,), returns logits (batch, vocabulary), attention
            (batch, time) and the new states.
        sources: lists of ids, of any lengths. What comes of each is what comes of it alone.
        start: the id before the first.
        end: the id that ends a hypothesis.
        source_vocabulary: what the ids of sources are below.
        source: of sources that are no ids, the `keras_rnnlm.sources.Source`.
        beam: hypotheses a source; 1 is greedy.
        length_normalisation: 0 compares the hypotheses' probabilities, 1 the means of their log-probabilities a symbol.
        max_length: how many symbols one has at most, the end included.
        attention: whether to give the attention, too.
        batch_size: how many sources are encoded at a time.

    Returns:
        A list of `Translation`s for each source.

    >>> def encode(sources):
    ...     return [], [sources[:, 0].astype("float32")]
    >>> def step(tokens, constants, states):  # counts from the source's first symbol up to 9
    ...     tokens = np.where(tokens == 1, states[0], tokens + 1).astype(int)
    ...     return 9 * np.eye(11)[np.where(tokens > 9, 2, tokens)], np.ones((len(tokens), 1)), states
    >>> ((best,),) = translate(encode, step, [[7]], start=1, end=2)
    >>> best.ids
    [7, 8, 9]
    """
    if not is_count(batch_size):
        raise ValueError(f"`batch_size` counts sources, at least 1. Received: batch_size={batch_size!r}")
    if not is_count(max_length):
        raise ValueError(f"`max_length` counts symbols, at least 1. Received: max_length={max_length!r}")
    kind = Ids(source_vocabulary) if source is None else source
    chosen, sources = Beam(beam, length_normalisation), kind.checked(sources)
    found = [None] * len(sources)
    order = np.argsort([len(source) for source in sources], kind="stable")
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        batch = [sources[place] for place in places]
        constants, states = encode(kind.filled(batch))
        rows = np.repeat(np.arange(len(batch)), beam)
        wide = [take_rows(constant, rows) for constant in constants]

        def next_one(tokens, states, wide=wide):
            logits, _, states = step(tokens, wide, states)
            return logits, states

        hypotheses = beam_search(next_one, states, [[start]] * len(batch), max_length, chosen, stop=end)
        matrices = _attention(step, constants, states, hypotheses, start) if attention else None
        for row, place in enumerate(places):
            found[place] = []
            for k, one in enumerate(hypotheses[row]):
                ids = one.ids[:-1] if one.ids[-1] == end else one.ids
                weights = None
                if attention:
                    weights = matrices[row][k][: len(ids), : kind.places(batch[row], to_numpy(constants[-1])[row])]
                total = one.score * max(len(one.ids), 1) ** length_normalisation
                found[place].append(Translation(ids, one.score, weights, log_probability=total))
    return found


class Ids:
    """Sources that are lists of ids. What stands here, a `keras_rnnlm.sources.Source` has, too."""

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary

    def checked(self, sources):
        if isinstance(sources, (str, dict)) or not hasattr(sources, "__len__"):
            raise ValueError(f"`sources` is a list of lists of ids, one for each source. Received: sources={sources!r}")
        return [checks.check_ids(source, vocabulary=self.vocabulary) for source in sources]

    def filled(self, batch):
        """Sources side by side, filled up with 0."""
        longest = max(1, *(len(source) for source in batch))
        filled = np.zeros((len(batch), -(-longest // LENGTHS) * LENGTHS), "int32")
        for row, source in zip(filled, batch):
            row[: len(source)] = source
        return filled

    def places(self, source, shown):
        return len(source)


def _attention(step, constants, states, hypotheses, start):
    """For each source, and each of its hypotheses, the attention of its symbols, (ids, places)."""
    texts = [one.ids for found in hypotheses for one in found]
    rows = np.repeat(np.arange(len(hypotheses)), [len(found) for found in hypotheses])
    given = np.zeros((len(texts), max(map(len, texts))), "int32")
    for row, ids in zip(given, texts):
        row[0], row[1 : len(ids)] = start, ids[:-1]
    constants, states = ([take_rows(array, rows) for array in arrays] for arrays in (constants, states))
    weights = []
    for tokens in given.T:
        _, attended, states = step(np.ascontiguousarray(tokens), constants, states)
        weights.append(to_numpy(attended))
    weights, found = np.stack(weights, axis=1), [[] for _ in hypotheses]
    for row, ids, matrix in zip(rows, texts, weights):
        found[row].append(matrix[: len(ids)])
    return found
