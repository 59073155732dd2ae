"""What a step reads beside x and its states, and what it gives beside them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import export, layers, recurrence
from tests.cells.of_someone_else import AttendingCell, WeightDropCell
from tests.support import largest_relative_difference, numpy, on_tensorflow, value_and_gradients

BATCH, TIME, UNITS = 2, 6, 4
MASK = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0]], "bool")


def attending(**how):
    layer = layers.Recurrent(AttendingCell(UNITS, seed=1), return_sequences=True, return_state=True, **how)
    layer.build((None, None, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


def arrays(width=3):
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype("float32") for shape in ((BATCH, TIME, width), (BATCH, 3, UNITS))]


@pytest.mark.parametrize("how", [{}, {"remat": True, "go_backwards": True}], ids=str)
def test_what_is_read_and_what_is_noted_have_the_gradient_of_plain_autodiff(how):
    layer = attending(return_trace=["weights"], **how)
    rng = np.random.default_rng(2)
    up = [ops.convert_to_tensor(rng.normal(size=(BATCH, TIME, n)), dtype="float32") for n in (UNITS, 3)]

    def loss(tensors):
        keras.utils.set_random_seed(7)
        x, memory, *weights = tensors
        fixed = [variable.value for variable in layer.non_trainable_variables]
        (output, _, trace), _ = layer.stateless_call(
            weights, fixed, x, reads={"memory": memory}, mask=MASK, training=True
        )
        return ops.sum(output * up[0]) + ops.sum(trace["weights"] * up[1])

    given = [*arrays(), *[numpy(weight) for weight in layer.trainable_weights]]
    value, gradients = value_and_gradients(loss, given)
    token = recurrence.plain_autodiff.set(True)
    try:
        wanted_value, wanted = value_and_gradients(loss, given)
    finally:
        recurrence.plain_autodiff.reset(token)
    assert value == pytest.approx(wanted_value, rel=1e-4)
    assert largest_relative_difference(gradients, wanted) < 1e-4
    assert np.abs(gradients[1]).max() > 0


def test_what_is_noted_is_zero_at_masked_steps_and_is_what_the_trace_has():
    x, memory = arrays()
    *_, some = attending(return_trace=["weights"])(x, reads={"memory": memory}, mask=MASK)
    *_, everything = attending(return_trace=True)(x, reads={"memory": memory}, mask=MASK)
    assert list(some) == ["weights"] and sorted(everything) == ["h", "weights"]
    wanted = np.where(MASK[:, :, None], numpy(everything["weights"]), 0)
    np.testing.assert_allclose(numpy(some["weights"]), wanted, atol=1e-6)
    np.testing.assert_allclose(numpy(some["weights"]).sum(axis=-1), MASK, atol=1e-6)


def test_windows_and_single_steps_read_the_same_through_a_stack():
    stack = layers.RecurrentStack([layers.GRU(UNITS), layers.Recurrent(AttendingCell(UNITS, seed=1))])
    x, memory = arrays()
    reads = {"memory": memory}
    whole, ended = stack(x, reads=reads)
    assert stack.reads == ("memory",) and np.abs(numpy(whole - stack(x, reads={"memory": 2 * memory})[0])).max() > 1e-3
    first, states = stack(x[:, :2], reads=reads)
    second, after = stack(x[:, 2:], states, reads=reads)
    np.testing.assert_allclose(np.concatenate([numpy(first), numpy(second)], axis=1), numpy(whole), atol=1e-5)
    states = stack.initial_states(BATCH)
    for t in range(TIME):
        h, states = stack.step(x[:, t], states, reads=reads)
        np.testing.assert_allclose(numpy(h), numpy(whole)[:, t], atol=1e-5)
    for got, same, want in zip(states, after, ended, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-5)
        np.testing.assert_allclose(numpy(same), numpy(want), atol=1e-5)


def test_noise_is_drawn_for_each_step_and_in_training_alone():
    x, memory = arrays()
    layer = attending()
    for weight in layer.weights:
        weight.assign(0 * weight)
    drawn, _ = layer(x, reads={"memory": 0 * memory}, training=True)
    assert len(np.unique(numpy(drawn))) == BATCH * TIME * UNITS
    assert not numpy(layer(x, reads={"memory": 0 * memory})[0]).any()


def test_weights_are_dropped_once_a_sequence():
    """From a zero state that moves the second step, not the first, and every step by the same matrix."""
    layer = layers.Recurrent(WeightDropCell(UNITS, seed=3), return_sequences=True, return_state=True)
    x = np.repeat(arrays()[0][:, :1], TIME, axis=1)
    plain, dropped = numpy(layer(x)[0]), numpy(layer(x, training=True)[0])
    np.testing.assert_allclose(dropped[:, 0], plain[:, 0], atol=1e-6)
    assert np.abs(dropped[:, 1] - plain[:, 1]).max() > 1e-4
    kernel = layer.cell.recurrent_kernel
    # What the layer computes is what an LSTM computes by the matrix that was drawn.
    seed = layer.cell.seed_generator.state
    before = numpy(seed)
    drawn = numpy(layer.cell.read_weights(training=True)["recurrent_kernel"])
    seed.assign(before)
    dropped = numpy(layer(x, training=True)[0])
    assert 0 < np.mean(drawn == 0) < 1
    kernel.assign(drawn)
    np.testing.assert_allclose(numpy(layer(x)[0]), dropped, atol=1e-5)


def test_a_graph_of_keras_reads_and_is_saved(tmp_path):
    series, memory = keras.Input((None, 3), name="series"), keras.Input((3, UNITS), name="memory")
    hidden, _ = attending()(series, reads={"memory": memory})
    model = keras.Model([series, memory], keras.layers.Dense(2)(hidden))
    model.save(tmp_path / "model.keras")
    given = arrays()
    wanted = numpy(model(given))
    np.testing.assert_array_equal(numpy(keras.models.load_model(tmp_path / "model.keras")(given)), wanted)


@on_tensorflow
@pytest.mark.filterwarnings("ignore:.*becomes a Loop")
@pytest.mark.parametrize("write, file", [
    (export.to_saved_model, "m"), (export.to_onnx, "m.onnx"), (export.to_litert, "m.tflite"),
])  # fmt: skip
def test_what_is_read_goes_into_every_format(write, file, tmp_path):
    series, memory = keras.Input((TIME, 3), name="series"), keras.Input((3, UNITS), name="memory")
    model = keras.Model([series, memory], attending()(series, reads={"memory": memory})[0])
    assert write(model, tmp_path / file).parity.error < 1e-5


@pytest.mark.parametrize(
    "reads, message",
    [
        (None, r"every step of .* reads, here of memory. Received: \[\]"),
        (
            {"memory": np.zeros((BATCH, 3, UNITS)), "more": np.zeros(BATCH)},
            r"here of memory. Received: \['memory', 'more'\]",
        ),
        ({"memory": np.zeros((BATCH + 1, 3, UNITS))}, r"a row for each sequence, here 2. Received: 'memory' of shape"),
        (np.zeros(2), "Received: <class "),
    ],
)
def test_wrong_reads_are_told(reads, message):
    with pytest.raises(ValueError, match=message):
        attending()(arrays()[0], reads=reads)
    if reads is not None and np.shape(reads) != (2,):
        with pytest.raises(ValueError, match="is a dict of what the layers of .* read: nothing"):
            layers.RecurrentStack([layers.GRU(3)])(arrays()[0], reads=reads)


def test_a_wrong_trace_is_told():
    with pytest.raises(ValueError, match=r"a list of what the step notes: weights, h. Received: .*\['x'\]"):
        attending(return_trace=["x"])
