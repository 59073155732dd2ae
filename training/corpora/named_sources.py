"""Sources that are named, not found by a path: data sets of the libraries of TensorFlow and of Hugging Face."""

from keras_rnnlm.training.corpora.file_sources import SPLITS, named_split
from keras_rnnlm.training.corpora.hugging_face import HuggingFace
from keras_rnnlm.training.corpora.tfds_tables import tables_of_tfds

OF_ROWS = ("tfds:", "hf:")  # begin the names of data sets whose rows are examples


def of_rows(sources):
    """Those of the sources whose rows are examples."""
    return [source for source in sources if source.startswith(OF_ROWS)]


def to_evaluate(source):
    """A data set with the split that is evaluated: the one that is named, or else test, valid or train."""
    if named_split(source)[1] is not None:
        return source
    tables = tables_of(source, learns=False)
    return f"{source}@{next(name for name in reversed(SPLITS) if name in tables)}"


def tables_of(source, column=None, learns=True):
    """The `Table` of each split of a data set, by the names of splits: one of them "train" where somebody `learns`."""
    if source.startswith("hf:"):
        return HuggingFace(source, column, learns).tables
    return tables_of_tfds(source, column, learns)


def column_of(row_columns, wanted, usual, what, option, name):
    """The name of a column: the one that is wanted, or the only one that is called as usual.

    Args:
        row_columns: the names of all.
        usual: names that such a column usually has.
        what: what it holds, for messages.
        option: the setting that names it.
        name: of the table.
    """
    listed = ", ".join(map(repr, row_columns))
    if wanted is not None:
        if wanted not in row_columns:
            raise ValueError(f"{name} has no column {wanted!r}. It has the columns {listed}.")
        return wanted
    found = [column for column in row_columns if column.lower() in usual]
    if len(found) != 1:
        raise ValueError(
            f"No column of {name} is plainly that of the {what}: name one by `--set task_settings.{option}=NAME`. "
            f"It has the columns {listed}."
        )
    return found[0]
