import keras

from keras_rnnlm import layers
from keras_rnnlm.models.signatures import Signature, Tensor
from keras_rnnlm.models.tally import Tally
from tests.majority import NAME


@keras.saving.register_keras_serializable(package="tests")
class Majority(keras.Model):
    """Sequences of symbols, (batch, time), to the logits of which is the most frequent, (batch, symbols)."""

    def __init__(self, symbols, units, **kwargs):
        super().__init__(**kwargs)
        self.symbols, self.units = symbols, units
        self.embedding = keras.layers.Embedding(symbols, units, name="embedding")
        self.recurrent = layers.GRU(units, name="recurrent")
        self.logits = keras.layers.Dense(symbols, name="logits")
        self.nats = keras.metrics.Mean(name="nats")
        self(keras.ops.zeros((1, 1), "int32"))

    def call(self, tokens):
        return self.logits(self.recurrent(self.embedding(tokens)))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        self.nats.update_state(keras.ops.stop_gradient(losses))
        return keras.ops.mean(losses)

    def tally(self):
        return Tally(self.nats.total, self.nats.count, choices=self.symbols, unit="sequence")

    def signatures(self):
        tokens = Tensor("tokens", (None, None), "int32", below=self.symbols)
        call = lambda inputs: {"logits": self(inputs["tokens"])}  # noqa: E731
        return [Signature("vote", (tokens,), ("logits",), call, task=NAME, facts={"vocabulary_size": self.symbols})]

    def get_config(self):
        return {**super().get_config(), "symbols": self.symbols, "units": self.units}
