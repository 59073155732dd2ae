"""Pictures or recordings with what is written of them, as they lie in the folder of a run: read once, as numbers."""

import hashlib

import numpy as np

from keras_rnnlm.training.corpora.encoded_pairs import read_file, with_ends
from keras_rnnlm.training.corpora.pairs import fingerprint_of
from keras_rnnlm.training.streams.examples import one_of_few

FILE = "described.npz"


class Described:
    """Sources, and targets that each are of one of them.

    Args:
        source: the `keras_rnnlm.sources.Source`.
        sources: what it keeps of each, one after the other along their first axis.
        source_ends: where each ends there.
        of: by a target's number, that of its source.
        ids, ends: all targets, one after the other, and where each ends.

    >>> from keras_rnnlm.sources import Image
    >>> split = Described(Image([1, 1, 1]), np.zeros((2, 1, 1), "uint8"), [1, 2], [1, 0], np.array([5, 6, 7]), [1, 3])
    >>> len(split), split.sequence("target", 1), split.sequence("source", 0).shape
    (2, array([6, 7]), (1, 1, 1))
    """

    def __init__(self, source, sources, source_ends, of, ids, ends):
        self.source, self.sources = source, sources
        self.source_ends, self.of = np.asarray(source_ends, "int64"), np.asarray(of, "int64")
        self.ids, self.ends = {"target": ids}, {"target": np.asarray(ends, "int64")}

    def __len__(self):
        return len(self.of)

    def sequence(self, side, number):
        if side == "source":
            place = self.of[number]
            return self.sources[self.source_ends[place - 1] if place else 0 : self.source_ends[place]]
        begin = self.ends[side][number - 1] if number else 0
        return self.ids[side][begin : self.ends[side][number]]

    def collate(self, numbers, batch, time):
        """A batch as a translator learns from it, filled up with zeros to so many rows."""
        targets = [self.sequence("target", number) for number in numbers]
        free = self.source.shape[0] is None  # pictures are of one size, and only their texts are of lengths
        longest = one_of_few(1 + max(map(len, targets))) if free else time
        source = self.source.filled([self.sequence("source", number) for number in numbers], batch, time)
        given, wanted = with_ends(targets, batch, longest)
        return {"source": source, "target": given}, wanted

    def lengths(self):
        """Of what examples are put side by side by: of pictures, which are of one size, the texts."""
        if self.source.shape[0] is None:
            return np.diff(self.source_ends, prepend=0)[self.of]
        return np.diff(self.ends["target"], prepend=0) + 1

    def kept(self, longest=None, longest_source=None):
        """The numbers of those that are not longer."""
        targets = np.diff(self.ends["target"], prepend=0)
        kept = targets <= (longest or targets.max(initial=0))
        if self.source.shape[0] is None and longest_source:
            kept &= self.lengths() <= longest_source
        return np.flatnonzero(kept)

    def stream(self, batch, longest=None, *, shuffle=True, seed=0, longest_source=None):
        """The examples in batches of similar length; those that are longer are left out."""
        from keras_rnnlm.training.streams import Examples

        lengths, kept = self.lengths(), self.kept(longest, longest_source)
        if not len(kept):
            raise ValueError(
                "All examples are longer than they may be, and none is left: raise `longest`, or of sounds `seconds`"
            )

        def collate(chosen, batch, time):
            return self.collate(kept[chosen], batch, time)

        return Examples(lengths[kept], collate, batch, shuffle=shuffle, seed=seed)

    def grouped(self):
        """Each source once, with the numbers of all its targets: a list of lists of numbers."""
        found = {}
        for number, place in enumerate(self.of):
            found.setdefault(int(place), []).append(number)
        return list(found.values())


def encoded(pairs, vocabulary, progress=None):
    """Pairs of a path and a text, read, as a split. `progress(done, all)` is called meanwhile."""
    places = {}
    for path, _ in pairs:
        places.setdefault(path, len(places))
    found = []
    for number, path in enumerate(places):
        found.append(vocabulary.source.read(path))
        if progress is not None:
            progress(number + 1, len(places))
    texts = [vocabulary.target_ids(text) for _, text in pairs]
    return Described(
        vocabulary.source,
        np.concatenate(found),
        np.cumsum([len(one) for one in found]),
        [places[path] for path, _ in pairs],
        np.concatenate(texts),
        np.cumsum([len(ids) for ids in texts]),
    )


def write(folder, texts, vocabulary, progress=None):
    """Writes the splits, dict of lists of pairs."""
    folder.mkdir(exist_ok=True)
    arrays, digest = {}, hashlib.sha256()
    for name, pairs in texts.items():
        split = encoded(pairs, vocabulary, progress)
        digest.update(split.sources.tobytes() + fingerprint_of(pairs).encode())
        arrays |= {f"{name}.sources": split.sources, f"{name}.source_ends": split.source_ends, f"{name}.of": split.of}
        arrays |= {f"{name}.ids": split.ids["target"], f"{name}.ends": split.ends["target"]}
    np.savez(folder / FILE, text=digest.hexdigest(), vocabulary=vocabulary.fingerprint, names=list(texts), **arrays)


def read(folder, source):
    """The splits, and the fingerprints of the examples and the vocabulary."""
    parts = ("sources", "source_ends", "of", "ids", "ends")
    return read_file(folder / FILE, lambda file, name: Described(source, *(file[f"{name}.{part}"] for part in parts)))
