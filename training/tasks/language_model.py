"""Language modelling: texts in, a model of each next token.

Every recipe asks its task whether settings fit each other: numpy, and all that needs it, is imported where it is used.
"""

import dataclasses
import os

from keras_rnnlm.places import is_place
from keras_rnnlm.quiet import import_keras
from keras_rnnlm.training.recipes.consistency import OF_CELLS
from keras_rnnlm.training.recipes.rules import TOKENIZERS
from keras_rnnlm.training.tasks.task import VOCABULARY, Data, Task


class LanguageModeling(Task):
    """The vocabulary is a `Tokenizer`, and a split a text in its ids."""

    reads_examples = False

    def check(self, recipe):
        _check_network(recipe)
        _check_text_and_data(recipe)

    def choose(self, given, recipe, named, folder, display, minutes):
        from keras_rnnlm.text.tokenizers import Tokenizer
        from keras_rnnlm.training.corpora import encoded_elsewhere
        from keras_rnnlm.training.recipes import choosing

        place, tokenizer, said = encoded_elsewhere.place_of(given), None, {}
        if place is None:
            text = choosing.look(_opened(given, recipe, folder).splits["train"].chunks())
            said = {name: getattr(recipe, name) for name in ("tokenizer", "vocabulary_size") if name in named}
            if said.get("tokenizer", "bpe") not in TOKENIZERS:
                tokenizer = Tokenizer.load(recipe.tokenizer)
        else:
            text, tokenizer = encoded_elsewhere.look(place)
        if tokenizer is not None:
            named = {*named, *VOCABULARY}
            said = {"tokenizer": tokenizer.kind, "vocabulary_size": tokenizer.vocabulary_size}
            text = dataclasses.replace(text, words=tokenizer.vocabulary_size)
        if isinstance(recipe.units, list):
            named = {*named, "layers"}
            said |= {"units": max(recipe.units), "layers": len(recipe.units)}
        said |= {name: getattr(recipe, name) for name in ("units", "layers") if name in named and name not in said}
        minutes, rate = minutes or choosing.MINUTES, choosing.machine_rate()
        chosen = choosing.choose(text, minutes, rate, **said)
        if "cell" in named:
            named = {*named, "cell_options"}  # which were chosen for another cell
        if recipe.optimizer not in choosing.LIKE_ADAM and "learning_rate" not in named:
            named = {*named, "learning_rate"}
            rate_is = f"no learning rate is chosen for {recipe.optimizer}: it is {recipe.learning_rate:g}"
            display.warn(f"{rate_is}, and `keras-rnnlm lr-find` finds one")
        chosen = {name: of for name, of in chosen.items() if name not in named}
        import_keras()  # not by what follows, as TensorFlow would greet then

        from keras_rnnlm.recurrence import backend

        for line in choosing.told(text, minutes, rate, chosen, backend.has_gpu()):
            display.say(line)
        return {name: value for name, (value, reason) in chosen.items()}

    def brings(self, given, recipe, named):
        from keras_rnnlm.training.corpora import encoded_elsewhere

        place = encoded_elsewhere.place_of(given)
        if place is None:
            return {}
        encoded_elsewhere.check_settings(place, recipe, named)
        return {"tokenizer": os.path.abspath(place / "tokenizer.json"), "vocabulary_size": None, "min_count": 1}

    def prepare(self, given, recipe, folder, display, first=None):
        from keras_rnnlm.text.tokenizers import Tokenizer
        from keras_rnnlm.training.corpora import encoded_elsewhere
        from keras_rnnlm.training.corpora.encoded import encode_corpus
        from keras_rnnlm.training.corpora.encoded_again import as_given
        from keras_rnnlm.training.corpora.opening import tell_columns

        place = encoded_elsewhere.place_of(given)
        if place is not None:
            encoded, tokenizer = encoded_elsewhere.refer(folder.data, place)
            if first is not None and first.read_tokenizer().fingerprint != tokenizer.fingerprint:
                raise ValueError(
                    f"{place} is written in another vocabulary than that of {first}, the run to begin with"
                )
            display.say(f"{place} is in numbers already ({tokenizer.kind}), and stays where it is")
            tokenizer.save(folder.tokenizer)
            return _data(folder, encoded, tokenizer)
        texts = _opened(given, recipe, folder)
        tell_columns(texts, recipe.text_column, display)
        if first is not None:
            tokenizer = first.read_tokenizer()
        elif recipe.tokenizer in TOKENIZERS:
            display.say(f"learning a vocabulary ({recipe.tokenizer})")
            tokenizer = Tokenizer.train(
                recipe.tokenizer, texts.splits["train"].chunks(), recipe.vocabulary_size, recipe.min_count
            )
        else:
            tokenizer = Tokenizer.load(recipe.tokenizer)
        sources = as_given(given.corpus, given.valid, given.test)
        encoded = encode_corpus(texts, tokenizer, folder.data, display.encoding, sources)
        folder.spool.unlink(missing_ok=True)
        tokenizer.save(folder.tokenizer)
        return _data(folder, encoded, tokenizer)

    def restore(self, recipe, folder, display):
        from keras_rnnlm.training.corpora.encoded_again import text_of

        tokenizer = self.vocabulary(folder)
        return _data(folder, text_of(folder, recipe, tokenizer, display), tokenizer)

    def describe(self, data):
        text, valid = (len(data.splits[name]) if name in data.splits else 0 for name in ("train", "valid"))
        return f"{text:,} tokens to learn from, {data.vocabulary.vocabulary_size:,} different; {valid:,} to validate on"

    def stream(self, data, split, recipe):
        from keras_rnnlm.training.streams import Contiguous, Sentences

        tokens, tokenizer = data.splits[split], data.vocabulary
        if recipe.mode == "contiguous":
            return Contiguous(
                tokens,
                recipe.batch,
                recipe.window,
                start=tokenizer.start,
                random=recipe.random_windows,
                seed=recipe.seed,
                multiple=recipe.window_multiple,
            )
        if tokenizer.eos is None:
            raise ValueError(
                f"mode=sentences needs a symbol that ends a sentence, and a {tokenizer.kind} tokenizer has none: take "
                "tokenizer=word, or mode=contiguous"
            )
        return Sentences(tokens, recipe.batch, end=tokenizer.eos, longest=recipe.window, seed=recipe.seed)

    def carries(self, recipe):
        return recipe.mode == "contiguous"

    def build(self, recipe, vocabulary):
        options = dict(
            vocabulary_size=vocabulary.vocabulary_size,
            units=recipe.units,
            layers=recipe.layers,
            cell=recipe.cell,
            cell_options=recipe.cell_options | regularizers_of_cells(recipe),
            embedding_dim=recipe.embedding_dim,
            tied=recipe.tied,
            connection=recipe.connection,
            head=recipe.head,
            head_options=_head_options(recipe, vocabulary),
            dropout=recipe.dropout,
            locked_dropout=recipe.locked_dropout,
            input_dropout=recipe.input_dropout,
            output_dropout=recipe.output_dropout,
            embedding_dropout=recipe.embedding_dropout,
            ar=recipe.ar,
            tar=recipe.tar,
            initial_range=recipe.initial_range,
            seed=recipe.seed,
            dtype=recipe.precision,
            name="language_model",  # and not language_model_1 for a process's second: a checkpoint knows its variables
        )
        check_room(options)
        model = self.model_class()(**options)
        if recipe.forget_bias is not None:
            for layer in model.stack.layers:
                set_forget_bias(layer, recipe.forget_bias)
        return model

    def compile(self, model, optimizer, recipe):
        model.compile(optimizer, reduction=recipe.reduction, auto_scale_loss=False)

    def begin(self, model, data, recipe):
        if recipe.unigram_bias or model.head.reads_frequencies:
            frequencies = _frequencies(model.vocabulary_size, data.splits["train"])
            # Learnt from zero, they take hundreds of steps, and the states help to learn them: they settle where the
            # logits are right on average. A text that then begins from fresh states may settle elsewhere, and is
            # predicted badly throughout.
            tell = model.head.begin_with_frequencies if recipe.unigram_bias else model.head.read_frequencies
            tell(frequencies)

    def check_model(self, model, vocabulary, folder):
        if model.vocabulary_size != vocabulary.vocabulary_size:
            raise ValueError(
                f"{folder.model_file} is of another run than {folder.tokenizer}, which has "
                f"{vocabulary.vocabulary_size:,} ids where the model has {model.vocabulary_size:,}: put back the files "
                "that the run wrote"
            )

    def scorer(self, model, data, recipe):
        from keras_rnnlm.training.evaluation.scorer import Scorer

        tokenizer = data.vocabulary
        end = tokenizer.eos if recipe.mode == "sentences" else None
        return Scorer(model, start=tokenizer.start, batch=recipe.eval_batch, window=recipe.window, end=end)

    def evaluate(self, folder, recipe, text, display, **options):
        from keras_rnnlm.training.evaluation.texts import evaluate_text

        return evaluate_text(folder, recipe, text, display, **options)


def _opened(given, recipe, folder):
    from keras_rnnlm.training.corpora.opening import open_corpus

    return open_corpus(
        given.corpus,
        valid=given.valid,
        test=given.test,
        split=recipe.split,
        encoding=recipe.encoding,
        spool=folder.spool,
        text_column=recipe.text_column,
    )


def _data(folder, encoded, tokenizer):
    if encoded.tokenizer != tokenizer.fingerprint:
        raise ValueError(
            f"{folder.tokenizer} is not the vocabulary that {folder.data} is written in: put back the one that the run "
            "began with, or start a new run with another --out"
        )
    if encoded.vocabulary_size != tokenizer.vocabulary_size:
        raise ValueError(
            f"{folder.data} was written with {encoded.vocabulary_size:,} ids, and {folder.tokenizer} has "
            f"{tokenizer.vocabulary_size:,}: start a new run with another --out"
        )
    return Data(encoded.splits, tokenizer, {"vocabulary": tokenizer.fingerprint, "text": encoded.corpus})


def _check_network(recipe):
    units = recipe.units
    if isinstance(units, list) and len(units) != recipe.layers:
        raise ValueError(
            f"`units` lists the widths of {len(units)} layers: set layers={len(units)} too, or give one width for all. "
            f"Received: units={units}, layers={recipe.layers}"
        )
    last = units[-1] if isinstance(units, list) else units
    # Other connections make the output wider than the last layer: the model knows how wide.
    projects = recipe.head in ("projected", "mixture") or is_place(recipe.head)  # so that the table may be narrower
    if recipe.tied and recipe.connection is None and recipe.embedding_dim not in (None, last) and not projects:
        raise ValueError(
            f"Tied weights need an embedding as wide as the last layer: drop `embedding_dim`, set it to {last}, or set "
            f"tied=false. Received: embedding_dim={recipe.embedding_dim}, units={units}"
        )


def _check_text_and_data(recipe):
    if recipe.tokenizer not in TOKENIZERS and (recipe.vocabulary_size is not None or recipe.min_count != 1):
        raise ValueError(
            "A tokenizer.json brings its vocabulary: drop `vocabulary_size` and `min_count`. Received: "
            f"tokenizer={recipe.tokenizer!r}, vocabulary_size={recipe.vocabulary_size}, min_count={recipe.min_count}"
        )
    if recipe.mode == "sentences" and recipe.random_windows:
        raise ValueError(
            "Sentences have lengths of their own: set random_windows=false, or mode=contiguous. "
            f"Received: mode={recipe.mode!r}, random_windows=True"
        )


def check_room(options):
    """Raises where the weights alone, four bytes each, are more than the machine's memory."""
    import_keras()
    from keras_rnnlm.models.reading import count_weights

    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    count = count_weights(options, memory // 4)
    if count > memory // 4:
        raise ValueError(
            f"A network with {count:.3g} weights or more does not fit into this machine's memory of "
            f"{memory / 1e9:.0f} GB: lower `units`, `layers`, `embedding_dim` or `vocabulary_size`. "
            f"Received: units={options['units']}, layers={options['layers']}, "
            f"embedding_dim={options['embedding_dim']}, a vocabulary of {options['vocabulary_size']}"
        )


def regularizers_of_cells(recipe):
    """The recurrent layers' regularizers, those that are on."""
    return {name: getattr(recipe, name) for name in OF_CELLS if getattr(recipe, name)}


def set_forget_bias(layer, forget_bias):
    """Sets the biases of the forget gates of a recurrent layer that is built."""
    import numpy as np

    keras, cell = import_keras(), layer.cell
    biases = [getattr(cell, name) for name in cell.declared if name == "bias" or "bias_" in name]
    if "f" not in cell.gates or not biases:
        raise ValueError(
            f"`forget_bias` needs a forget gate with a bias, and {layer.name!r} has none: drop the setting. "
            f"Received: forget_bias={forget_bias}"
        )
    start = cell.gates.index("f") * cell.units
    for variable in biases:
        bias = np.array(keras.ops.convert_to_numpy(variable))
        bias[..., start : start + cell.units] = forget_bias
        variable.assign(bias)


def _head_options(recipe, vocabulary):
    """The rare words of a vocabulary of words come last; of any other, an adaptive head has to be told the order."""
    order = {"order": "frequencies"} if recipe.head == "adaptive" and vocabulary.kind != "word" else {}
    return order | recipe.head_options


def _frequencies(vocabulary_size, text, chunk=1 << 20):
    """Of each symbol in a text."""
    import numpy as np

    counts = np.ones(vocabulary_size)  # what the text lacks is not impossible
    for begin in range(0, len(text), chunk):
        counts += np.bincount(text[begin : begin + chunk], minlength=len(counts))
    return counts / counts.sum()
