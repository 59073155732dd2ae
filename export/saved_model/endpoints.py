"""What a server can ask of a language model: TensorFlow functions over tokens, and over text."""

import dataclasses

import numpy as np

from keras_rnnlm.generation import Greedy, Sample, TextStream, samplers, uniform


@dataclasses.dataclass(frozen=True)
class Endpoints:
    """Functions with their signatures by name, and the tables that they look up."""

    signatures: dict
    tables: list


def endpoints(interface, tokenizer=None):
    """What there is beside `score` and `step`."""
    import tensorflow as tf

    def spec(name, shape, dtype="int32"):
        return tf.TensorSpec(shape, dtype, name=name)

    settings = [
        spec("length", ()),
        spec("temperature", (), "float32"),
        spec("top_k", ()),
        spec("top_p", (), "float32"),
        spec("seed", (), "int64"),
    ]
    writer = _Writer(interface)
    signatures = {
        "serving_default": (writer.logits, [spec("tokens", (None, None))]),
        "generate": (writer.generate, [spec("tokens", (None, None)), spec("lengths", (None,)), *settings]),
    }
    text = None if tokenizer is None else _TEXTS.get(tokenizer.kind)
    if text is None:
        return Endpoints(signatures, [])
    text = text(tokenizer)

    def generate_text(texts, *settings):
        ids, lengths = _with_start(text.encode(texts), tokenizer.start)
        last = tf.gather(ids, lengths - 1, batch_dims=1)
        return {"text": text.after(last, writer.generate(ids, lengths, *settings)["tokens"])}

    def score_text(texts):
        ids, lengths = _with_start(text.encode(texts), tokenizer.start)
        return writer.scores(ids, lengths)

    signatures["generate_text"] = (generate_text, [spec("text", (None,), tf.string), *settings])
    signatures["score_text"] = (score_text, [spec("text", (None,), tf.string)])
    return Endpoints(signatures, text.tables)


def check(interface, engine, tokenizer, tokens):
    """The endpoints that write, beside the package's own generation, and those of text beside its tokenizer."""
    given = np.arange(5) % interface.vocabulary_size if tokens is None else np.asarray(tokens[:40])
    prompts = [given[:3].tolist(), given[:1].tolist()]
    lengths = [len(prompt) for prompt in prompts]
    padded = {"tokens": [prompt + [0] * (lengths[0] - len(prompt)) for prompt in prompts], "lengths": lengths}
    settings = {"length": 12, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
    for sampler, changed in (
        (Greedy(), {"temperature": 0.0}),
        (Sample(top_k=5, top_p=0.9), {"top_k": 5, "top_p": 0.9}),
    ):
        got = engine.ask("generate", {**padded, **settings, **changed})["tokens"]
        wanted = interface.model.generate(prompts, 12, sampler, seed=1)
        if got.tolist() != wanted:
            raise ValueError(f"The SavedModel writes {got.tolist()}, and the model {wanted}, with {sampler}")
    if "score_text" not in engine.signatures:
        return
    begun = tokenizer.decode(given)
    for text in (begun, "", begun[:1] + " \u00e9\n\n" + begun[:3], f"{begun[:1]} <eos> <eos>\n<eos>\n<eos>\n"):
        ids = [tokenizer.start, *tokenizer.encode(text).tolist()]
        found = engine.ask("score_text", {"text": [text]})
        if found["count"][0] != len(ids) - 1 or found["tokens"][0].tolist() != ids[1:]:
            raise ValueError(f"The SavedModel cuts {text!r} into {found['tokens'][0].tolist()}, not {ids[1:]}")
    got = engine.ask("generate_text", {"text": [text], **settings})["text"][0]
    (new,) = interface.model.generate([ids], 12, Sample(), seed=1)
    wanted = TextStream(tokenizer.decode, ids).whole(new)
    if got.decode("utf-8", "replace") != wanted:
        raise ValueError(f"The SavedModel writes {got!r}, and the model {wanted!r}")


class _Writer:
    def __init__(self, interface):
        self.interface, self.states = interface, interface.states

    def score(self, *given):
        return self.interface.signature.call(self._named(given))

    def step(self, *given):
        return self.interface.signature.step(self._named(given))

    def _named(self, given):
        return dict(zip(["tokens", *(state.name for state in self.states)], given))

    def _zeros(self, batch):
        import tensorflow as tf

        return [tf.zeros([batch, *state.shape]) for state in self.states]

    def logits(self, tokens):
        import tensorflow as tf

        return {"logits": self.score(tokens, *self._zeros(tf.shape(tokens)[0]))["logits"]}

    def scores(self, tokens, lengths):
        """The log-probability of every token but the first of each row, and of all of them together."""
        import tensorflow as tf

        tokens = tf.pad(tokens, [[0, 0], [0, tf.cast(tf.shape(tokens)[1] < 2, tf.int32)]])  # one step at least
        logs = tf.nn.log_softmax(self.logits(tokens[:, :-1])["logits"])
        logs = tf.gather(logs, tokens[:, 1:], batch_dims=2)
        count = lengths - 1
        logs = tf.where(tf.sequence_mask(count, tf.shape(logs)[1]), logs, 0.0)
        longest = tf.reduce_max(count)
        return {
            "log_probability": tf.reduce_sum(logs, axis=1),
            "log_probabilities": logs[:, :longest],
            "tokens": tokens[:, 1 : 1 + longest],
            "count": count,
        }

    def generate(self, tokens, lengths, length, temperature, top_k, top_p, seed):
        """`length` new tokens after each row's first `lengths` tokens.

        Every row reads its prompt and goes on at once: row b writes its n-th token at the step lengths[b] - 1 + n.
        """
        import tensorflow as tf

        batch, width = tf.shape(tokens)[0], tf.shape(tokens)[1]
        size = self.interface.vocabulary_size
        tokens = tf.where(tf.sequence_mask(lengths, width), tokens, 0)  # what fills a row up may be anything
        right = [
            tf.debugging.assert_positive(lengths, message="a prompt has one token at least"),
            tf.debugging.assert_non_negative(tokens, message="ids are 0 or above"),
            tf.debugging.assert_less(tokens, size, message=f"ids are below {size}"),
        ]
        with tf.control_dependencies(right):
            lengths, length = tf.minimum(lengths, width), tf.maximum(length, 0)
        words = self._seed_words(seed)
        rows = tf.range(batch)
        steps = tf.where(length > 0, width + length - 1, 0)

        def body(t, token, states, written):
            outputs = self.step(token, *states)
            logits, states = outputs["logits"], [outputs[state.output] for state in self.states]
            place = t + 1 - lengths  # of the token that is chosen now, among the new ones
            chosen = _choose(logits, words, rows, place, temperature, top_k, top_p)
            is_new = (place >= 0) & (place < length)
            at = tf.stack([rows, tf.clip_by_value(place, 0, length - 1)], axis=1)
            kept = tf.where(is_new, chosen, tf.gather_nd(written, at))
            written = tf.tensor_scatter_nd_update(written, at, kept)
            given = tf.gather(tokens, tf.minimum(t + 1, width - 1), axis=1)
            return t + 1, tf.where(place < 0, given, chosen), states, written

        start = (
            tf.constant(0),
            tokens[:, 0],
            self._zeros(batch),
            tf.zeros(tf.stack([batch, length]), tf.int32),
        )
        shapes = (
            tf.TensorShape([]),
            tf.TensorShape([None]),
            [tf.TensorShape([None, *state.shape]) for state in self.states],
            tf.TensorShape([None, None]),
        )
        found = tf.while_loop(lambda t, *_: t < steps, body, start, shape_invariants=shapes, maximum_iterations=steps)
        return {"tokens": found[3]}

    @staticmethod
    def _seed_words(seed):
        import tensorflow as tf

        low = tf.bitwise.bitwise_and(seed, tf.constant(0xFFFFFFFF, tf.int64))
        low = tf.where(low >= 2**31, low - 2**32, low)
        return tf.cast(low, tf.int32), tf.cast(tf.bitwise.right_shift(seed, tf.constant(32, tf.int64)), tf.int32)


def _choose(logits, seed, rows, places, temperature, top_k, top_p):
    """What `keras_rnnlm.generation` would choose, the settings being tensors."""
    import tensorflow as tf
    from keras import ops

    vocabulary = logits.shape[-1]
    numbers = tf.range(samplers.digits(vocabulary), dtype=tf.int32)[None]
    uniforms = uniform(seed, rows[:, None], places[:, None], numbers, ops=ops)
    greedy = samplers.Greedy().choose(logits, ops=ops)

    def drawn():
        scores = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
        scores = scores * tf.cast(1 / tf.cast(temperature, tf.float64), tf.float32)
        scores = tf.where(scores >= samplers.LEAST_SCORE, scores, -np.inf)

        def filtered():
            most = tf.where(top_k > 0, tf.minimum(top_k, vocabulary), vocabulary)
            ordered = tf.sort(scores, axis=-1, direction="DESCENDING")
            ordered = tf.where(tf.range(vocabulary)[None] < most, ordered, -np.inf)
            needed = tf.cast(tf.round(samplers.parts_of(tf.cast(top_p, tf.float64))), tf.int32)
            count = tf.where(top_p < 1, samplers.number_that_reach(needed, ordered, ops), most)
            return tf.where(samplers.are_largest(scores, ordered, count, ops), scores, -np.inf)

        is_filtered = ((top_k > 0) & (top_k < vocabulary)) | (top_p < 1)
        return samplers.draw(tf.exp(tf.cond(is_filtered, filtered, lambda: scores)), uniforms, ops)

    return tf.cond(temperature > 0, drawn, lambda: greedy)


def _with_start(ragged, start):
    """Rows of ids, each after the symbol that texts start from, filled up with it; and their lengths."""
    import tensorflow as tf

    ragged = tf.concat([tf.fill(tf.stack([ragged.nrows(), 1]), tf.constant(start, tf.int32)), ragged], axis=1)
    return ragged.to_tensor(default_value=start), tf.cast(ragged.row_lengths(), tf.int32)


class _Text:
    """Text to ids and back in a graph, as the tokenizer does it."""

    def __init__(self, tokenizer):
        import tensorflow as tf

        symbols = tokenizer.symbols()
        ids = tf.constant(list(symbols.values()), tf.int32)
        keys = tf.constant(list(symbols), tf.string)
        unknown = -1 if tokenizer.unknown is None else tokenizer.unknown
        self.ids = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), unknown)
        self.pieces = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(ids, keys), "")
        self.tables = [self.ids, self.pieces]

    def encode(self, texts):
        cut = self.cut(texts)
        return cut.with_flat_values(self.ids.lookup(cut.flat_values))

    def decode(self, ids):
        import tensorflow as tf

        return tf.strings.reduce_join(self.pieces.lookup(ids), axis=-1)

    def after(self, last, ids):
        """The text of ids that follow the id `last`: words begin with a space there."""
        import tensorflow as tf

        before = tf.strings.length(self.decode(last[:, None]))
        text = self.decode(tf.concat([last[:, None], ids], axis=1))
        return tf.strings.substr(text, before, tf.strings.length(text) - before)


class _Characters(_Text):
    def cut(self, texts):
        import tensorflow as tf

        return tf.strings.unicode_split(texts, "UTF-8")


class _Bytes(_Text):
    def cut(self, texts):
        import tensorflow as tf

        return tf.strings.bytes_split(texts)


class _Words(_Text):
    def cut(self, texts):
        import tensorflow as tf

        from keras_rnnlm.text.pipelines import BLANK, EOS, WHITESPACE

        # A line end takes an <eos> before it along. Neighbours share the line end between them: hence each twice.
        texts = tf.strings.regex_replace(texts, "\n", "\n\n")
        texts = tf.strings.regex_replace(texts, rf"(^|[{WHITESPACE}]){EOS}[{BLANK}]*\n", r"\1" + "\n")
        texts = tf.strings.regex_replace(texts, "\n\n", f" {EOS} ")
        words = tf.strings.split(tf.strings.regex_replace(texts, f"[{WHITESPACE}]+", " "), " ")
        return tf.ragged.boolean_mask(words, words != "")

    def decode(self, ids):
        import tensorflow as tf

        from keras_rnnlm.text.pipelines import EOS

        pieces = self.pieces.lookup(ids)
        pieces = tf.where(pieces == EOS, "\n", pieces)
        return tf.strings.regex_replace(tf.strings.reduce_join(pieces, axis=-1, separator=" "), " ?\n ?", "\n")


_TEXTS = {"char": _Characters, "byte": _Bytes, "word": _Words}
