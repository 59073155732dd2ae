"""Pairs in the ids of their vocabulary, as they lie in the folder of a run."""

import zipfile

import numpy as np

from keras_rnnlm.text.pair_vocabulary import END, START
from keras_rnnlm.training.corpora.pairs import fingerprint_of
from keras_rnnlm.training.streams.examples import doubled, padded

FILE = "pairs.npz"
SIDES = ("source", "target")


class EncodedPairs:
    """Sources and targets, each all ids one after the other, and where each ends.

    >>> ids = {"source": np.array([5, 6, 7]), "target": np.array([8, 9])}
    >>> split = EncodedPairs(ids, {"source": [1, 3], "target": [1, 2]})
    >>> len(split), split.sequence("source", 1)
    (2, array([6, 7]))
    """

    def __init__(self, ids, ends, sources=None):
        """Args: sources: a number for each pair, equal for those of the same source text; None: where ids are equal."""
        self.ids, self.ends = ids, {side: np.asarray(ends[side], "int64") for side in SIDES}
        self.sources = sources

    def __len__(self):
        return len(self.ends["source"])

    def sequence(self, side, number):
        begin = self.ends[side][number - 1] if number else 0
        return self.ids[side][begin : self.ends[side][number]]

    def lengths(self):
        """Of the longer of each pair, with what begins or ends a target."""
        sources, targets = self.sizes()
        return np.maximum(sources, targets + 1)

    def sizes(self):
        """Symbols of each source and of each target."""
        return [np.diff(self.ends[side], prepend=0) for side in SIDES]

    def collate(self, numbers, batch, time):
        """A batch as a translator learns from it, filled up with zeros to so many rows and steps.

        Sources that are much shorter than targets, such as attributes, have fewer steps: a power of two.
        """
        texts = [self.sequence("source", number) for number in numbers]
        source = padded(texts, batch, min(doubled(max(map(len, texts))), time)).astype("int32", copy=False)
        given, wanted = with_ends([self.sequence("target", number) for number in numbers], batch, time)
        return {"source": source, "target": given}, wanted

    def kept(self, longest=None):
        """The numbers of those whose source and target have at most `longest` symbols each."""
        most = np.maximum(*self.sizes())
        return np.flatnonzero(most <= (most.max(initial=0) if longest is None else longest))

    def stream(self, batch, longest=None, *, shuffle=True, seed=0):
        """The pairs in batches of similar length; those of more than `longest` symbols are left out."""
        from keras_rnnlm.training.streams import Examples

        lengths, kept = self.lengths(), self.kept(longest)
        if not len(kept):
            raise ValueError(f"All pairs are longer than {longest} symbols, and none is left: raise `longest`")

        def collate(chosen, batch, time):
            return self.collate(kept[chosen], batch, time)

        return Examples(lengths[kept], collate, batch, shuffle=shuffle, seed=seed)

    def grouped(self):
        """Each source once, with the numbers of all pairs that it is the source of: a list of lists of numbers."""
        found = {}
        for number in range(len(self)):
            source = self.sequence("source", number).tobytes() if self.sources is None else int(self.sources[number])
            found.setdefault(source, []).append(number)
        return list(found.values())


def with_ends(targets, batch, time):
    """Targets as a decoder reads them and as it is to write them, filled up with zeros to so many rows and steps."""
    given, wanted = np.zeros((2, batch, time), "int32")
    for row, target in enumerate(targets):
        given[row, 0], given[row, 1 : len(target) + 1] = START, target
        wanted[row, : len(target)], wanted[row, len(target)] = target, END
    return given, wanted


def encoded(pairs, vocabulary):
    ids, ends = {}, {}
    for side, encode, texts in zip(SIDES, (vocabulary.source_ids, vocabulary.target_ids), zip(*pairs)):
        found = [encode(text) for text in texts]
        ids[side], ends[side] = np.concatenate(found), np.cumsum([len(one) for one in found])
    number = {}
    return EncodedPairs(ids, ends, np.array([number.setdefault(source, len(number)) for source, _ in pairs]))


def write(folder, texts, vocabulary):
    """Writes the splits, dict of lists of pairs."""
    folder.mkdir(exist_ok=True)
    arrays, whole = {}, [pair for pairs in texts.values() for pair in pairs]
    for name, pairs in texts.items():
        split = encoded(pairs, vocabulary)
        arrays |= {f"{name}_{side}": split.ids[side] for side in SIDES}
        arrays |= {f"{name}_{side}_ends": split.ends[side] for side in SIDES}
        arrays[f"{name}_sources"] = split.sources
    np.savez(folder / FILE, text=fingerprint_of(whole), vocabulary=vocabulary.fingerprint, names=list(texts), **arrays)


def read(folder):
    """The splits, and the fingerprints of the text and the vocabulary."""

    def of(file, name):
        ids = {side: file[f"{name}_{side}"] for side in SIDES}
        sources = file[f"{name}_sources"] if f"{name}_sources" in file else None  # older runs did not keep them
        return EncodedPairs(ids, {side: file[f"{name}_{side}_ends"] for side in SIDES}, sources)

    return read_file(folder / FILE, of)


def read_file(path, of):
    """What a file of a run holds: splits, `of(file, name)` each; fingerprints of the text and the vocabulary."""
    if not path.is_file():
        raise ValueError(f"{path} is missing, and the run cannot go on without it: begin a new run with another --out")
    try:
        with np.load(path, allow_pickle=False) as file:
            fingerprints = {name: str(file[name]) for name in ("vocabulary", "text")}
            splits = {str(name): of(file, name) for name in file["names"]}
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}): begin a new run with another --out") from error
    return splits, fingerprints
