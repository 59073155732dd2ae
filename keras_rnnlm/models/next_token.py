"""How a model that predicts the next token learns: from hidden features, by its head, and without all the logits."""

import contextlib
import inspect
import types

import keras
from keras import ops

from keras_rnnlm.models import ids
from keras_rnnlm.models.carried import numbers_for_replicas
from keras_rnnlm.models.quantized import QuantizedInExports
from keras_rnnlm.models.regularizers import activity_penalty
from keras_rnnlm.models.tally import Tally
from keras_rnnlm.models.targets import targets_and_weights
from keras_rnnlm.optimizers import ClippedOptimizer, ClippingReport, replicas
from keras_rnnlm.optimizers.wrapping import compile_again
from keras_rnnlm.recurrence import backend


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Perplexity(keras.metrics.Mean):
    """`exp` of the mean loss per token. `total` holds the sum of the losses in nats, `count` the number of tokens.

    >>> metric = Perplexity()
    >>> metric.update_state([1.0, 3.0])
    >>> round(float(metric.result()), 3)
    7.389
    """

    def result(self):
        return ops.exp(super().result())


class NextTokenModel(QuantizedInExports, keras.Model):
    """`fit`, `evaluate` and `predict` of a model of tokens; the subclass is the network.

    The subclass has `vocabulary_size`, a `head` and the `carried` states, None where batches are texts of their own;
    its `call` ends in `self._output(hidden, raw)`. `raw` is `hidden` before dropout, and the factors `ar` and `tar` are
    of penalties on the two in training.
    """

    ar = tar = 0.0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.autocast = False  # states stay float32, whatever the compute dtype
        self._reduction, self._for_loss = "mean", False
        self._traced = types.SimpleNamespace()  # the batch size that each of Keras's functions was traced for
        self.perplexity = Perplexity(name="perplexity")

    def tally(self):
        """What a training loop reads and sets to zero: the sum of the losses, and the number of tokens."""
        return Tally(self.perplexity.total, self.perplexity.count, choices=self.vocabulary_size)

    def compile(self, optimizer="adam", loss=None, *, reduction="mean", **kwargs):
        """As `keras.Model.compile`, without a loss: it is the cross-entropy.

        Args:
            optimizer: a Keras optimizer; `keras_rnnlm.optimizers.ClippedOptimizer` around it clips and reports.
            loss: nothing, or "sparse_categorical_crossentropy", which is the loss that the model has.
            reduction: what the gradient is taken of: "mean", the mean over tokens, or "sum", the sum over time and the
                mean over the batch, as Zaremba et al. have it: `max_norm` and the learning rate mean another thing,
                and `loss` is logged so.
        """
        if loss not in (None, "sparse_categorical_crossentropy", keras.losses.sparse_categorical_crossentropy):
            raise ValueError(
                f"A LanguageModel brings its loss, the cross-entropy: drop `loss`. Received: loss={loss!r}"
            )
        if reduction not in ("mean", "sum"):
            raise ValueError(f'`reduction` is "mean" or "sum". Received: reduction={reduction!r}')
        self._reduction = reduction
        super().compile(optimizer=optimizer, **kwargs)

    def get_compile_config(self):
        config = super().get_compile_config()
        return config and {**config, "reduction": self._reduction}

    def compile_from_config(self, config):
        compile_again(self, config)

    def fit(self, x=None, *args, **kwargs):
        given = _arguments(super().fit, x, *args, **kwargs)
        validation = given.get("validation_data")
        self._carry("train_function", x)
        self._carry("test_function", validation)
        if hasattr(x, "element_spec"):
            given.setdefault("shuffle", False)  # a dataset has its order, and Keras warns of its own default
        callbacks = given.get("callbacks")
        if isinstance(self.optimizer, ClippedOptimizer) and not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.tree.flatten(callbacks or [])
            if not any(isinstance(callback, ClippingReport) for callback in callbacks):
                given["callbacks"] = [ClippingReport(every_batch=False), *callbacks]
        if isinstance(validation, (list, tuple)):
            self._checked(*validation)
        elif validation is not None:
            given["validation_data"] = self._checked(validation)
        given["x"] = self._checked(x, given.get("y"), given.get("sample_weight"))
        with ids.in_one_line():
            return super().fit(**given)

    def evaluate(self, x=None, *args, **kwargs):
        given = _arguments(super().evaluate, x, *args, **kwargs)
        self._carry("test_function", x)
        if not given.get("_use_cached_eval_dataset"):  # which `fit` has checked
            given["x"] = self._checked(x, given.get("y"), given.get("sample_weight"))
        with self._put_back(), ids.in_one_line():
            return super().evaluate(**given)

    def predict(self, x, *args, **kwargs):
        self._carry("predict_function", x)
        with self._put_back(), ids.in_one_line():
            return super().predict(self._checked(x), *args, **kwargs)

    def _checked(self, x, y=None, sample_weight=None):
        with self._scope():
            return numbers_for_replicas(ids.checked(x, y, sample_weight, self.vocabulary_size))

    def _put_back(self):
        """Leaves the carried states, if any, as they were."""
        return contextlib.nullcontext() if self.carried is None else self.carried.put_back()

    def _carry(self, function, dataset):
        """Makes the variables for the states that this dataset's windows carry: they must be there before a trace."""
        spec = getattr(dataset, "element_spec", None)
        inputs = spec[0] if isinstance(spec, tuple) else spec
        if self.carried is None or not isinstance(inputs, dict) or "start" not in inputs:
            return
        batch = check_batch(inputs["tokens"]) * backend.feeding()
        with self._scope():
            self.carried.make(batch)
        if getattr(self._traced, function, None) != batch:
            # A second batch size would have TensorFlow trace the same function again for any size, and states have one.
            setattr(self, function, None)
            setattr(self._traced, function, batch)

    @contextlib.contextmanager
    def _outputs_for_loss(self):
        """While a step is traced, outputs are what the loss reads, and logits for the metrics that there are."""
        before, self._for_loss = self._for_loss, True
        try:
            yield
        finally:
            self._for_loss = before

    def _output(self, hidden, raw):
        """The logits, or what the loss reads."""
        if not self._for_loss:
            return self.head(hidden)
        output = {"hidden": hidden} | ({"raw": raw} if self.tar else {})
        if self._compile_metrics is not None:
            output["logits"] = ops.stop_gradient(self.head(hidden))
        return output

    def train_step(self, *args):
        with self._outputs_for_loss():
            return super().train_step(*args)

    def test_step(self, *args):
        with self._outputs_for_loss():
            return super().test_step(*args)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        hidden = y_pred["hidden"]
        targets, weights = targets_and_weights(y, sample_weight, hidden.shape[:2], self.vocabulary_size)
        over = count = replicas.summed(ops.sum(weights))
        if training and self._reduction == "sum":
            over = replicas.summed(ops.cast(ops.shape(targets)[0], "float32"))
        over = ops.where(count > 0, over, 1.0)  # a batch of padding only has no loss, and no gradient
        if training and self.compute_dtype == "float16":
            # The gradient by each logit is rounded before it is divided: a mean's would not be float16 numbers.
            loss, losses = self._total_loss(hidden, targets, weights)
            loss = loss / over
        elif training:
            loss, losses = self._total_loss(hidden, targets, weights / over)
        else:
            losses = self.head.losses_of(hidden, targets)
            loss = ops.sum(losses * weights) / over
        if training and (self.ar or self.tar):
            penalty = activity_penalty(hidden, y_pred.get("raw", hidden), weights, self.ar, self.tar)
            loss = loss + penalty * (count / over)  # over as many tokens as the loss is of
        # Flat: of (batch, time), Keras's mean would count rows, not tokens.
        self.perplexity.update_state(
            ops.reshape(ops.stop_gradient(losses), (-1,)), sample_weight=ops.reshape(weights, (-1,))
        )
        return replicas.with_penalties(loss, self.losses)

    def _total_loss(self, hidden, targets, weights):
        """What training goes down by: as `Head.total_loss`."""
        return self.head.total_loss(hidden, targets, weights)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        # Before a first step, Keras has the metrics look at what the model gives elsewhere.
        logits = y_pred.get("logits") if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, logits, sample_weight)

    def _scope(self):
        """Where variables are made: in that of the `tf.distribute` strategy the model was made under."""
        strategy = getattr(self, "distribute_strategy", None)
        return contextlib.nullcontext() if strategy is None else strategy.scope()


def _arguments(method, *args, **kwargs):
    """A call's arguments by name, however they were given."""
    arguments = inspect.signature(method).bind(*args, **kwargs).arguments
    more = arguments.pop("kwargs", {})
    return {**arguments, **more}


def check_batch(tokens):
    """The number of rows, which has to be known."""
    if tokens.shape[0] is None:
        raise ValueError(
            "States are carried row by row, so windows with a `start` come in a dataset with a fixed number of rows: "
            "batch it with drop_remainder=True, or fill it up with rows of weight 0. Received: tokens of shape "
            f"{tuple(tokens.shape)}"
        )
    return tokens.shape[0]
