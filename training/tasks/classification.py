"""Classification: texts in, a model of the class of each.

Every recipe asks its task whether settings fit each other: numpy, and all that needs it, is imported where it is used.
"""

import dataclasses
import glob
import json
import os
import zipfile

from keras_rnnlm.schema import choice, whole
from keras_rnnlm.training.recipes.rules import COUNT, FACTOR, FLAG, TEXT, optional, setting
from keras_rnnlm.training.tasks.language_model import regularizers_of_cells, set_forget_bias
from keras_rnnlm.training.tasks.task import Data, Scorer, Task

OF_LANGUAGE_MODELS = ("head", "head_options", "mode", "random_windows", "window_multiple", "ar", "tar", "initial_range")
OF_LANGUAGE_MODELS += ("input_dropout", "output_dropout", "reduction", "tokenizer", "tied", "unigram_bias", "window")


class Classification(Task):
    """The vocabulary is a `Vocabulary`: words are what stands between white space, and classes are its labels."""

    settings = {
        "label_column": setting(None, "of tables, the column of labels; none: the one that plainly is", optional(TEXT)),
        "lower": setting(False, "whether words are looked up in lower case", FLAG),
        "characters": setting(False, "whether the characters of words are read, too", FLAG),
        "character_dim": setting(30, "width of the characters' embedding", COUNT),
        "filters": setting(30, "how many filters read the characters", COUNT),
        "bidirectional": setting(True, "whether texts are read backwards, too", FLAG),
        "pooling": setting("all", "{}: what is made of all steps", choice("last", "mean", "max", "all", "attention")),
        # 1/2.6 in the paper of both, Howard and Ruder (2018).
        "layer_factor": setting(1.0, "of the rate, from each layer to the one below", FACTOR),
        "unfreeze_every": setting(0, "steps after which each next lower layer begins to learn; 0: at once", whole(0)),
    }
    recipe = "classify"
    unread = OF_LANGUAGE_MODELS
    text_settings, free_settings = ("label_column",), ("layer_factor", "unfreeze_every")

    def check(self, recipe):
        own = recipe.task_settings
        if recipe.averages and _is_layerwise(own):
            raise ValueError(
                "An average of weights is of whole steps, and `layer_factor` and `unfreeze_every` shorten them: drop "
                f"`ema`, `swa_from` and `nt_asgd`, or these. Received: layer_factor={own['layer_factor']:g}, "
                f"unfreeze_every={own['unfreeze_every']}"
            )

    # What it reads

    def prepare(self, given, recipe, folder, display, first=None):
        from keras_rnnlm.training.corpora.labelled import open_labelled
        from keras_rnnlm.training.corpora.opening import check_column, paths_of

        own = recipe.task_settings
        texts = open_labelled(
            given.corpus,
            valid=given.valid,
            test=given.test,
            split=recipe.split,
            encoding=recipe.encoding,
            text_column=recipe.text_column,
            label_column=own["label_column"],
        )
        check_column(texts.columns, recipe.text_column, paths_of(given.corpus))
        for table, (text, label) in texts.columns.items():
            display.say(f"reading texts in the column {text!r} of {table}, and labels in {label!r}")
        vocabulary = self._learned(texts.splits["train"], recipe, first)
        if len(vocabulary.labels) < 2:
            raise ValueError(f"There are two labels to learn, at least. Received: {', '.join(vocabulary.labels)}")
        vocabulary.save(folder.path / vocabulary.FILES[0])
        folder.data.mkdir()
        for name, rows in texts.splits.items():
            encoded(rows, vocabulary, own["characters"]).save(folder.data / f"{name}.npz")
        (folder.data / "fingerprint").write_text(texts.fingerprint)
        return self.restore(recipe, folder, display)

    def _learned(self, rows, recipe, first):
        """The vocabulary of texts; of a run that begins with a language model, its words come first."""
        from keras_rnnlm.text import Vocabulary

        begun = None if first is None else first.read_recipe()
        if begun is not None and begun.task == recipe.task:
            return self.vocabulary(first)
        words, labels = ([text.split() for text, *_ in rows], {label for _, label, _ in rows})
        vocabulary = Vocabulary.learn(
            words,
            labels,
            lower=recipe.task_settings["lower"],
            min_count=recipe.min_count,
            vocabulary_size=recipe.vocabulary_size,
        )
        if begun is None:
            return vocabulary
        known = words_of(first.read_tokenizer(), first)
        data = json.loads(vocabulary.definition)
        data["words"] = [*known, *(word for word in vocabulary.words if word not in known)]
        return Vocabulary(json.dumps(data))

    def restore(self, recipe, folder, display):
        vocabulary = self.vocabulary(folder)
        try:
            found = {
                name: Texts.load(path) for name in ("train", "valid", "test") if (path := _of(folder, name)).is_file()
            }
            text = (folder.data / "fingerprint").read_text()
            if "train" not in found:
                raise ValueError("it holds no train.npz")
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{folder.data} is damaged: start a new run with another --out ({error})") from error
        return Data(found, vocabulary, {"vocabulary": vocabulary.fingerprint, "text": text})

    def read(self, path, data, recipe, encoding, display):
        from keras_rnnlm.training.corpora.labelled import open_labelled
        from keras_rnnlm.training.corpora.named_sources import of_rows

        if not os.path.exists(path) and not glob.has_magic(os.fspath(path)) and not of_rows([os.fspath(path)]):
            return None
        columns = {"text_column": recipe.text_column, "label_column": recipe.task_settings["label_column"]}
        rows = open_labelled(path, encoding=encoding, whole=True, **columns).splits["train"]
        return encoded(rows, data.vocabulary, recipe.task_settings["characters"])

    def describe(self, data):
        counts = ", ".join(f"{len(split):,} in {name}" for name, split in data.splits.items())
        sizes = data.vocabulary.sizes
        return f"{counts}; {sizes['labels']} labels, {sizes['words']:,} words"

    def stream(self, data, split, recipe):
        return data.splits[split].stream(recipe.batch, seed=recipe.seed)

    # The model

    def settings_from(self, begun):
        if begun.task != "language_model":
            return super().settings_from(begun)
        names = ("units", "layers", "cell", "cell_options", "embedding_dim", "connection")
        own = {"task_settings.bidirectional": False, "task_settings.characters": False}
        if begun.embedding_dim is None:  # as wide as a language model makes it
            widths = begun.units if isinstance(begun.units, list) else [begun.units]
            width = widths[-1 if begun.tied and begun.connection is None else 0]
            own["embedding_dim"] = begun.cell_options.get("projection_units") or width
        return {name: getattr(begun, name) for name in names} | own

    def build(self, recipe, vocabulary):
        own, sizes = recipe.task_settings, vocabulary.sizes
        first = recipe.units[0] if isinstance(recipe.units, list) else recipe.units
        model = self.model_class()(
            sizes["words"],
            sizes["labels"],
            recipe.units,
            recipe.layers,
            recipe.cell,
            recipe.cell_options | regularizers_of_cells(recipe),
            recipe.connection,
            characters=sizes["characters"] if own["characters"] else None,
            word_dim=recipe.embedding_dim or first,
            character_dim=own["character_dim"],
            filters=own["filters"],
            dropout=recipe.dropout,
            embedding_dropout=recipe.embedding_dropout,
            locked_dropout=recipe.locked_dropout,
            bidirectional=own["bidirectional"],
            pooling=own["pooling"],
            dtype=recipe.precision,
            name="classifier",  # and not classifier_1 for a process's second: a checkpoint knows its variables
        )
        if recipe.forget_bias is not None:
            for layer in [*model.stack.layers, *model.stack.backwards]:
                set_forget_bias(layer, recipe.forget_bias)
        return model

    def compile(self, model, optimizer, recipe):
        from keras_rnnlm.optimizers import ClippedOptimizer, LayerwiseOptimizer

        own = recipe.task_settings
        if _is_layerwise(own):
            inner = LayerwiseOptimizer(
                optimizer.inner_optimizer,
                model.groups(),
                factor=own["layer_factor"],
                unfreeze_every=own["unfreeze_every"],
            )
            optimizer = ClippedOptimizer(inner, optimizer.max_norm, by=optimizer.by)
        super().compile(model, optimizer, recipe)

    def begin_with(self, model, other, vocabulary, other_vocabulary):
        if isinstance(other, type(model)):
            super().begin_with(model, other, vocabulary, other_vocabulary)
            return
        ids, unknown = dict(other_vocabulary.symbols()), other_vocabulary.unknown
        rows = [-1, -1 if unknown is None else unknown, *(ids.get(word, -1) for word in vocabulary.words)]
        model.take_over(other, rows)

    def check_model(self, model, vocabulary, folder):
        config, sizes = model.get_config(), vocabulary.sizes
        if (config["words"], config["classes"]) != (sizes["words"], sizes["labels"]):
            raise ValueError(
                f"{folder.model_file} is of another run than the vocabulary beside it, which has {sizes['words']:,} "
                f"words and {sizes['labels']} labels where the model has {config['words']:,} and {config['classes']}: "
                "put back the files that the run wrote"
            )

    def scorer(self, model, data, recipe):
        return Accuracy(model, recipe.eval_batch)


def _is_layerwise(own):
    return own["layer_factor"] < 1 or own["unfreeze_every"] > 0


def _of(folder, name):
    return folder.data / f"{name}.npz"


def words_of(tokenizer, first):
    """The words that a language model knows, each with its id."""
    if tokenizer.kind != "word":
        raise ValueError(
            f"A classifier begins with a language model of words: train one with tokenizer=word. Received: {first}, of "
            f"tokenizer={tokenizer.kind}"
        )
    by_id = sorted(tokenizer.symbols().items(), key=lambda entry: entry[1])  # from a map without an order of its own
    return {word: id for word, id in by_id if id != tokenizer.unknown}


# Texts by number


@dataclasses.dataclass(frozen=True)
class Texts:
    """Texts and their labels by number: the words of all one after the other, and, if wanted, their characters."""

    words: object
    lengths: object
    labels: object
    characters: object = None

    def __len__(self):
        return len(self.lengths)

    def save(self, path):
        import numpy as np

        arrays = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})

    @classmethod
    def load(cls, path):
        import numpy as np

        with np.load(path) as file:
            return cls(**file)

    def stream(self, batch, **options):
        """Batches of inputs, labels and weights: 0 of a row that is padding."""
        import numpy as np

        from keras_rnnlm.training.streams import Examples

        ends = np.cumsum(self.lengths)

        def collate(chosen, batch, time):
            rows = [slice(ends[k] - self.lengths[k], ends[k]) for k in chosen]
            labels, weights = np.zeros(batch, np.int32), np.zeros(batch, np.float32)
            labels[: len(chosen)], weights[: len(chosen)] = self.labels[chosen], 1
            inputs = _side_by_side(self.words, rows, batch, time)
            if self.characters is not None:
                inputs = {"words": inputs, "characters": _side_by_side(self.characters, rows, batch, time)}
            return inputs, labels, weights

        return Examples(self.lengths, collate, batch, **options)


def _side_by_side(flat, rows, batch, time):
    from keras_rnnlm.training.streams import padded

    return padded([flat[row] for row in rows], batch, time, *flat.shape[1:])


def encoded(rows, vocabulary, characters):
    """`Texts` of (text, label, place) rows; a label that is not in the vocabulary is an error."""
    import numpy as np

    known = set(vocabulary.labels)
    for _, label, place in rows:
        if label not in known:
            raise ValueError(
                f"{place}: the label {label!r} is none that was learned: {', '.join(vocabulary.labels[:20])}. Mend it, "
                "or train with texts that have it"
            )
    words = [text.split() for text, *_ in rows]
    flat = [word for text in words for word in text]
    return Texts(
        vocabulary.word_ids(flat),
        np.array([len(text) for text in words], np.int64),
        vocabulary.label_ids([label for _, label, _ in rows]),
        vocabulary.character_ids(flat) if characters else None,
    )


# Its score


class Accuracy(Scorer):
    """Accuracy, which decides, and macro F1: the mean over the classes of each one's F1."""

    decides, larger_is_better = "accuracy", True

    def __init__(self, model, batch=16):
        from keras_rnnlm.models.compiled import compiled

        super().__init__(model)
        self.batch = batch
        self._logits = compiled(model, lambda inputs: model(inputs))

    def score(self, split, progress=None):
        import numpy as np
        from keras import ops, tree

        stream = split.stream(self.batch, shuffle=False)
        logits, labels = [], []
        for k, (inputs, wanted, weights) in enumerate(stream.batches()):
            found = self._logits(tree.map_structure(ops.convert_to_tensor, inputs))
            logits.append(ops.convert_to_numpy(ops.cast(found, "float32"))[weights > 0])
            labels.append(wanted[weights > 0])
            if progress is not None:
                progress(k + 1, stream.steps())
        logits, labels = np.concatenate(logits).astype("float64"), np.concatenate(labels)
        logits -= logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
        chosen = logits.argmax(axis=1)
        return {
            "loss": float(losses.mean()),
            "accuracy": float((chosen == labels).mean()),
            "macro_f1": macro_f1(labels, chosen),
            "texts": len(labels),
        }


def macro_f1(wanted, chosen):
    """The mean of the F1 of each class that is wanted or chosen anywhere.

    >>> macro_f1([0, 0, 1, 2], [0, 1, 1, 0])
    0.38888888888888884
    """
    import numpy as np

    wanted, chosen = np.asarray(wanted), np.asarray(chosen)
    found = [
        2 * np.sum((wanted == label) & (chosen == label)) / (np.sum(wanted == label) + np.sum(chosen == label))
        for label in np.union1d(wanted, chosen)
    ]
    return float(np.mean(found))
