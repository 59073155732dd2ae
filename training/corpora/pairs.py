"""Sources with what is to be written of them: two files side by side, tables, and pronouncing dictionaries."""

import hashlib
import os
import pathlib
import re

from keras_rnnlm.training.corpora.named_sources import column_of
from keras_rnnlm.training.corpora.tables import Table, text_file
from keras_rnnlm.training.corpora.text_files import TextFile

FORMATS = ("auto", "tsv", "cmudict")
LOOKED_AT = 1000  # pairs that tell what a file is
_VARIANT = re.compile(r"\(\d+\)$")


def read_pairs(paths, form="auto", encoding="utf-8", stress=True, checked=True):
    """A list of pairs of texts, (source, target).

    Args:
        paths: one file, or two whose lines belong together: the sources and the targets. They may be `.gz`.
        form: of one file: "tsv", source and target with a tab between them; "cmudict", a word and its phonemes, with
            its variants `word(2)` as further pairs of the word, stress as digits at the vowels, and comments from
            ` #` or `;;;` on; "auto", the first where the file holds a tab, the second where what follows the words is
            in capitals. For other tables see `pairs_of_table`.
        encoding: of the files.
        stress: of a dictionary, whether its vowels keep the digits.
        checked: whether what is recognised as a dictionary has to look like one.
    """
    paths = [paths] if isinstance(paths, (str, pathlib.Path)) else list(paths)
    if len(paths) == 2:
        return _parallel(*paths, encoding)
    if len(paths) != 1:
        raise ValueError(
            "Pairs come from one file, or from two whose lines belong together, the sources and the targets. "
            f"Received: {len(paths)} files"
        )
    lines, is_guessed = _lines(paths[0], encoding), form == "auto"
    if is_guessed:
        form = "tsv" if any("\t" in line for line in lines) else "cmudict"
    pairs = _table(lines, paths[0]) if form == "tsv" else _dictionary(lines, paths[0])
    if not pairs:
        raise ValueError(f"{paths[0]} holds no pairs")
    if checked and is_guessed and form == "cmudict":
        _check_dictionary(pairs, paths[0])
    return pairs if stress or form == "tsv" else without_stress(pairs)


def table_of(paths, encoding, columns):
    """The `Table` that one file of pairs is, or None: it has another name, or is a .tsv without the columns named.

    Of a .tsv the first line alone is looked at: in a plain one quotation marks are signs like others.
    """
    if len(paths) != 1 or not os.path.isfile(paths[0]):
        return None
    file = text_file(os.fspath(paths[0]), encoding)
    if not isinstance(file, Table):
        return None
    if not file.path.removesuffix(".gz").endswith(".tsv"):
        return file
    first = next(file.chunks(), "").partition("\n")[0]
    return file if {cell.strip().strip('"') for cell in first.split("\t")} & set(columns.values()) else None


def pairs_of_table(file, columns):
    """The pairs of a file; `columns` names those of the sources and the targets, or None: the usual ones."""
    names = sides_of(list(file.rows.columns), columns, file.name)
    rows = zip(*(file.rows.cells(name) for name in names), strict=True)
    pairs = list(pairs_of_cells((file.place(number), source, target) for (number, source), (_, target) in rows))
    if not pairs:
        raise ValueError(f"{file.name} holds no pairs")
    return pairs


def sides_of(names, columns, where):
    """The names of the columns of the sources and of the targets."""
    return [column_of(names, named, (side,), f"{side}s", f"{side}_column", where) for side, named in columns.items()]


def pairs_of_cells(cells):
    """The pairs that are not empty, of the place, the source and the target of each."""
    for place, *pair in cells:
        if not all(isinstance(text, str) for text in pair):
            raise ValueError(f"{place}: a source and a target are texts. Received: {pair!r:.80}")
        if all(text.strip() for text in pair):
            yield tuple(" ".join(text.split()) for text in pair)


def _lines(path, encoding):
    if not pathlib.Path(path).is_file():
        raise ValueError(f"There is no file {path}")
    return "".join(TextFile(path, encoding).chunks()).split("\n")


def _parallel(source, target, encoding):
    sides = [_lines(path, encoding) for path in (source, target)]
    sides = [lines[:-1] if lines[-1] == "" else lines for lines in sides]
    some = [line for lines in sides for line in lines[:LOOKED_AT] if line.strip()]
    if some and all("\t" in line for line in some):
        raise ValueError(
            f"Two files are the sources and their targets, and {source} and {target} are tables of pairs, a tab in "
            "each line: put them together into one"
        )
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            "Of two files each line of the one belongs to the same line of the other. Received: "
            f"{len(sides[0]):,} lines in {source}, {len(sides[1]):,} in {target}"
        )
    pairs = [(s.strip(), t.strip()) for s, t in zip(*sides) if s.strip() and t.strip()]
    if not pairs:
        raise ValueError(f"{source} and {target} hold no pairs")
    return pairs


def _table(lines, path):
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            found = f"{len(cells) - 1} tabs in " if len(cells) != 2 else ""
            raise ValueError(
                f"{path}, line {number}: a source and a target with one tab between them. "
                f"Received: {found}{line[:200]!r}"
            )
        pairs.append((cells[0].strip(), cells[1].strip()))
    return pairs


def _check_dictionary(pairs, path):
    """Raises where pairs that were taken for a dictionary's are none: a second file was forgotten, say."""
    some = pairs[:LOOKED_AT]
    if 2 * sum(phonemes.isupper() for _, phonemes in some) < len(some):
        raise ValueError(
            f"{path} has no tab between sources and targets, and does not look like a pronouncing dictionary, whose "
            "phonemes are capitals: name a second file with the targets, or set task_settings.format=cmudict"
        )


def _dictionary(lines, path):
    pairs = []
    for number, line in enumerate(lines, 1):
        entry = line.split(" #")[0].strip()
        if not entry or entry.startswith(";;;"):
            continue
        word, *phonemes = entry.split()
        if not phonemes:
            raise ValueError(f"{path}, line {number}: a word and its phonemes. Received: {line[:80]!r}")
        pairs.append((_VARIANT.sub("", word), " ".join(phonemes)))
    return pairs


def without_stress(pairs):
    """The same, without the digits that mark stress; of what is then twice there, one."""
    return list(dict.fromkeys((source, re.sub(r"\d", "", target)) for source, target in pairs))


def split_pairs(pairs, shares):
    """Pairs in parts by percentages, such as (90, 5, 5): all pairs of one source are in one part.

    Of the sources, in their order, each hundred gives as many to a part: none depends on chance, or on what follows.
    """
    if sum(shares) != 100 or min(shares) < 0:
        raise ValueError(f"Shares are percentages that add up to 100. Received: {shares}")
    number, parts, bounds = {}, [[] for _ in shares], [sum(shares[: k + 1]) for k in range(len(shares))]
    for source, target in pairs:
        place = 37 * number.setdefault(source, len(number)) % 100  # neighbours, which are alike, lie far apart
        parts[next(k for k, bound in enumerate(bounds) if place < bound)].append((source, target))
    return parts


def fingerprint_of(pairs):
    digest = hashlib.sha256()
    for source, target in pairs:
        digest.update(f"{source}\t{target}\n".encode())
    return digest.hexdigest()
