"""The adaptive softmax: how it computes a cluster at the rows alone that need it, and whose order it takes."""

import warnings

import numpy as np
import pytest
from keras import ops

from keras_rnnlm.heads import AdaptiveSoftmax, cross_entropy
from tests.heads.every_head import frequencies, head_of, randomized, weights_of
from tests.heads.test_every_head import by_all_logits, tensors, total_of
from tests.support import BACKEND, largest_relative_difference, numpy, on_tensorflow, value_and_gradients


@pytest.mark.parametrize("ranks", [(0, 5), (12, 23)], ids=["shortlist", "rarest"])
@pytest.mark.parametrize("case", ["adaptive", "adaptive, tied"])
def test_a_batch_of_one_cluster_alone_is_exact(case, ranks):
    head, embedding = head_of(case)
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(40, 6)).astype("float32"), rng.integers(*ranks, 40).astype("int32")
    assert head._room(40, 12, 23) < 40  # so that the cluster is gone through several times
    rest = targets, np.ones(40, "float32")
    arrays = [features, *(numpy(weight) for weight in weights_of(head, embedding))]
    got, wanted = (
        value_and_gradients(total_of(head, embedding, rest, by), arrays)
        for by in (type(head).total_loss, by_all_logits)
    )
    assert got[0] == pytest.approx(wanted[0], rel=1e-5)
    for gradient, plain in zip(got[1], wanted[1], strict=True):
        np.testing.assert_allclose(gradient, plain, atol=2e-5)  # some are 0


@pytest.mark.parametrize("jit", [False, True])
def test_what_lies_beyond_the_first_rows_costs_nothing_and_has_no_loss(jit):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((20, 3), (9, 3), (9,))]
    targets, weights = rng.integers(0, 9, 20).astype("int32"), rng.random(20).astype("float32")
    for count in (0, 11):

        def total(given, count=count):
            first = ops.convert_to_tensor(count, dtype="int32")
            return cross_entropy.linear_cross_entropy(*given, *tensors(targets, weights), chunk=4, count=first)[0]

        def plain(given, count=count):
            labels = tensors(targets, weights * (np.arange(20) < count))
            return cross_entropy.linear_cross_entropy(*given, *labels)[0]

        got, wanted = value_and_gradients(total, arrays, jit=jit), value_and_gradients(plain, arrays)
        assert got[0] == pytest.approx(wanted[0], rel=1e-5)
        assert largest_relative_difference(got[1], wanted[1]) < 1e-5
        first = ops.convert_to_tensor(count, dtype="int32")
        losses = numpy(cross_entropy.cross_entropy(*tensors(*arrays, targets), chunk=4, count=first))
        assert losses[:count].all() and not losses[count:].any()


@on_tensorflow
@pytest.mark.parametrize("jit", [False, True])
def test_the_size_of_a_batch_may_be_unknown(jit, monkeypatch):
    import tensorflow as tf

    from keras_rnnlm.heads import adaptive

    monkeypatch.setattr(adaptive, "ROWS", 4)
    head, _ = head_of("adaptive")
    signature = [tf.TensorSpec((None, None, 6)), tf.TensorSpec((None, None), "int32")]
    losses = tf.function(head.losses_of, input_signature=signature, autograph=False, jit_compile=jit)
    rng = np.random.default_rng(0)
    for rows in ((1, 1), (3, 5)):
        features, targets = rng.normal(size=(*rows, 6)).astype("float32"), rng.integers(0, 23, rows).astype("int32")
        wanted = numpy(head.losses_of(*tensors(features, targets)))
        np.testing.assert_allclose(losses(features, targets), wanted, atol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="beside PyTorch's own")
def test_it_is_that_of_pytorch():
    import torch

    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(6, 23, [5, 12], div_value=2.0)
    head = AdaptiveSoftmax(23, cutoffs=[5, 12], div_value=2.0, use_bias=False)
    head.build((None, 6))
    randomized(head.weights)
    with torch.no_grad():
        theirs.head.weight.copy_(head.head_kernel.value)
        for tail, projection, kernel in zip(theirs.tail, head.projections, head.kernels):
            tail[0].weight.copy_(projection.value.T)
            tail[1].weight.copy_(kernel.value)
    features, targets = torch.randn(40, 6), torch.randint(0, 23, (40,))
    found = head.losses_of(features, targets)
    np.testing.assert_allclose(numpy(-found), numpy(theirs(features, targets).output.detach()), atol=1e-5)
    np.testing.assert_allclose(numpy(head(features)), numpy(theirs.log_prob(features).detach()), atol=1e-5)


def test_its_settings_follow_the_vocabulary():
    assert AdaptiveSoftmax(33_278).cutoffs == [2079, 8319]
    head = AdaptiveSoftmax(1000)
    assert head.cutoffs == [62, 250]
    head.build((None, 64))
    assert [tuple(kernel.shape) for kernel in (head.head_kernel, *head.kernels)] == [(64, 64), (188, 16), (750, 4)]
    assert AdaptiveSoftmax.from_config(head.get_config()).get_config() == head.get_config()


def test_ids_in_another_order_are_told_of():
    ordered = np.sort(frequencies())[::-1]
    head, _ = head_of("adaptive")
    with warnings.catch_warnings(action="error"):
        head.read_frequencies(ordered)
    with pytest.warns(
        UserWarning, match='not in the order of their frequencies: the first 5 are .* order="frequencies"'
    ):
        head.read_frequencies(ordered[::-1])
