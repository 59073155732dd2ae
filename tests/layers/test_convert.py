"""Weights from PyTorch and TensorFlow Addons."""

import numpy as np
import pytest

from keras_rnnlm import layers
from keras_rnnlm.layers.convert import from_addons, from_torch, to_torch
from tests import reference
from tests.support import numpy


def random_state_dict(gates, features=3, units=4, suffix="_l0", seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"weight_ih": (gates * units, features), "weight_hh": (gates * units, units)}
    shapes |= {"bias_ih": (gates * units,), "bias_hh": (gates * units,)}
    return {name + suffix: rng.normal(size=shape) * 0.5 for name, shape in shapes.items()}


def torch_lstm(x, w, suffix="_l0"):
    """torch.nn.LSTM by its documentation: rows of i, f, g, o."""
    h = c = np.zeros((len(x), w["weight_hh" + suffix].shape[1]))
    for t in range(x.shape[1]):
        z = x[:, t] @ w["weight_ih" + suffix].T + w["bias_ih" + suffix]
        z = z + h @ w["weight_hh" + suffix].T + w["bias_hh" + suffix]
        i, f, g, o = np.split(z, 4, axis=1)
        c = reference.sigmoid(f) * c + reference.sigmoid(i) * np.tanh(g)
        h = reference.sigmoid(o) * np.tanh(c)
    return h


def torch_gru(x, w, suffix="_l0"):
    """torch.nn.GRU by its documentation: rows of r, z, n, and h' = (1-z)*n + z*h."""
    h = np.zeros((len(x), w["weight_hh" + suffix].shape[1]))
    for t in range(x.shape[1]):
        a = np.split(x[:, t] @ w["weight_ih" + suffix].T + w["bias_ih" + suffix], 3, axis=1)
        b = np.split(h @ w["weight_hh" + suffix].T + w["bias_hh" + suffix], 3, axis=1)
        r, z = reference.sigmoid(a[0] + b[0]), reference.sigmoid(a[1] + b[1])
        h = (1 - z) * np.tanh(a[2] + r * b[2]) + z * h
    return h


@pytest.mark.parametrize(
    "layer, gates, equations", [(layers.LSTM, 4, torch_lstm), (layers.GRU, 3, torch_gru)], ids=["lstm", "gru"]
)
def test_weights_from_torch_give_its_outputs(layer, gates, equations):
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    for suffix, how in (("_l0", {}), ("_l1_reverse", dict(layer=1, reverse=True))):
        state_dict = random_state_dict(gates, suffix=suffix)
        ours = layer(4)
        ours.build(x.shape)
        ours.set_weights(from_torch(state_dict, **how))
        np.testing.assert_allclose(numpy(ours(x.astype("float32"))), equations(x, state_dict, suffix), atol=1e-5)


@pytest.mark.parametrize("module, layer", [("LSTM", layers.LSTM), ("GRU", layers.GRU), ("RNN", layers.SimpleRNN)])
def test_weights_from_a_torch_module_give_its_outputs(module, layer):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, module)(3, 4, num_layers=2, batch_first=True)
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    y = x
    for k in range(2):
        ours = layer(4, return_sequences=True)
        ours.build(y.shape)
        ours.set_weights(from_torch(theirs.state_dict(), layer=k))
        y = ours(y)
    np.testing.assert_allclose(numpy(y), theirs(torch.tensor(x))[0].detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.LSTM(4),
        lambda: layers.LSTM(4, use_bias=False),
        lambda: layers.LSTM(4, projection_units=2),
        lambda: layers.LSTM(4, projection_units=2, use_bias=False),
        lambda: layers.GRU(4),
        lambda: layers.GRU(2, use_bias=False),
        lambda: layers.SimpleRNN(4),
    ],
)
def test_weights_go_to_torch_and_come_back(make):
    layer = make()
    layer.build((None, None, 3))
    weights = [np.random.default_rng(k).normal(size=w.shape) for k, w in enumerate(layer.weights)]
    for how in ({}, dict(layer=1, reverse=True)):
        back = from_torch(to_torch(weights, **how), **how)
        for before, after in zip(weights, back, strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    "make", [lambda: layers.LSTM(4, peephole="o", peephole_kind="full"), lambda: layers.GRU(4, reset_after=False)]
)
def test_what_torch_does_not_have_is_not_converted(make):
    layer = make()
    layer.build((None, None, 3))
    with pytest.raises(
        ValueError, match="those of a plain LSTM, GRU with reset_after=True or SimpleRNN.*Received shapes"
    ):
        to_torch(layer.get_weights())


def test_weights_of_a_cell_and_of_a_module_itself_are_taken():
    state_dict = random_state_dict(3)
    cell = {name.removesuffix("_l0"): array for name, array in state_dict.items()}
    module = type("Module", (), {"state_dict": lambda self: cell})()
    for found in (from_torch(cell, kind="GRU"), from_torch(module)):
        for one, other in zip(found, from_torch(state_dict), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_module_of_layers_goes_before_a_cell_beside_it():
    wanted = random_state_dict(4)
    both = {f"encoder.lstm.{name}": array for name, array in wanted.items()}
    both |= {f"decoder.cell.{name}": array for name, array in random_state_dict(3, suffix="", seed=1).items()}
    for how in ({}, {"prefix": "encoder.lstm."}):
        for one, other in zip(from_torch(both, **how), from_torch(wanted), strict=True):
            np.testing.assert_array_equal(one, other)
    assert from_torch(both, prefix="decoder.cell.")[0].shape == (3, 12)


@pytest.mark.parametrize("module, layer", [("LSTM", layers.LSTM), ("GRU", layers.GRU), ("RNN", layers.SimpleRNN)])
def test_a_torch_module_with_our_weights_gives_our_outputs(module, layer):
    torch = pytest.importorskip("torch")
    x, found, outputs = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32"), {}, []
    for how in ({}, {"reverse": True}):
        ours = layer(4, go_backwards=bool(how))
        outputs.append(numpy(ours(x)))
        found |= to_torch(ours.get_weights(), **how)
    theirs = getattr(torch.nn, module)(3, 4, batch_first=True, bidirectional=True)
    theirs.load_state_dict({name: torch.tensor(np.array(array)) for name, array in found.items()})
    got = theirs(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(
        np.concatenate([got[:, -1, :4], got[:, 0, 4:]], 1), np.concatenate(outputs, 1), atol=1e-5
    )


def test_a_projected_state_and_a_module_of_a_model_are_found():
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 4, proj_size=2, batch_first=True)
            self.head = torch.nn.Linear(2, 5)

    theirs, x = Model(), np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    ours = layers.LSTM(4, projection_units=2, return_sequences=True)
    ours.build(x.shape)
    ours.set_weights(from_torch(theirs.state_dict()))
    np.testing.assert_allclose(numpy(ours(x)), theirs.lstm(torch.tensor(x))[0].detach().numpy(), atol=1e-5)


def test_of_several_modules_one_is_named():
    both = {f"{name}.{key}": w for name in ("encoder", "decoder") for key, w in random_state_dict(4).items()}
    with pytest.raises(ValueError, match=r"by `prefix`, one of \['decoder.', 'encoder.'\]"):
        from_torch(both)
    with pytest.raises(ValueError, match="prefix='lstm.'"):
        from_torch(both, prefix="lstm.")
    np.testing.assert_array_equal(from_torch(both, prefix="encoder.")[0], from_torch(random_state_dict(4))[0])


def test_a_torch_module_without_biases_has_two_weights():
    state_dict = {name: w for name, w in random_state_dict(4).items() if "weight" in name}
    ours = layers.LSTM(4, use_bias=False)
    ours.build((None, None, 3))
    ours.set_weights(from_torch(state_dict))


def test_what_is_not_a_torch_layer_is_named():
    with pytest.raises(ValueError, match="no weight_ih_l1 and no weight_hh_l1.*weight_hh_l0"):
        from_torch(random_state_dict(4), layer=1)
    with pytest.raises(ValueError, match=r"`kind`.*'gru'.*\(16, 4\)"):
        from_torch(random_state_dict(4), kind="gru")


def test_weights_from_addons_give_its_outputs():
    rng = np.random.default_rng(0)
    w = reference.random_lstm_weights(rng, 3, 4, peephole="ifo")
    names = ["kernel", "recurrent_kernel", "bias", "peephole_i", "peephole_f", "peephole_o"]
    layer = layers.LSTM(4, peephole=True)
    layer.build((None, None, 3))
    layer.set_weights(from_addons([w[name] for name in names]))
    x = rng.normal(size=(2, 5, 3))
    zeros = np.zeros((2, 4))
    wanted = reference.lstm(x, w, zeros, zeros, peephole="ifo")["output"][:, -1]
    np.testing.assert_allclose(numpy(layer(x.astype("float32"))), wanted, atol=1e-5)
    with pytest.raises(ValueError, match=r"PeepholeLSTMCell.*\(3, 16\)"):
        from_addons([w["kernel"], w["recurrent_kernel"], w["bias"]])
