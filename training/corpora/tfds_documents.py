"""Texts of tensorflow-datasets: every example is a document."""

import dataclasses
import os
import re
from typing import Any

from keras_rnnlm.training.corpora.file_sources import ROLES, SPLITS, check_splits, named_split, split_of
from keras_rnnlm.training.corpora.text_files import TextDocument


class TensorFlowDataset:
    """ "tfds:NAME[/CONFIG][:VERSION][:FIELD][@SPLIT]", from the folder TFDS_DATA_DIR."""

    def __init__(self, source, download=False):
        name, wanted = parsed(source)
        self.name, self.builder = source, builder_of(name, download)
        self.field = _field(self.builder, *wanted)

    def own_splits(self):
        splits = splits_of(self.builder, self.name)
        return {name: [TfdsDocuments(self.builder, self.field, *split)] for name, split in splits.items()}

    def cut(self, parts, shares):
        """By example."""
        (whole,) = parts
        bounds = [int(whole.stop * sum(shares[:i])) for i in range(len(shares) + 1)]
        if any(a == b for a, b in zip(bounds, bounds[1:])):
            raise ValueError(f"{self.name} has {whole.stop} training examples, too few to be cut into {len(shares)}.")
        return [[dataclasses.replace(whole, start=a, stop=b)] for a, b in zip(bounds, bounds[1:])]


@dataclasses.dataclass(frozen=True)
class TfdsDocuments:
    """The examples `start` to `stop` of a split."""

    builder: Any
    field: str
    split: str
    start: int
    stop: int

    def __iter__(self):
        import tensorflow_datasets as tfds

        examples = self.builder.as_dataset(
            split=f"{self.split}[{self.start}:{self.stop}]",
            shuffle_files=False,
            # One file after the other, none kept in memory.
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            decoders=tfds.decode.PartialDecoding({self.field: True}),
        )
        for number, example in enumerate(examples.as_numpy_iterator(), self.start):
            name = f"{self.builder.info.full_name} {self.split} example {number}"
            try:
                text = example[self.field].decode()
            except UnicodeDecodeError as error:
                raise ValueError(f"{name} is not UTF-8: {error}") from error
            if text:
                yield TextDocument(name, text)

    def describe(self):
        size = self.builder.info.splits[self.split].num_bytes
        return [self.builder.info.full_name, size, self.field, self.split, self.start, self.stop]


def parsed(source):
    """The name of a dataset with its version, and its field in a list that may be empty."""
    source_of_all, split = named_split(source)
    name, *rest = source_of_all.removeprefix("tfds:").split(":")
    version = rest.pop(0) if rest and re.fullmatch(r"\d[\d.*]*", rest[0]) else None
    if not name or len(rest) > 1 or split == "":
        raise ValueError(
            "A TensorFlow dataset is tfds:NAME[/CONFIG][:VERSION][:FIELD], and @SPLIT if one split is meant. "
            f"Received: {source!r}"
        )
    return f"{name}:{version}" if version else name, rest


def splits_of(builder, source, learns=True):
    """The splits by our names: what the dataset calls each, from which example and to which."""
    there, splits = builder.info.splits, {}
    name, named = named_split(source)
    if named is not None:
        split = split_of(there, named, name)
        return {"train": (split, 0, there[split].num_examples)}
    for role in SPLITS:
        found = [split for split in there if ROLES.get(split) == role and there[split].num_examples]
        if found:
            splits[role] = found[0], 0, there[found[0]].num_examples
    check_splits(splits, there, source, learns)
    return splits


def builder_of(name, download=False):
    try:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core import read_only_builder
    except ImportError as error:
        raise ValueError(f'tfds:{name} needs tensorflow-datasets: pip install "keras-rnnlm[tfds]" ({error})') from error
    folder = os.environ.get("TFDS_DATA_DIR")
    try:
        if download:
            tfds.builder(name, data_dir=folder).download_and_prepare()
        # From the files alone: a builder's own code would first look for the data on the network, for minutes.
        return read_only_builder.builder_from_files(name, data_dir=folder)
    except (tfds.core.DatasetNotFoundError, AssertionError, OSError, ValueError) as error:
        where = folder or "~/tensorflow_datasets"
        raise ValueError(
            f"The TensorFlow dataset {name!r} is not on disk in {where}: prepare it there with tensorflow_datasets, "
            f"name its folder in TFDS_DATA_DIR, or allow the download. {' '.join(str(error).split())[:200]}"
        ) from error


def _field(builder, wanted=None):
    import tensorflow_datasets as tfds

    features = builder.info.features
    texts = sorted(name for name, feature in features.items() if isinstance(feature, tfds.features.Text))
    if wanted is None and len(texts) != 1 or wanted is not None and wanted not in texts:
        raise ValueError(
            f"tfds:{builder.info.name}:FIELD names the text to learn from. Received: {wanted}; the texts are {texts}"
        )
    return wanted or texts[0]
