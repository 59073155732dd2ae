"""The translator: a language model of targets that attends to a source, symbol by symbol."""

import types

import keras
from keras import ops

from keras_rnnlm import generation
from keras_rnnlm.cells import AttentionDecoderCell
from keras_rnnlm.cells.dot import state_dtype
from keras_rnnlm.heads import by_name as heads
from keras_rnnlm.layers import Recurrent, RecurrentStack
from keras_rnnlm.layers.dropout import Dropout
from keras_rnnlm.layers.programs import Programs
from keras_rnnlm.models import ids
from keras_rnnlm.models.compiled import compiled, weights_of
from keras_rnnlm.models.embedding import Embedding
from keras_rnnlm.models.encoder import TEXT, encoder_from
from keras_rnnlm.models.next_token import NextTokenModel
from keras_rnnlm.models.recurrent_layers import layer_class, recurrent_layers
from keras_rnnlm.models.seeds import seeds_from
from keras_rnnlm.models.signatures import Signature, State, Tensor
from keras_rnnlm.models.translator_checks import check, read

CONSTANTS = AttentionDecoderCell.reads


@keras.saving.register_keras_serializable(package="keras_rnnlm")
class Translator(NextTokenModel):
    """An encoder, attention, and a decoder that is fed what it attended to: sequences to sequences.

    The encoder is an embedding and a stack of recurrent layers in both directions; the decoder an embedding, a
    `keras_rnnlm.cells.AttentionDecoderCell`, which begins with what the encoder ended in, and a head. Sources and
    targets may be anything that has ids: words, letters, attributes. Id 0 is padding in both, at the end of a row.
    Sources that are no ids have an `encoder` of their own: then a source is what that takes, such as pictures.

    `model({"source": source, "target": target})`, or `model((source, target))`, is (batch, source time) and (batch,
    target time) to the logits of each next symbol, (batch, target time, vocabulary). The target begins with the id
    `start`; what `fit` takes as targets is the same one symbol later, and ends in the id `end`. Where the target that
    goes in is padding nothing is learned, whatever the sample weights, one number a symbol or one a row, say.
    `compile`, `fit`, `evaluate` and what is logged are those of a `LanguageModel`: the loss is brought along.

    `translate` writes. `encode` and `step` are its two parts, their states in the open.

    Args:
        source_vocabulary, target_vocabulary: how many ids there are of each, padding, start and end included. Of
            sources that are no ids: None.
        units: width of the encoder, half of it in each direction, and of the decoder: an even number.
        layers: of the encoder.
        decoder_layers: of the decoder. None: as many.
        cell, cell_options: of the recurrent layers, as in a `LanguageModel`; for those that a decoder may have, see
            `keras_rnnlm.cells.AttentionDecoderCell`. With the encoder "text" the forget biases of an LSTM begin at 0,
            where `cell_options` have no `unit_forget_bias`: at 1 the states at the ends of a source sum it up from the
            start, and the attention may stay at them.
        connection: None, or "residual": layers add what they read to what they give.
        dropout: fraction dropped, in training, of the embeddings, between layers, and of what the head reads.
        embedding_dim: width of both embeddings. None: the units.
        score: how the decoder attends: "dot", "general" or "additive".
        tied: whether the head reads the target embedding's table.
        head, head_options: as in a `LanguageModel`.
        label_smoothing: so much of each target is spread over the vocabulary, in `fit` alone and never in the
            perplexity (Szegedy et al. 2016).
        scheduled_sampling: the fraction of the symbols that the decoder reads in training that are not the target's but
            drawn from what the model itself says there (Bengio et al. 2015). It is asked once, for all steps at a time
            and of the target as it is, which takes about as long as a step of `evaluate` (Duckworth et al. 2019).
        sampling_steps: in how many steps of training that fraction rises from 0, in a line.
        encoder: of the sources: "text", which is the network above; "image" or "sound", see
            `keras_rnnlm.models.ImageEncoder` and `SoundEncoder`; or a `keras_rnnlm.models.Encoder`, or a class of them.
        encoder_options: further arguments of an encoder that is made, such as {"shape": (64, 64, 1)}.
        doubly_stochastic: factor of a penalty in `fit`, the sum over the places of a source of (1 - the attention that
            it gets from all symbols together) ** 2: so the decoder looks at all of it (Xu et al. 2015).
        start, end: the ids before the first symbol of a target, and after its last.
        seed: of the initial weights, the dropout and the sampling, as in a `LanguageModel`.

    Example:

    >>> model = Translator(20, 30, units=8, cell_options={"peephole": True})
    >>> source, target = np.array([[3, 4, 5]]), np.array([[1, 7, 8, 9]])
    >>> model({"source": source, "target": target}).shape
    (1, 4, 30)
    >>> [[best]] = model.translate([[3, 4, 5]], max_length=5)
    >>> len(best.ids) <= 5
    True
    """

    def __init__(
        self,
        source_vocabulary,
        target_vocabulary,
        units=256,
        layers=1,
        cell="lstm",
        cell_options=None,
        connection=None,
        dropout=0.0,
        *,
        decoder_layers=None,
        embedding_dim=None,
        score="general",
        tied=False,
        head="full",
        head_options=None,
        label_smoothing=0.0,
        scheduled_sampling=0.0,
        sampling_steps=0,
        encoder=TEXT,
        encoder_options=None,
        doubly_stochastic=0.0,
        start=1,
        end=2,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        # In a namespace, where Keras does not look for layers.
        self._arguments = types.SimpleNamespace(
            source_vocabulary=source_vocabulary,
            target_vocabulary=target_vocabulary,
            units=units,
            layers=layers,
            cell=cell,
            cell_options=cell_options,
            connection=connection,
            dropout=dropout,
            decoder_layers=layers if decoder_layers is None else decoder_layers,
            embedding_dim=units if embedding_dim is None else embedding_dim,
            score=score,
            tied=tied,
            head=head,
            head_options=head_options,
            label_smoothing=label_smoothing,
            scheduled_sampling=scheduled_sampling,
            sampling_steps=sampling_steps,
            encoder=encoder,
            encoder_options=encoder_options,
            doubly_stochastic=doubly_stochastic,
            start=start,
            end=end,
            seed=seed,
        )
        check(self._arguments)
        self.vocabulary_size, self.carried = self._arguments.target_vocabulary, None
        self._programs = Programs()
        with seeds_from(seed):
            self._make_layers(self._arguments)
            self.build()

    def _make_layers(self, a):
        options, residual = {"dtype": self.dtype_policy}, a.connection == "residual"
        if a.encoder == TEXT:
            self.source_embedding = Embedding(a.source_vocabulary, a.embedding_dim, name="source_embedding", **options)
        # A tied output layer reads the whole table anyway.
        make = keras.layers.Embedding if a.tied else Embedding
        self.target_embedding = make(a.target_vocabulary, a.embedding_dim, name="target_embedding", **options)
        if a.encoder == TEXT:
            self.encoder = RecurrentStack(
                _layers(a, a.layers, a.units // 2, options),
                a.connection,
                a.dropout,
                bidirectional=True,
                name="encoder",
                **options,
            )
        else:
            self.encoder = encoder_from(a.encoder, a, a.encoder_options, name="encoder", **options)
        # With names of their own, by which checkpoints know variables.
        cells = [
            type(layer.cell).from_config({**layer.cell.get_config(), "name": f"layer_{k}"})
            for k, layer in enumerate(_layers(a, a.decoder_layers, a.units, options))
        ]
        how = dict(score=a.score, residual=residual, layer_dropout=a.dropout, name="cell", **options)
        cell = AttentionDecoderCell(a.units, cells=cells, **how)
        self.decoder = Recurrent(
            cell, return_sequences=True, return_state=True, return_trace=["attention"], name="decoder", **options
        )
        self.keys = None
        if a.score != "dot":
            self.keys = keras.layers.Dense(a.units, use_bias=a.score == "additive", name="keys", **options)
        self.bridge = keras.layers.Dense(sum(cell.state_widths[1:]), "tanh", name="bridge", **options)
        self.head = heads.head_from(a.head, a.target_vocabulary, a.head_options, name="logits", **options)
        if a.tied:
            self.head.tie(self.target_embedding)
        self.dropout = Dropout(a.dropout, name="dropout", **options)
        if a.scheduled_sampling:
            self.draws = keras.random.SeedGenerator(name="draws")
            self.trained_steps = self.add_weight(
                name="trained_steps", shape=(), dtype="int32", initializer="zeros", trainable=False
            )

    def build(self, input_shape=None):
        if self.built:
            return
        a = self._arguments
        self.target_embedding.build((None, None))
        if a.encoder == TEXT:
            self.source_embedding.build((None, None))
            self.encoder.build((None, None, a.embedding_dim))
        elif not self.encoder.built:
            self.encoder.build((None, *self.encoder.source.shape))
        self.decoder.build((None, None, a.embedding_dim))
        if self.keys is not None:
            self.keys.build((None, None, a.units))
        self.bridge.build((None, a.units))
        self.head.build((None, None, a.units))
        self.built = True

    # The network

    def call(self, inputs, training=False, return_attention=False):
        """The logits, and with `return_attention` the weights, (batch, target time, source time), too."""
        source, target = read(inputs, self.source)
        constants, states = self.encode(source, training)
        read_by_decoder = target
        if training and self._arguments.scheduled_sampling:
            read_by_decoder = self._sampled(target, constants, states)
        hidden, attention = self._decode(read_by_decoder, constants, states, training)
        if training and self._arguments.doubly_stochastic:
            self.add_loss(self._attention_penalty(attention, constants[-1], target))
        hidden = self.dropout(hidden, training=training)
        output = self._output(hidden, hidden)
        return (output, attention) if return_attention else output

    def encode(self, source, training=False):
        """What every step reads of a source, in the order of `CONSTANTS`, and the states that the decoder begins in."""
        if self._arguments.encoder == TEXT:
            encoded, mask, summary = self._read_ids(source, training)
        else:
            encoded, mask, summary = self.encoder(source, training=training)
        states = self.bridge(summary)
        _, *widths = self.decoder.cell.state_widths
        places = [sum(widths[: k + 1]) for k in range(len(widths) - 1)]
        states = ops.cast(states, state_dtype(self.compute_dtype))
        states = ops.split(states, places, axis=-1) if places else [states]
        named = zip(self.decoder.cell.state_names[1:], states)
        fixed = self.decoder.cell.starts_at
        states = [ops.full_like(state, fixed[name]) if name in fixed else state for name, state in named]
        begun = [self.decoder.get_initial_state(ops.shape(source)[0])[0], *states]
        keys = encoded if self.keys is None else self.keys(encoded)
        return [keys, encoded, mask], begun

    def _read_ids(self, source, training):
        """As an `Encoder`."""
        mask = ops.not_equal(source, 0)
        x = self.dropout(self._looked_up(self.source_embedding, source), training=training)
        encoded, ended = self.encoder(x, mask=mask, training=training)
        # Of the last layer the h of each direction, which saw the source whole.
        last = f"layer_{self._arguments.layers - 1}_"
        of_last = [state for name, state in zip(self.encoder.state_names, ended) if name.startswith(last)]
        return encoded, mask, ops.concatenate([of_last[0], of_last[len(of_last) // 2]], axis=-1)

    @property
    def source(self):
        """What is taken as sources, a `keras_rnnlm.sources.Source`; None: ids."""
        return None if self._arguments.encoder == TEXT else self.encoder.source

    def step(self, tokens, constants, states):
        """One symbol of each row, (batch,), to the logits of the next, the attention, (batch, time), and new states."""
        x = self._looked_up(self.target_embedding, tokens)
        notes = {}
        y, states = self.decoder.cell.call(x, list(states), reads=dict(zip(CONSTANTS, constants)), notes=notes)
        return self.head(y), notes["attention"], states

    def _decode(self, target, constants, states, training):
        """What the head reads, (batch, target time, units), before dropout, and the attention."""
        x = self.dropout(self._looked_up(self.target_embedding, target), training=training)
        reads = dict(zip(CONSTANTS, constants))
        hidden, *_, trace = self.decoder(x, initial_state=states, reads=reads, training=training)
        return hidden, trace["attention"]

    def _looked_up(self, embedding, given):
        is_tied = self._arguments.tied and embedding is self.target_embedding
        poison, x = ids.poison(given, embedding.input_dim, is_tied), embedding(given)
        return x if poison is None else x + ops.cast(poison, x.dtype)

    def _sampled(self, target, constants, states):
        """The target as the decoder reads it in training: some symbols are what the model took for them."""
        a = self._arguments
        hidden, _ = self._decode(target, constants, states, training=False)
        logits = ops.cast(ops.stop_gradient(self.head(hidden)), "float32")
        logits = ops.where(ops.arange(a.target_vocabulary) == 0, -1e9, logits)  # padding is no symbol
        drawn = keras.random.categorical(ops.reshape(logits, (-1, a.target_vocabulary)), 1, seed=self.draws)
        drawn = ops.cast(ops.reshape(drawn, ops.shape(target)), target.dtype)
        drawn = ops.concatenate([target[:, :1], drawn[:, :-1]], axis=1)
        rate = a.scheduled_sampling
        if a.sampling_steps:
            rate = rate * ops.minimum(ops.cast(self.trained_steps, "float32") / a.sampling_steps, 1.0)
            self.trained_steps.assign(self.trained_steps + 1)
        chosen = keras.random.uniform(ops.shape(target), dtype="float32", seed=self.draws) < rate
        return ops.where(ops.logical_and(chosen, ops.not_equal(target, 0)), drawn, target)

    # What it learns from

    def _attention_penalty(self, attention, mask, target):
        """The penalty on places that get more or less attention than one, in the unit of the loss."""
        shown = ops.cast(ops.not_equal(target, 0), "float32")
        given = ops.sum(ops.cast(attention, "float32") * ops.expand_dims(shown, 2), axis=1)
        own = ops.cast(mask, "float32") * ops.cast(ops.any(ops.not_equal(target, 0), axis=1, keepdims=True), "float32")
        over = ops.cast(ops.shape(target)[0], "float32") if self._reduction == "sum" else ops.sum(shown)
        penalty = ops.sum(own * ops.square(1.0 - given)) / ops.maximum(over, 1.0)
        return self._arguments.doubly_stochastic * penalty

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        weights = ops.cast(ops.not_equal(read(x, self.source)[1], 0), "float32")
        if sample_weight is not None:
            given = ops.cast(sample_weight, "float32")
            weights = weights * (ops.expand_dims(given, 1) if len(given.shape) == 1 else given)
        return super().compute_loss(x, y, y_pred, weights, training)

    def losses_of(self, source, target, wanted):
        """`-log p` in nats of what is wanted at each step, (batch, time); zeros where the target is padding."""
        constants, states = self.encode(source)
        hidden, _ = self._decode(target, constants, states, training=False)
        shown = ops.not_equal(target, 0)
        losses = self.head.losses_of(hidden, ops.where(shown, wanted, 0))
        return ops.where(shown, losses, ops.zeros_like(losses))

    def _total_loss(self, hidden, targets, weights):
        smoothing = self._arguments.label_smoothing
        if not smoothing:
            return super()._total_loss(hidden, targets, weights)
        logs = ops.log_softmax(ops.cast(self.head(hidden), "float32"), axis=-1)
        losses = -ops.take_along_axis(logs, ops.expand_dims(targets, 2), axis=2)[:, :, 0]
        smooth = (1 - smoothing) * losses - smoothing * ops.mean(logs, axis=-1)
        return ops.sum(smooth * weights), ops.stop_gradient(losses)

    def _checked(self, x, y=None, sample_weight=None):
        """The `x` of `fit` and its like, after a look at the ids of arrays; a dataset's are looked at by the model."""
        if not hasattr(x, "element_spec") and isinstance(x, (dict, list, tuple)):
            source, target = read(x, self.source)
            if self.source is None:
                ids.check(source, self._arguments.source_vocabulary, "Sources")
            ids.check(target, self.vocabulary_size, ids.TOKENS)
        return x

    # Writing

    def translate(self, sources, beam=1, length_normalisation=1.0, max_length=100, attention=False, batch_size=32):
        """What it writes for each source, a list of ids of any length: a list of `Translation`s each, best first.

        Args:
            sources: lists of ids; of pictures and recordings, their files, or an array of each one. What comes of each
                is what comes of it alone.
            beam: hypotheses a source that are followed; 1 is greedy.
            length_normalisation: hypotheses are compared by log-probability / length ** length_normalisation.
            max_length: how many symbols one has at most, the end included.
            attention: whether to give each one's attention, (ids, places of the source), too.
            batch_size: how many sources are encoded at a time.
        """
        a = self._arguments
        of_now = weights_of(self)
        encode = self._programs.get(("encode", *of_now), lambda: compiled(self, lambda source: self.encode(source)))
        step = self._programs.get(("step", *of_now), lambda: compiled(self, self.step))

        def convert_and_step(tokens, constants, states):
            constants, states = ([ops.convert_to_tensor(t) for t in tensors] for tensors in (constants, states))
            return step(ops.convert_to_tensor(tokens, dtype="int32"), constants, states)

        return generation.translate(
            lambda source: encode(ops.convert_to_tensor(source)),
            convert_and_step,
            sources,
            start=a.start,
            end=a.end,
            source_vocabulary=a.source_vocabulary,
            source=self.source,
            beam=beam,
            length_normalisation=length_normalisation,
            max_length=max_length,
            attention=attention,
            batch_size=batch_size,
        )

    # Elsewhere

    def signatures(self):
        """`step`, as here, and before it `encode`: a source, (batch, time), to all that goes into the first step."""
        a, cell, size = self._arguments, self.decoder.cell, (None, None)
        shapes = dict(zip(CONSTANTS, ((*size, a.units), (*size, a.units), size)))
        constants = [
            Tensor(name, shape, "bool" if name == "encoded_mask" else "float32") for name, shape in shapes.items()
        ]
        states = [State(n, f"{n}_out", (width,)) for n, width in zip(cell.state_names, cell.state_widths)]
        names = [tensor.name for tensor in (*constants, *states)]

        def encode(given):
            constants, begun = self.encode(ops.convert_to_tensor(given["source"]))
            return dict(zip([f"{name}_begin" for name in names], [*constants, *begun]))

        def step(given):
            tensors = [ops.convert_to_tensor(given[name]) for name in names]
            reads, before = tensors[: len(constants)], tensors[len(constants) :]
            logits, attention, after = self.step(ops.convert_to_tensor(given["tokens"]), reads, before)
            found = {"logits": logits, "attention": attention}
            return found | {state.output: value for state, value in zip(states, after)}

        if a.encoder == TEXT:
            source, task = Tensor("source", size, "int32", below=a.source_vocabulary), "translate"
            facts = {"source_vocabulary": a.source_vocabulary}
        else:
            source, task = Tensor("source", (None, *self.source.shape), "float32"), self.encoder.task
            facts = {"source": self.source.description()}
        begin = Signature("encode", (source,), tuple(f"{name}_begin" for name in names), encode)
        tokens = Tensor("tokens", (None,), "int32", below=a.target_vocabulary)
        facts |= {name: getattr(a, name) for name in ("target_vocabulary", "start", "end")}
        outputs, inputs = ("logits", "attention"), (tokens, *constants)
        how = dict(states=tuple(states), task=task, facts=facts, begin=begin, padding="right")
        return [Signature("step", inputs, outputs, step, **how)]

    def get_config(self):
        config = {**super().get_config(), **vars(self._arguments)}
        if not isinstance(config["cell"], str):
            config["cell"] = keras.saving.get_registered_name(config["cell"])
        for name in ("head", "encoder"):
            config[name] = heads.to_config(config[name])
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        made = {name: heads.from_config(config[name]) for name in ("head", "encoder") if name in config}
        return cls(**{**config, **made})


def _layers(a, layers, units, options):
    if a.encoder == TEXT and "unit_forget_bias" in layer_class(a.cell).__signature__.parameters:
        options = {**options, "unit_forget_bias": False}
    described = types.SimpleNamespace(
        layers=layers, units=units, cell=a.cell, cell_options=a.cell_options, initial_range=None
    )
    return recurrent_layers(described, options)
