"""What regularizes a language model in training, by numbers beside a plain computation, and not elsewhere."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_rnnlm import layers
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.models.regularizers import WordDropout
from tests.models.test_language_model import VOCABULARY, gradients_of_a_step, plain_loss, text, tiny, windows
from tests.support import largest_relative_difference, numpy, value_and_gradients

BATCH, TIME, UNITS = 3, 4, 5
UNROLLED = {"cell": "simple_rnn", "cell_options": {"unroll": True}}
EVERYTHING = dict(
    layers=2,
    cell="simple_rnn",
    cell_options={"unroll": True, "weight_drop": 0.4},
    locked_dropout=True,
    dropout=0.3,
    input_dropout=0.2,
    output_dropout=0.5,
    embedding_dropout=0.3,
    ar=2.0,
    tar=3.0,
)


def tensor(array):
    return ops.convert_to_tensor(array, dtype="float32")


def drawn(model, tokens):
    """What the next step of training will draw: the masks with their scales, and the recurrent matrices' masks."""
    seeds = [variable for variable in model.variables if "seed" in variable.path]
    before = [numpy(seed).copy() for seed in seeds]
    ones = ops.ones((*tokens.shape, UNITS))
    parts = model.input_dropout, model.stack.dropout, model.output_dropout
    masks = [numpy(part(ones, training=True)) for part in parts]
    masks.append(numpy(model.word_dropout(ones, tokens, training=True)))
    cells = [layer.cell for layer in model.stack.layers]
    kernels = [
        numpy(cell.read_weights(training=True)["recurrent_kernel"]) / numpy(cell.recurrent_kernel) for cell in cells
    ]
    for seed, value in zip(seeds, before):
        seed.assign(value)
    return masks, kernels


def test_all_of_them_at_once_train_as_a_plain_computation_would():
    keras.utils.set_random_seed(1)
    tokens, targets = text(windows=1)
    model = tiny(**EVERYTHING)
    (reads, between, written, words), kernels = drawn(model, tokens)
    for mask in (reads, between, written):  # one a sequence, of its own
        assert (mask == mask[:, :1]).all() and not (mask == mask[:1]).all()
    assert all(0 < np.mean(kernel == 0) < 1 for kernel in kernels)
    weight = {id(variable): k for k, variable in enumerate(model.weights)}
    cells = [layer.cell for layer in model.stack.layers]
    places = [[weight[id(w)] for w in (c.kernel, c.recurrent_kernel, c.bias)] for c in cells]
    found = {}

    def loss(w):
        x = ops.take(w[weight[id(model.embedding.embeddings)]], tokens, axis=0) * tensor(words * reads)
        for k, (kernel, recurrent, bias) in enumerate(places):
            h, outputs = ops.zeros((BATCH, UNITS)), []
            for t in range(TIME):
                z = ops.matmul(x[:, t], w[kernel]) + ops.matmul(h, w[recurrent] * tensor(kernels[k]))
                h = ops.tanh(z + w[bias])
                outputs.append(h)
            raw = ops.stack(outputs, axis=1)
            x = raw * tensor(written if k else between)
        logits = ops.matmul(x, ops.transpose(w[weight[id(model.head.kernel)]])) + w[weight[id(model.head.bias)]]
        likelihood = plain_loss(logits, targets)
        change = raw[:, 1:] - raw[:, :-1]
        found["nats"] = likelihood
        return likelihood + 2.0 * ops.mean(x * x) + 3.0 * ops.mean(change * change)

    value, gradients = value_and_gradients(loss, [numpy(w) for w in model.weights])
    got, logs = gradients_of_a_step(model, windows(tokens, targets))
    assert logs["loss"] == pytest.approx(value, rel=1e-5)
    assert largest_relative_difference(got, gradients) < 1e-4
    nats = numpy(plain_loss_of(model, loss, found))
    assert logs["perplexity"] == pytest.approx(np.exp(nats), rel=1e-5)
    assert drawn(model, tokens)[0][0].tolist() != reads.tolist()  # the next window's


def plain_loss_of(model, loss, found):
    loss([ops.convert_to_tensor(w) for w in model.get_weights()])
    return found["nats"]


def test_nothing_is_dropped_or_penalized_outside_of_training(tmp_path):
    tokens, targets = text()
    model, plain = tiny(**EVERYTHING), tiny(**UNROLLED, layers=2)
    np.testing.assert_array_equal(numpy(model(tokens)), numpy(plain(tokens)))
    for one in (model, plain):
        one.compile("sgd")
    assert model.evaluate(tokens, targets, verbose=0) == plain.evaluate(tokens, targets, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert {name: again.get_config()[name] for name in EVERYTHING} == EVERYTHING
    np.testing.assert_array_equal(numpy(again(tokens)), numpy(plain(tokens)))


def test_a_mask_is_of_each_step_unless_it_is_locked():
    ones = ops.ones((2, 6, 20))
    model = LanguageModel(VOCABULARY, units=20, layers=2, dropout=0.5, **UNROLLED)
    for part in (model.dropout, model.stack.dropout):
        mask = numpy(part(ones, training=True))
        assert not (mask == mask[:, :1]).all()
    tokens = np.arange(6)[None].repeat(2, axis=0) % VOCABULARY
    locked = LanguageModel(VOCABULARY, units=20, layers=1, dropout=0.5, locked_dropout=True, **UNROLLED)
    dropped = numpy(locked.hidden(tokens, training=True)[0]) == 0
    assert (dropped == dropped[:, :1]).all() and not (dropped[0] == dropped[1]).all()


def test_a_word_is_dropped_wherever_it_stands():
    tokens = np.random.default_rng(0).integers(0, 1000, (4, 500))
    layer = WordDropout(1000, 0.3, seed=1)
    ones = ops.ones((4, 500, 3))
    words = numpy(layer(ones, tokens, training=True))
    kept = np.full(1000, np.nan)
    kept[tokens] = words[..., 0]
    np.testing.assert_array_equal(words, np.repeat(kept[tokens][..., None], 3, axis=-1))
    assert {*np.unique(words).round(5)} == {0, np.float32(1 / 0.7).round(5)}
    assert words.mean() == pytest.approx(1, abs=0.1)
    assert (numpy(layer(ones, tokens)) == 1).all()


def test_penalties_are_means_over_the_tokens_that_count():
    tokens, targets = text(windows=1)
    model = tiny(ar=2.0, tar=3.0)
    model.compile(keras.optimizers.SGD(1.0), reduction="sum")
    wanted, logs = gradients_of_a_step(model, windows(tokens, targets))
    padded = [np.pad(a, ((0, 0), (0, TIME))) for a in (tokens, targets, np.ones(tokens.shape, "float32"))]
    got, more = gradients_of_a_step(model, windows(*padded[:2], time=2 * TIME, weights=padded[2]))
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert more == pytest.approx(logs, rel=1e-5)
    mean = tiny(ar=2.0, tar=3.0)
    _, once = gradients_of_a_step(mean, windows(tokens, targets))
    assert logs["loss"] == pytest.approx(TIME * once["loss"], rel=1e-5)


def test_every_matrix_that_reads_states_is_dropped_and_no_other():
    layer = layers.GridLSTM(UNITS, weight_drop=0.4)
    layer.build((None, None, 3))
    weights = {name: numpy(value) for name, value in layer.cell.read_weights(training=True).items()}
    zeros = {name: np.mean(value == 0) for name, value in weights.items() if "bias" not in name}
    for name, share in zeros.items():
        assert 0.2 < share < 0.6 if "recurrent" in name else share == 0


@pytest.mark.parametrize(
    "make, options",
    [
        (layers.LSTM, {}),
        (layers.GRU, {"recurrent_dropout": 0.3}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_weight_drop_takes_the_gradient_of_the_matrix_that_was_drawn(make, options):
    layer = make(UNITS, weight_drop=0.4, return_sequences=True, seed=1, **options)
    x = np.random.default_rng(0).normal(size=(BATCH, TIME, UNITS)).astype("float32")
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=weight.shape) * 0.5 for weight in layer.weights])
    cell, seed = layer.cell, layer.cell.seed_generator.state
    before = numpy(seed).copy()
    kept = {name: numpy(value) for name, value in cell.read_weights(training=True).items()}
    masks = [kept[name] / numpy(getattr(cell, name)) for name in cell.declared]
    dropped = [name for name, mask in zip(cell.declared, masks) if not np.allclose(mask, 1)]
    assert dropped == [name for name in cell.declared if "recurrent" in name] and dropped
    places = {id(variable): k for k, variable in enumerate(layer.trainable_weights)}
    order = [places[id(getattr(cell, name))] for name in cell.declared]
    up = rng.normal(size=(BATCH, TIME, UNITS)).astype("float32")

    def loss_with(masks, **how):
        def loss(weights):
            keras.utils.set_random_seed(7)  # PyTorch's dropout draws from the global generator
            weights = list(weights)
            for place, mask in zip(order, masks):
                weights[place] = weights[place] * tensor(mask)
            fixed = [variable.value for variable in layer.non_trainable_variables]
            output, _ = layer.stateless_call(weights, fixed, x, training=True)
            return ops.sum(output * tensor(up))

        return loss

    seed.assign(before)
    value, gradients = value_and_gradients(loss_with(np.ones(len(masks))), [numpy(w) for w in layer.trainable_weights])
    cell.weight_drop = 0.0
    seed.assign(before)
    for _ in dropped:
        keras.random.uniform((1,), seed=cell.seed_generator)  # so that what is drawn next is the same
    wanted, others = value_and_gradients(loss_with(masks), [numpy(w) for w in layer.trainable_weights])
    assert value == pytest.approx(wanted, rel=1e-5)
    assert largest_relative_difference(gradients, others) < 1e-4


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(embedding_dropout=1), "`embedding_dropout` is .* from 0 to below 1. Received: embedding_dropout=1"),
        (dict(ar=-1), "`ar` is the factor of a penalty, 0 or above. Received: ar=-1"),
        (dict(tar="1"), "`tar` is the factor of a penalty, 0 or above. Received: tar='1'"),
        (dict(cell_options={"weight_drop": 1.0}), "`weight_drop` is a fraction below 1"),
        (dict(cell_options={"weight_drop": -1}), "`weight_drop` is a fraction, from 0 to 1. Received: weight_drop=-1"),
    ],
)
def test_what_is_no_regularizer_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        LanguageModel(VOCABULARY, units=UNITS, layers=1, **options)


def test_a_cell_without_recurrent_weights_has_none_to_drop():
    class Leaky(layers.SimpleRNN.cell_class):
        recurrent_gates = ""

        def step(self, dot, x, states, p):
            return (0.5 * states[0] + x,)

    with pytest.raises(ValueError, match='Leaky declares none of the kind "recurrent".*weight_drop=0.5'):
        layers.Recurrent(Leaky(UNITS, weight_drop=0.5)).build((None, None, 3))
