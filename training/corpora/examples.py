"""Files of examples: found, read into examples of each split, and kept as numbers."""

import dataclasses
import os

import numpy as np

from keras_rnnlm.training.corpora.file_sources import SPLITS, Files
from keras_rnnlm.training.corpora.kept_arrays import as_bytes, as_texts, read_arrays, write_arrays
from keras_rnnlm.training.corpora.named_sources import of_rows, tables_of
from keras_rnnlm.training.corpora.opening import is_named, paths_of, shares_of, spooled
from keras_rnnlm.training.corpora.text_files import TextFile, check_encoding
from keras_rnnlm.training.streams.examples import padded

FILE = "examples.npz"
PARTS = ("tokens", "bounds", "labels")


def read_examples(given, recipe, folder, read, of_table=None, together=None):
    """The examples of each split, lists by its name.

    Splits are told by the files' names, or by `given.valid` and `given.test`. Examples that bring no validation split
    are cut in their order by the percentages of `recipe.split`, 90/5/5 by default.

    Args:
        given: see `keras_rnnlm.training.tasks.Given`: files, folders, patterns, - for standard input.
        folder: the `RunFolder` that keeps a copy of standard input.
        read: `read(lines, name)` yields the examples of a file.
        of_table: `of_table(table)` yields those of a split of a data set, see `named_sources.tables_of`.
        together: `together(example)` is equal for examples that no cut may part, wherever they stand.
    """
    check_encoding(recipe.encoding)
    splits, taken = {}, set()
    for name, sources in (("valid", given.valid), ("test", given.test), ("train", given.corpus)):
        sources = [] if sources is None else paths_of(sources)
        named = [] if of_table is None else of_rows(sources)
        found = {}
        for source in named:
            for own, table in tables_of(source).items():
                if name == "train" or own == "train":
                    found.setdefault(own, []).extend(of_table(table))
        rest = [source for source in sources if source not in named]
        is_given = name != "train"
        for own, files in _files(rest, recipe, folder, is_given, () if is_given else taken).items():
            taken |= {os.path.realpath(file.path) for file in files if is_given}
            found.setdefault(own, []).extend(one for file in files for one in read_file(file, read))
        if name == "train":
            splits = found | splits  # what was given as a split is all of it
        elif sources:
            splits[name] = found.get("train", [])
            if not splits[name]:
                raise ValueError(f"There is no example in {', '.join(map(str, sources))}, given as `{name}`.")
    if "train" not in splits or not splits["train"]:
        left = ", beside what is given as `valid` or `test`" if taken else ""
        raise ValueError(f"There is no example to learn from in {given.corpus}{left}.")
    if "valid" not in splits:
        splits |= _cut(splits.pop("train"), recipe.split, "test" in splits, given.corpus, together)
    elif recipe.split is not None:
        raise ValueError(f"What validates is there already: leave out `split`. Received: split={recipe.split!r}")
    return {name: splits[name] for name in SPLITS if splits.get(name)}


def read_file(file, read):
    """The examples of a `TextFile`."""
    return list(read(_lines(file), file.name))


def file_of(path, encoding):
    """One file, to read examples from."""
    check_encoding(encoding)
    if not os.path.isfile(path):
        raise ValueError(f"There is no file {path}")
    return TextFile(path, encoding)


def read_source(source, encoding, read, of_table):
    """The examples of a file, or of a data set of one split, see `read_examples`."""
    if of_rows([os.fspath(source)]):
        return [example for table in tables_of(source).values() for example in of_table(table)]
    return read_file(file_of(source, encoding), read)


def _lines(file):
    rest = ""
    for chunk in file.chunks():
        *lines, rest = (rest + chunk).split("\n")
        yield from lines
    if rest:
        yield rest


def _files(sources, recipe, folder, whole, taken):
    """The files of each split. `taken` are the paths of those that were given as a split, which are none of another."""
    if not sources:
        return {}
    named = [source for source in sources if is_named(source)]
    if named:
        raise ValueError(f"The task {recipe.task} reads files, and {named[0]} is none: name files or folders")
    sources = [spooled(folder.spool) if source == "-" else source for source in sources]
    files = Files(sources, recipe.encoding, [], taken, tables=False)
    return {name: [part.file for part in parts] for name, parts in files.own_splits(whole).items()}


def _cut(examples, split, has_test, sources, together):
    shares = shares_of(split or ("95/5" if has_test else "90/5/5"), test=has_test or None)
    if together is not None:
        groups = {}
        for example in examples:
            groups.setdefault(together(example), []).append(example)
        examples = [example for group in groups.values() for example in group]
    ends = [round(len(examples) * float(sum(shares[: k + 1]))) for k in range(len(shares))]
    if together is not None:
        ends = [_moved_on(examples, end, together) for end in ends]
    parts = [examples[a:b] for a, b in zip([0, *ends], ends)]
    if not all(parts):
        raise ValueError(
            f"{', '.join(paths_of(sources))} has too few examples to be cut {split or '90/5/5'}, {len(examples)}: give "
            "more, or other percentages, or the other splits as files."
        )
    return dict(zip(SPLITS, parts))


def _moved_on(examples, end, together):
    """The first place from `end` on where a cut parts nothing that belongs together."""
    while 0 < end < len(examples) and together(examples[end - 1]) == together(examples[end]):
        end += 1
    return end


# As numbers


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Sentences, as numbers of the forms that their words have, and what is to be told of each word or of each.

    Attributes:
        words, characters: by a form's number, that of its word, and those of its characters: see `Vocabulary`.
        tokens: the forms' numbers, sentence after sentence.
        bounds: where sentences begin in `tokens`, and where the last one ends.
        labels: numbers of labels, one for each token or one for each sentence, -1 for those that are unknown.
    """

    words: np.ndarray
    characters: np.ndarray
    tokens: np.ndarray
    bounds: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.bounds) - 1

    @property
    def lengths(self):
        return np.diff(self.bounds)

    def inputs(self, chosen, batch, time):
        """The sentences of these numbers, in `batch` rows padded to `time`: "words" and "characters"."""
        rows = [self.tokens[self.bounds[k] : self.bounds[k + 1]] for k in chosen]
        return {
            "words": padded([self.words[row] for row in rows], batch, time),
            "characters": padded([self.characters[row] for row in rows], batch, time, self.characters.shape[1]),
        }

    def labels_of_words(self, chosen, batch, time):
        return padded([self.labels[self.bounds[k] : self.bounds[k + 1]] for k in chosen], batch, time)


def keep(folder, splits):
    """Writes examples, `(words, labels)` with one label or a list of them, to a folder. Returns their fingerprint."""
    forms, names, arrays = {}, {}, {}
    for split, examples in splits.items():
        arrays[f"{split}.tokens"], arrays[f"{split}.bounds"], labels = _numbered(examples, forms)
        arrays[f"{split}.labels"] = np.array([names.setdefault(label, len(names)) for label in labels], np.int32)
    arrays |= {"forms": as_bytes(forms), "names": as_bytes(names)}
    return write_arrays(folder / FILE, arrays)


def kept(folder, vocabulary):
    """The splits that `keep` wrote, `Sentences` by name, in the numbers of a vocabulary; and their fingerprint."""

    def take(arrays):
        forms, names = as_texts(arrays.pop("forms")), as_texts(arrays.pop("names"))
        splits = list(dict.fromkeys(name.partition(".")[0] for name in arrays))
        return forms, names, {split: [arrays[f"{split}.{part}"] for part in PARTS] for split in splits}

    (forms, names, parts), fingerprint = read_arrays(folder / FILE, take)
    words, characters = vocabulary.word_ids(forms), vocabulary.character_ids(forms)
    ids = vocabulary.label_ids(names)
    return {
        split: Sentences(words, characters, tokens, bounds, ids[labels])
        for split, (tokens, bounds, labels) in parts.items()
    }, fingerprint


def encoded(examples, vocabulary):
    """Examples as `keep` takes them, in the numbers of a vocabulary, without a file."""
    forms = {}
    tokens, bounds, labels = _numbered(examples, forms)
    words, characters = vocabulary.word_ids(forms), vocabulary.character_ids(forms)
    return Sentences(words, characters, tokens, bounds, vocabulary.label_ids(labels))


def _numbered(examples, forms):
    """The numbers of all forms, which `forms` then holds, where sentences begin and end, and all labels."""
    tokens = [forms.setdefault(word, len(forms)) for words, _ in examples for word in words]
    bounds = np.cumsum([0, *(len(words) for words, _ in examples)])
    labels = [label for _, found in examples for label in ([found] if isinstance(found, str) else found)]
    return np.array(tokens, np.int32), bounds, labels
