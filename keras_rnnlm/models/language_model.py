"""The language model: tokens to the logits of the next token, with its states in the open."""

import numbers
import types

import keras
from keras import ops

from keras_rnnlm.heads import by_name as heads
from keras_rnnlm.layers import RecurrentStack
from keras_rnnlm.layers.dropout import dropout_layer
from keras_rnnlm.layers.programs import Programs
from keras_rnnlm.models import ids, signatures
from keras_rnnlm.models.carried import CarriedStates
from keras_rnnlm.models.compiled import compiled, weights_of
from keras_rnnlm.models.embedding import Embedding
from keras_rnnlm.models.next_token import NextTokenModel, Perplexity, check_batch
from keras_rnnlm.models.recurrent_layers import CELLS, recurrent_layers, to_config, uniform
from keras_rnnlm.models.recurrent_layers import from_config as layers_from_config
from keras_rnnlm.models.regularizers import WordDropout
from keras_rnnlm.models.seeds import seeds_from
from keras_rnnlm.schema import is_a, is_count

__all__ = ["CELLS", "LanguageModel", "Perplexity"]


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class LanguageModel(NextTokenModel):
    """An embedding, a stack of recurrent layers and a softmax over the vocabulary.

    `model(tokens)` is (batch, time) to (batch, time, vocabulary): the logits of each next token. States are arguments
    and results: `model(tokens, states, return_states=True)`, `model.step(tokens, states)`, `model.initial_states(n)`.

    In `fit` and `evaluate` the loss is formed chunk by chunk, and the logits never exist as a whole, unless metrics are
    compiled in that read them. The targets are the tokens one step later, the sample weights, if given, one number a
    token (0 for padding), and the inputs are

    - tokens, (batch, time): every row is a text of its own, or
    - a dict of `tokens` and `start`, booleans (batch,): windows of long texts side by side. The states are carried from
      window to window, and start again in the rows whose `start` is True: truncated backpropagation through time.
      `evaluate` and `predict` carry states, too, and put back those that training continues with.

    An id outside of the vocabulary is an error, in arrays, in each batch of a dataset and in calls outside of a graph;
    where only a compiled graph sees it, what comes of it is an error or NaN. A target of weight 0 takes no part: it may
    be any number, such as -1. Under a `tf.distribute` strategy the loss and its gradient are those of the whole batch.

    Of what is logged, `perplexity` counts every token once; `loss` is a mean over batches, however full they are.

    Args:
        vocabulary_size: number of different tokens.
        units: width of the recurrent layers, or a list of the width of each.
        layers: how many recurrent layers; or a list of layers of keras_rnnlm.layers, which then bring everything.
        cell: a name, such as "lstm", of those in `keras_rnnlm.cell_list.CELLS`; or a class of keras_rnnlm.layers or
            keras_rnnlm.cells, or one of your own like them, which "my_package.cells:Mine" names, too.
        cell_options: dict of further arguments of the layers, such as `{"peephole": True, "coupled": True}`.
        embedding_dim: width of the embedding. Default: the first layer's units; with `tied`, the stack's.
        tied: whether the output layer reads the embedding's table.
        connection: between layers: None, "residual", "dense" or "highway", see `keras_rnnlm.layers.RecurrentStack`.
        dropout: fraction dropped, in training, of the embedding, between layers, and of what the output layer reads.
        initial_range: embedding, kernels, recurrent kernels and output matrix start uniform in ± this. None: each
            layer's own initializers.
        seed: of the initial weights and of the dropout (not on PyTorch, whose dropout draws from PyTorch's generator),
            but for layers that were given in a list, and a head that was given.
        head: what turns features into logits and a loss: a name, such as "full", the softmax over the whole vocabulary,
            of those in `keras_rnnlm.head_list.HEADS`; or a class of keras_rnnlm.heads, or one of your own like them,
            which "my_package.heads:Mine" names, too; or a head, which brings everything but the table that it reads
            where `tied`.
        head_options: dict of further arguments of the head, such as `{"cutoffs": [2000, 10000]}`.
        locked_dropout: whether a mask of `dropout` is drawn once a sequence, or window, and is the same at all steps
            (Gal & Ghahramani 2016). Otherwise each step has its own.
        input_dropout: fraction dropped of the embedding. None: that of `dropout`.
        output_dropout: fraction dropped of what the output layer reads. None: that of `dropout`.
        embedding_dropout: fraction of the tokens' types whose embedding is zero, in training, wherever they occur.
        ar: activation regularization (Merity et al. 2017): so many times the mean square of what the output layer reads
            joins the loss, of `fit` alone, and never the perplexity.
        tar: temporal activation regularization: the same of the change of the last layer's output from step to step.

    Regularizers of the recurrent layers, `weight_drop`, `recurrent_dropout` and `zoneout`, are among `cell_options`.

    Example:

    >>> model = LanguageModel(100, units=16, layers=2, cell_options={"peephole": True})
    >>> model(np.zeros((2, 5), "int32")).shape
    (2, 5, 100)
    >>> logits, states = model.step(np.zeros(2, "int32"), model.initial_states(2))
    >>> logits.shape, len(states)
    ((2, 100), 4)
    """

    def __init__(
        self,
        vocabulary_size,
        units=650,
        layers=2,
        cell="lstm",
        cell_options=None,
        embedding_dim=None,
        tied=False,
        connection=None,
        dropout=0.0,
        *,
        initial_range=None,
        seed=None,
        head="full",
        head_options=None,
        locked_dropout=False,
        input_dropout=None,
        output_dropout=None,
        embedding_dropout=0.0,
        ar=0.0,
        tar=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not is_count(vocabulary_size) or vocabulary_size < 2:
            raise ValueError(
                "`vocabulary_size` is the number of different tokens, an integer of at least 2. "
                f"Received: vocabulary_size={vocabulary_size!r}"
            )
        if not (embedding_dim is None or is_count(embedding_dim)):
            raise ValueError(
                f"`embedding_dim` is a positive integer, or None. Received: embedding_dim={embedding_dim!r}"
            )
        if not (initial_range is None or initial_range > 0):
            raise ValueError(f"`initial_range` is positive, or None. Received: initial_range={initial_range!r}")
        if not (is_a(embedding_dropout, numbers.Real) and 0 <= embedding_dropout < 1):
            raise ValueError(
                "`embedding_dropout` is the fraction of the tokens that is dropped, from 0 to below 1. "
                f"Received: embedding_dropout={embedding_dropout!r}"
            )
        for name, factor in (("ar", ar), ("tar", tar)):
            if not (is_a(factor, numbers.Real) and factor >= 0):
                raise ValueError(f"`{name}` is the factor of a penalty, 0 or above. Received: {name}={factor!r}")
        # In a namespace, where Keras does not look for layers.
        self._arguments = types.SimpleNamespace(
            vocabulary_size=int(vocabulary_size),
            units=units,
            layers=layers,
            cell=cell,
            cell_options=cell_options,
            embedding_dim=embedding_dim,
            tied=tied,
            connection=connection,
            dropout=dropout,
            initial_range=initial_range,
            seed=seed,
            head=head,
            head_options=head_options,
            locked_dropout=locked_dropout,
            input_dropout=input_dropout,
            output_dropout=output_dropout,
            embedding_dropout=embedding_dropout,
            ar=ar,
            tar=tar,
        )
        self.vocabulary_size, self.tied = int(vocabulary_size), tied
        self.ar, self.tar = ar, tar
        self._programs = Programs()
        with seeds_from(seed):
            self._make_layers(self._arguments)
            self.build()

    def _make_layers(self, a):
        options = {"dtype": self.dtype_policy}
        for layer in a.layers if isinstance(a.layers, (list, tuple)) else ():
            if isinstance(layer, keras.layers.Bidirectional) or getattr(layer, "bidirectional", False):
                raise ValueError(
                    "A language model reads from left to right: with a bidirectional layer it would see the tokens "
                    f"that it has to predict. Such layers are for encoders. Received: {layer.name!r} in `layers`"
                )
        recurrent = list(a.layers) if isinstance(a.layers, (list, tuple)) else recurrent_layers(a, options)
        stack = RecurrentStack(
            recurrent, a.connection, a.dropout, locked_dropout=a.locked_dropout, name="stack", **options
        )
        width = a.embedding_dim or recurrent[-1 if a.tied and a.connection is None else 0].output_width
        # A tied output layer reads the whole table anyway.
        self.embedding = (keras.layers.Embedding if a.tied else Embedding)(
            a.vocabulary_size, width, embeddings_initializer=uniform(a) or "uniform", name="embedding", **options
        )
        self.stack = stack
        initializer = uniform(a) or "glorot_uniform"
        of_head = {"kernel_initializer": initializer, "name": "logits", **options}
        self.head = heads.head_from(a.head, a.vocabulary_size, a.head_options, **of_head)
        if a.tied:
            self.head.tie(self.embedding)
        self.dropout = dropout_layer(a.dropout, a.locked_dropout, name="dropout", **options)
        self.input_dropout = self.output_dropout = self.word_dropout = None
        if a.input_dropout is not None:
            self.input_dropout = dropout_layer(a.input_dropout, a.locked_dropout, name="input_dropout", **options)
        if a.output_dropout is not None:
            self.output_dropout = dropout_layer(a.output_dropout, a.locked_dropout, name="output_dropout", **options)
        if a.embedding_dropout:
            self.word_dropout = WordDropout(a.vocabulary_size, a.embedding_dropout, name="word_dropout", **options)
        self.carried = CarriedStates(self.stack.state_widths, self.initial_states, name="carried")

    def build(self, input_shape=None):
        if self.built:
            return
        from keras_rnnlm.distribution import check_divided  # which knows the states that models carry

        check_divided(self.head)
        self.embedding.build((None, None))
        self.stack.build((None, None, self.embedding.output_dim))
        self.head.build((None, None, self.stack.output_width))
        self.built = True

    # The network

    def call(self, inputs, states=None, training=False, return_states=False):
        tokens, start = inputs, None
        if isinstance(inputs, dict):
            if "tokens" not in inputs:
                raise ValueError(f"Inputs are `tokens`, or a dict of `tokens` and `start`. Received: {sorted(inputs)}")
            tokens, start = inputs["tokens"], inputs.get("start")
        if len(tokens.shape) != 2:
            raise ValueError(f"Tokens are integers of shape (batch, time). Received: shape {tuple(tokens.shape)}")
        if start is not None:
            if states is not None:
                raise ValueError("Windows with a `start` begin from the states that are carried: drop `states`")
            carried = self.carried.variables_of(check_batch(tokens))
            fresh = ops.cast(start, "bool")[:, None]
            begin = self.initial_states(tokens.shape[0])
            states = [ops.where(fresh, first, s.value) for first, s in zip(begin, carried)]
        hidden, raw, states = self._read(tokens, states, training)
        if start is not None:
            for variable, state in zip(carried, states):
                variable.assign(ops.stop_gradient(state))
        output = self._output(hidden, raw)
        return (output, states) if return_states else output

    def hidden(self, tokens, states=None, training=False):
        """What the output layer reads, (batch, time, features), and the new states."""
        hidden, _, states = self._read(tokens, states, training)
        return hidden, states

    def _read(self, tokens, states, training):
        """What the output layer reads, the same before dropout, and the new states."""
        x = self._embedded(tokens)
        if self.word_dropout is not None:
            x = self.word_dropout(x, tokens, training=training)
        x = (self.input_dropout or self.dropout)(x, training=training)
        raw, states = self.stack(x, states, training=training)
        return (self.output_dropout or self.dropout)(raw, training=training), raw, states

    def step(self, tokens, states):
        """One step, without a loop: tokens (batch,) and states to logits (batch, vocabulary) and the new states."""
        if len(tokens.shape) != 1:
            raise ValueError(f"A step takes one token of each text, (batch,). Received: shape {tuple(tokens.shape)}")
        x, states = self.stack.step(self._embedded(tokens), states)
        return self.head(x), states

    def _embedded(self, tokens):
        poison = ids.poison(tokens, self.vocabulary_size, self.tied)
        x = self.embedding(tokens)
        return x if poison is None else x + ops.cast(poison, x.dtype)

    def losses_of(self, tokens, targets, states=None):
        """`-log p(target)` in nats for each token, (batch, time), and the new states. Forms no gradient."""
        ids.check(targets, self.vocabulary_size, ids.TARGETS)
        hidden, states = self.hidden(tokens, states)
        return self.head.losses_of(hidden, targets), states

    # Writing

    def generate(self, prompts, length, sampler=None, **options):
        """Writes `length` tokens after each prompt, a list of ids of at least one: a list of the new ids for each.

        `sampler` and the options (`seed`, `stop`, `repetition_penalty`) are those of
        `keras_rnnlm.generation.generate`. The same seed writes the same text.

        >>> model = LanguageModel(10, units=4, layers=1)
        >>> [len(ids) for ids in model.generate([[1, 2, 3], [4]], length=5, seed=1)]
        [5, 5]
        """
        from keras_rnnlm import generation

        prompts = generation.checks.check_prompts(prompts, self.vocabulary_size)
        return generation.generate(
            self._compiled_step(), self.initial_states(len(prompts)), prompts, length, sampler, **options
        )

    def stream(self, prompts, length, sampler=None, **options):
        """Like `generate`, but yields the new token of each text as soon as it is chosen."""
        from keras_rnnlm import generation

        prompts = generation.checks.check_prompts(prompts, self.vocabulary_size)
        return generation.stream(
            self._compiled_step(), self.initial_states(len(prompts)), prompts, length, sampler, **options
        )

    def _compiled_step(self):
        # Of the weights of now: with LoRA there are others, and a program keeps those that it was made with.
        step = self._programs.get(("step", *weights_of(self)), lambda: compiled(self, self.step))

        def convert_and_step(tokens, states):
            states = [ops.convert_to_tensor(state) for state in states]
            return step(ops.convert_to_tensor(tokens, dtype="int32"), states)

        return convert_and_step

    # The states

    def initial_states(self, batch_size):
        """Zeros, or what was learned: a flat list, layer by layer, each (batch_size, units)."""
        return self.stack.initial_states(batch_size)

    def reset_states(self, batch_size=None):
        """Has `fit` and `evaluate` start from the initial states; a new batch size gets states of its own."""
        with self._scope():
            if batch_size is not None:
                self.carried.make(batch_size)
            self.carried.reset()

    def get_states(self, batch_size=None):
        """The carried states as numpy arrays: a flat list, layer by layer."""
        return self.carried.get(batch_size)

    def set_states(self, states):
        """Sets the carried states of the batch size that `states` have."""
        shapes = [tuple(getattr(state, "shape", ())) for state in states]
        wanted = self.carried.widths
        if [shape[1:] for shape in shapes] != [(w,) for w in wanted] or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(
                f"`states` is a flat list of {len(wanted)} arrays of shape (batch, units), units being {wanted}. "
                f"Received shapes: {shapes}"
            )
        with self._scope():
            self.carried.set(states)

    # Elsewhere

    def signatures(self):
        """What an exported file takes and gives: see `keras_rnnlm.models.signatures`."""
        return [signatures.of_language_model(self)]

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """As `keras.Model.export`. Without an `input_signature` a SavedModel, ONNX or LiteRT is what
        `keras_rnnlm.export` writes, with the options of its functions: states go in and out.
        """
        from keras_rnnlm.export import other_exporters

        if input_signature is None and format in other_exporters.WRITERS:
            return other_exporters.export_language_model(self, filepath, format, verbose, **kwargs)
        tokens = [keras.InputSpec("int32", (None, None))] if input_signature is None else input_signature
        return super().export(filepath, format=format, verbose=verbose, input_signature=tokens, **kwargs)

    # Configuration

    def get_config(self):
        config = {**super().get_config(), **to_config(vars(self._arguments))}
        config["head"] = heads.to_config(config["head"])
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = layers_from_config(config)
        if "head" in config:
            config["head"] = heads.from_config(config["head"])
        return cls(**config)
