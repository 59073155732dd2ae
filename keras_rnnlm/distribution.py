"""One program over several devices, on JAX: `keras.distribution`, for models that carry states."""

import contextlib

import keras
import numpy as np

from keras_rnnlm.models.carried import NAME
from keras_rnnlm.schema import is_count

BATCH, VOCABULARY = "batch", "vocabulary"  # the axes of the devices


class _WithCarriedStates:
    """Has the states that are carried on the device that their rows are on."""

    def get_variable_layout(self, variable):
        if variable.name.startswith(NAME):
            axes = [self.batch_dim_name] + [None] * (len(variable.shape) - 1)
            return keras.distribution.TensorLayout(axes, self.device_mesh)
        return super().get_variable_layout(variable)


class DataParallel(_WithCarriedStates, keras.distribution.DataParallel):
    """As `keras.distribution.DataParallel`, with the states that are carried on the device that their rows are on.

    Each device has the weights, and as many rows of every batch as the others: a row of windows stays on its device.

    Example:

    >>> keras.distribution.set_distribution(DataParallel())  # doctest: +SKIP
    """


class VocabularyParallel(_WithCarriedStates, keras.distribution.ModelParallel):
    """A `keras.distribution.ModelParallel` for a vocabulary whose weights are too large for one device.

    The embedding and the output layer of a `LanguageModel` are divided by tokens over `shards` devices, and so is what
    the optimizer keeps of them. Each forms the logits of its own tokens, and tells the others their logarithmic sum,
    a number for each row: neither all logits nor the whole table are anywhere. All else is as with `DataParallel`:
    groups of `shards` devices divide the rows of a batch, and within a group each device runs the recurrent layers for
    the same rows.

    The vocabulary is a multiple of `shards`, and the head is one that can be divided: "full" or "projected". Set the
    distribution before the model is made. Files that such a model writes are those of any other.

    Args:
        shards: over how many devices the vocabulary is divided.
        devices: their names, a multiple of `shards`; those of a group one after the other. Default: all.
        auto_shard_dataset: as in `keras.distribution.ModelParallel`.

    Example, eight devices, of which four hold the vocabulary, and the other four, too:

    >>> keras.distribution.set_distribution(VocabularyParallel(shards=4))  # doctest: +SKIP
    """

    def __init__(self, shards, devices=None, auto_shard_dataset=True):
        if keras.backend.backend() != "jax":
            raise ValueError(
                "Keras divides weights over devices on JAX alone: set KERAS_BACKEND=jax. "
                f"Received: shards={shards!r} on {keras.backend.backend()}"
            )
        devices = keras.distribution.list_devices() if devices is None else list(devices)
        if not is_count(shards) or len(devices) % shards:
            raise ValueError(
                "`shards` is a number that divides that of the devices. "
                f"Received: shards={shards!r} and {len(devices)} device(s)"
            )
        groups = np.array(devices).reshape(-1, shards)
        mesh = keras.distribution.DeviceMesh(groups.shape, [BATCH, VOCABULARY], groups)
        layouts = keras.distribution.LayoutMap(mesh)
        layouts["^(.*/)?(embedding/embeddings|logits/kernel)$"] = (VOCABULARY, None)
        layouts["^(.*/)?logits/bias$"] = (VOCABULARY,)
        super().__init__(layout_map=layouts, batch_dim_name=BATCH, auto_shard_dataset=auto_shard_dataset)
        self.shards = shards


def check_can_be_divided(kind):
    """Raises for a class of heads that cannot."""
    if not kind.can_be_divided:
        raise ValueError(
            'A vocabulary that is divided over devices takes the head "full" or "projected": no other can be '
            f"divided. Received: the head {kind.__name__}"
        )


def check_divided(head):
    """Raises where the vocabulary is to be divided over devices, and a model's head, not yet built, cannot be."""
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, VocabularyParallel):
        return
    check_can_be_divided(type(head))
    shards, size = distribution.shards, head.vocabulary_size
    if head.name != "logits":
        raise ValueError(
            'A head whose weights are divided over devices is found by its name: pass `name="logits"`. '
            f"Received: the head {head.name!r}"
        )
    if size % shards:
        raise ValueError(
            f"Each of {shards} devices holds as many tokens of the vocabulary as the others: its size has to be a "
            f"multiple of {shards}, such as {size - size % shards:,} (`vocabulary_size`). Received: {size:,} tokens"
        )


@contextlib.contextmanager
def undistributed():
    """Makes variables on one device of this process meanwhile, as where there is no distribution.

    What was divided may not fit one of the devices: then they are made in the machine's memory.
    """
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    divided = isinstance(before, keras.distribution.ModelParallel)
    try:
        with keras.device("cpu:0") if divided else contextlib.nullcontext():
            yield
    finally:
        keras.distribution.set_distribution(before)
