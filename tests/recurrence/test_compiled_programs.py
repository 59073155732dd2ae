"""How much TensorFlow has to compile, and what stays in memory of it."""

import warnings

import keras
import numpy as np
import pytest

from keras_rnnlm import layers, recurrence
from keras_rnnlm.cells.dot import Dot
from keras_rnnlm.recurrence import memory_maps
from tests.cases import EACH, build, data
from tests.cells.of_someone_else import LeakyCell
from tests.support import numpy, on_tensorflow

pytestmark = on_tensorflow


@pytest.fixture
def programs(monkeypatch):
    """The shapes that each loop is run with, one after another: XLA compiles a program for each."""
    import tensorflow as tf

    seen = []

    def region(f):
        if recurrence.backend.is_compiled():
            return f

        def noted(*args):
            shapes = [tf.shape(tensor) for tensor in tf.nest.flatten(args) if tensor is not None]
            with tf.control_dependencies([tf.py_function(note, shapes, [])]):
                return f(*tf.nest.map_structure(tf.identity, args))

        def note(*shapes):
            seen.append((f.__name__, *(tuple(shape.numpy()) for shape in shapes)))

        return noted

    monkeypatch.setattr(recurrence.backend, "region", region)
    return seen


def of_any_length(layer):
    """Gradients by a graph whose inputs are of any length."""
    import tensorflow as tf

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((2, None, 3))])
    def gradients(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        return tape.gradient(loss, [x, *[variable.value for variable in layer.trainable_variables]])

    return gradients


def test_twenty_lengths_take_one_program_forward_and_one_back(programs):
    layer = layers.LSTM(5, peephole=True, activation=lambda x: keras.ops.tanh(x))  # no layer before was its equal
    gradients = of_any_length(layer)
    rng = np.random.default_rng(0)
    for length in range(11, 31):
        gradients(rng.normal(size=(2, length, 3)).astype("float32"))
    assert len(programs) == 40
    assert len(set(programs)) == 2
    gradients(rng.normal(size=(2, 70, 3)).astype("float32"))
    assert len(set(programs)) == 4


@pytest.mark.parametrize("mask", [False, True])
def test_a_graph_of_any_length_has_the_results_of_each(mask):
    import tensorflow as tf

    layer = layers.GRU(4, return_sequences=True, return_state=True)
    rng = np.random.default_rng(0)

    def run(x, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            output, state = layer(x, mask=mask)
            loss = tf.reduce_sum(output**2) + tf.reduce_sum(state**3)
        return output, state, *tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])

    signature = [tf.TensorSpec((2, None, 3)), tf.TensorSpec((2, None), "bool")]
    function = run if mask else lambda x: run(x, None)
    any_length = tf.function(function, autograph=False, input_signature=signature[: 1 + mask])
    for length in (1, 7, 32, 33):
        x = tf.constant(rng.normal(size=(2, length, 3)).astype("float32"))
        given = (x, tf.constant(rng.random((2, length)) < 0.7)) if mask else (x,)
        token = recurrence.plain_autodiff.set(True)
        wanted = tf.function(run, autograph=False)(*given, *[None] * (not mask))
        recurrence.plain_autodiff.reset(token)
        for got, want in zip(any_length(*given), wanted, strict=True):
            np.testing.assert_allclose(numpy(got), numpy(want), atol=1e-4)


def test_an_unrolled_layer_is_not_compiled_step_by_step():
    import tensorflow as tf

    layer = layers.LSTM(4, peephole=True, unroll=True)
    layer.build((2, 5, 3))
    graph = tf.function(lambda x: layer(x), autograph=False).get_concrete_function(tf.TensorSpec((2, 5, 3))).graph
    assert "XlaMustCompile" not in str(graph.as_graph_def())


@pytest.fixture
def loops_made(monkeypatch):
    """The loops that were made, one after another: each is compiled by itself."""
    made, loops = [], recurrence.Loops.__init__

    def noted(self, *args):
        made.append(args)
        loops(self, *args)

    monkeypatch.setattr(recurrence.Loops, "__init__", noted)
    monkeypatch.setattr(recurrence, "_shared", {})
    return made


def trained(layer):
    import tensorflow as tf

    x = tf.constant(np.ones((2, 4, 3), "float32"))
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x))
    return numpy(tape.gradient(loss, x))


@pytest.mark.long
def test_equal_layers_of_different_models_share_what_was_compiled(loops_made):
    def layer():
        return layers.LSTM(5, peephole=True, activation=keras.activations.softsign)

    trained(layer())
    assert len(loops_made) == 1
    keras.backend.clear_session()
    for _ in range(3):
        trained(layer())
    assert len(loops_made) == 1


def leaky(**options):
    return layers.Recurrent(LeakyCell(5, kernel_initializer="ones", recurrent_initializer="ones", **options))


def test_cells_of_someone_else_share_what_was_compiled(loops_made):
    found = trained(leaky())
    keras.backend.clear_session()
    np.testing.assert_array_equal(trained(leaky()), found)
    assert len(loops_made) == 1
    # Another argument, attribute or class, or a changed function of the class, is another step.
    assert np.abs(trained(leaky(leak=0.25)) - found).max() > 1e-3
    assert len(loops_made) == 2
    changed = leaky()
    changed.cell._scale, changed.cell.table = 2.0, np.ones(2)
    trained(changed)
    changed = leaky()
    changed.cell._scale, changed.cell.table = 2.0, np.zeros(2)
    trained(changed)
    assert len(loops_made) == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LeakyCell, "step", lambda self, dot, x, states, p: (x,))
        assert np.abs(trained(leaky()) - found).max() > 1e-3
    assert len(loops_made) == 5
    trained(layers.Recurrent(type("Local", (LeakyCell,), {})(5)))
    assert len(loops_made) == 6
    np.testing.assert_array_equal(trained(leaky()), found)
    assert len(loops_made) == 6
    for name in ("tanh", "relu"):  # whatever an attribute is called, it may be read
        named = leaky()
        named.cell.squash_name = name
        trained(named)
    assert len(loops_made) == 8


def test_what_does_not_last_is_shared_by_no_process():
    class Local(LeakyCell):
        pass

    changed = LeakyCell(5)
    changed.helper = object()
    for cell in (Local(5), LeakyCell(5, activation=lambda x: x), changed):
        assert cell.equations() is not None and cell.lasting_equations() is None
    assert LeakyCell(5).equations() == LeakyCell(5, name="other", seed=3).equations() != LeakyCell(6).equations()


@pytest.mark.parametrize("case", EACH, ids=str)
def test_equal_cells_have_equal_equations(case):
    cells = [build(case)[0].cell for _ in range(2)]
    assert cells[0].lasting_equations() == cells[1].lasting_equations() is not None


@pytest.mark.parametrize("case", EACH, ids=str)
def test_a_cell_without_its_weights_still_has_its_step(case):
    layer, _ = build(case)
    alone = layer.cell.without_weights()
    assert not [value for value in vars(alone).values() if isinstance(value, (keras.Variable, keras.layers.Layer))]
    tensors = [
        keras.ops.convert_to_tensor(array.astype("float32")) for array in (data(layer)[0][:, 0], *data(layer)[1])
    ]
    cell, weights = layer.cell, layer.cell.read_weights()
    x = cell.read(tensors[0], weights)
    results = []
    for one in (cell, alone):
        step, kernels, parameters, _ = one.recurrence(weights)
        results.append(step(Dot(kernels, "float32"), x, tuple(tensors[1:]), parameters))
    for got, want in zip(*results, strict=True):
        np.testing.assert_array_equal(numpy(got), numpy(want))


def test_it_is_said_once_that_the_memory_maps_run_out(monkeypatch, tmp_path):
    for name, text in (("maps", "a\n" * 90), ("limit", "100\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory_maps, "MAPS", tmp_path / "maps")
    monkeypatch.setattr(memory_maps, "LIMIT", tmp_path / "limit")
    monkeypatch.setattr(memory_maps, "_said", [])
    compiled = recurrence.backend.region(lambda x: x + 1)
    with pytest.warns(UserWarning, match=r"mapped 90 of the 100 .*or raise the limit as root: sysctl vm.max_map_count"):
        compiled(np.float32(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        memory_maps.warn_near_the_limit()
        memory_maps._said.clear()
        (tmp_path / "maps").write_text("a\n" * 80)
        memory_maps.warn_near_the_limit()
        monkeypatch.setattr(memory_maps, "MAPS", tmp_path / "nowhere")
        memory_maps.warn_near_the_limit()
