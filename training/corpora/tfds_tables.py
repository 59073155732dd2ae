"""Data sets of tensorflow-datasets as tables: a row is an example."""

from keras_rnnlm.training.corpora.tables import Table
from keras_rnnlm.training.corpora.tfds_documents import builder_of, parsed, splits_of


def tables_of_tfds(source, column=None, learns=True):
    """The `Table` of each split of "tfds:NAME[/CONFIG][:VERSION][:FIELD]", by the names of splits."""
    name, field = parsed(source)
    builder, wanted = builder_of(name), field[0] if field else column
    splits = splits_of(builder, source, learns)
    return {role: TfdsTable(builder, split, count, wanted) for role, (split, _, count) in splits.items()}


class TfdsTable(Table):
    """A split as a table."""

    def __init__(self, builder, split, count, wanted=None):
        self.path = self.name = f"{builder.info.full_name} {split}"
        self.encoding, self._wanted, self.size = "utf-8", wanted, count
        self.stamp = count, builder.info.splits[split].num_bytes
        self.rows = TfdsRows(builder, split)

    def check(self):
        """A version of a dataset stays as it is."""


class TfdsRows:
    """The rows of a split: texts, and names in place of the numbers of labels.

    Attributes:
        columns: dict of each column's name to whether it holds text.
    """

    counted = "example"

    def __init__(self, builder, split):
        import tensorflow_datasets as tfds

        self.builder, self.split, self.kinds = builder, split, tfds.features
        features = builder.info.features
        self.columns = {name: isinstance(feature, tfds.features.Text) for name, feature in features.items()}

    def cells(self, column):
        """Yields (number of the example, value)."""
        for number, row in self.objects([column]):
            yield number, row[column]

    def objects(self, columns=None):
        """Yields (number of the example, dict of its columns)."""
        import tensorflow_datasets as tfds

        columns = list(self.columns) if columns is None else columns
        examples = self.builder.as_dataset(
            split=self.split,
            shuffle_files=False,
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
            decoders=tfds.decode.PartialDecoding(dict.fromkeys(columns, True)),
        )
        features = self.builder.info.features
        for number, example in enumerate(examples.as_numpy_iterator(), 1):
            yield number, {name: self._plain(features[name], example[name]) for name in columns}

    def _plain(self, feature, value):
        """A value of Python's own."""
        if isinstance(feature, self.kinds.ClassLabel):
            return None if value < 0 else feature.int2str(int(value))
        if isinstance(feature, self.kinds.Sequence):
            if isinstance(value, dict):
                return {name: self._each(feature.feature[name], inner) for name, inner in value.items()}
            return self._each(feature.feature, value)
        if isinstance(value, dict):
            return {name: self._plain(feature[name], inner) for name, inner in value.items()}
        if isinstance(value, bytes):
            return value.decode()
        return value.tolist() if hasattr(value, "tolist") else value

    def _each(self, feature, values):
        return [self._plain(feature, value) for value in values]
