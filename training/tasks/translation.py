"""Translation: pairs of texts in, a model that writes the second of the first.

Every recipe asks its task whether settings fit each other: numpy, and all that needs it, is imported where it is used.
"""

import os
import pathlib

from keras_rnnlm.schema import choice, whole
from keras_rnnlm.training.recipes.rules import COUNT, FLAG, RATE, TEXT, TOKENIZER, TOKENIZERS, optional, setting
from keras_rnnlm.training.tasks.task import Data, Task, check_options, check_split

FORMATS = ("auto", "tsv", "cmudict")  # of one file, see `keras_rnnlm.training.corpora.pairs`
SCORES = ("dot", "general", "additive")
DEFAULT_SHARES = "90/5/5"
OF_MODEL = ("decoder_layers", "score", "label_smoothing", "scheduled_sampling", "sampling_steps", "doubly_stochastic")


class Translation(Task):
    """The vocabulary is a `PairVocabulary`, and a split `EncodedPairs`."""

    settings = {
        "format": setting("auto", "of one file of pairs: {}; two files belong together line by line", choice(*FORMATS)),
        "source_column": setting(
            None, 'of tables and data sets, the sources\', or their language; none: "source"', optional(TEXT)
        ),
        "target_column": setting(None, 'the targets\', or their language; none: "target"', optional(TEXT)),
        "stress": setting(False, "of cmudict: whether vowels keep the digits that mark stress", FLAG),
        "source_tokenizer": setting(None, "of the sources, `tokenizer` being the targets': {}", optional(TOKENIZER)),
        "longest": setting(100, "symbols of a source or a target; longer ones are not learned from", COUNT),
        "decoder_layers": setting(None, "layers of the decoder; none: as many as of the encoder", optional(COUNT)),
        "score": setting("general", "how the decoder attends: {}", choice(*SCORES)),
        "label_smoothing": setting(0.0, "so much of each target is spread over the vocabulary", RATE),
        "scheduled_sampling": setting(0.0, "fraction of what the decoder reads that the model itself wrote", RATE),
        "sampling_steps": setting(0, "steps in which that fraction rises from 0", whole(0)),
        "decode": setting(0, "sources that a validation has written; 0: the loss decides alone", whole(0)),
        "beam": setting(1, "hypotheses a source then; 1 is greedy", COUNT),
    }

    writes = True
    limiting = ("longest",)  # the settings that `limits` come from
    text_settings = ("format", "source_column", "target_column")
    free_settings = ("stress", "longest", "decode", "beam", "label_smoothing", "scheduled_sampling", "sampling_steps")
    unread = ("text_column", "input_dropout", "output_dropout", "locked_dropout", "embedding_dropout", "ar", "tar")
    unread += ("recurrent_dropout", "initial_range", "forget_bias", "mode", "window", "random_windows", "grow")

    def check(self, recipe):
        if not isinstance(recipe.units, int) or recipe.units % 2:
            raise ValueError(
                "A translator has one width, an even number, half of it for each direction of the encoder. "
                f"Received: units={recipe.units}"
            )
        if recipe.connection not in (None, "residual"):
            raise ValueError(
                f'A translator\'s `connection` is "residual", or none. Received: connection={recipe.connection!r}'
            )
        if recipe.tied and recipe.embedding_dim not in (None, recipe.units):
            raise ValueError(
                f"Tied weights need an embedding as wide as the decoder: drop `embedding_dim`, or set tied=false. "
                f"Received: embedding_dim={recipe.embedding_dim}, units={recipe.units}"
            )

    # What it reads

    def prepare(self, given, recipe, folder, display, first=None):
        from keras_rnnlm.training.corpora import encoded_pairs, pairs
        from keras_rnnlm.training.corpora.opening import paths_of

        own = recipe.task_settings

        def read(paths):
            return pairs.read_pairs(paths, own["format"], recipe.encoding, own["stress"])

        def of_columns(named):
            found, columns = _of_columns(named, recipe), [own["source_column"], own["target_column"]]
            if found is None and named is given.corpus and any(columns):
                raise ValueError(
                    "`source_column` and `target_column` are of a table that has them, and "
                    f"{', '.join(paths_of(named))} has neither: drop them, or name others. "
                    f"Received: {', '.join(map(repr, columns))}"
                )
            return found

        texts = read_splits(given, recipe, read, of_columns)
        vocabulary = (
            first.read_vocabulary(self.vocabulary_class) if first else _learned(texts["train"], recipe, display)
        )
        encoded_pairs.write(folder.data, texts, vocabulary)
        vocabulary.save(folder.path)
        return self.after_telling(self.restore(recipe, folder, display), recipe, display)

    def after_telling(self, data, recipe, display):
        """The data, after a line that says how much of it is too long to be learned from."""
        split, limits = data.splits["train"], self.limits(recipe)
        count = len(split) - len(split.kept(**limits))
        if count:
            said = " and ".join(f"task_settings.{name}={recipe.task_settings[name]}" for name in self.limiting)
            display.say(f"{count:,} of {len(split):,} are longer than {said} allows, and are not learned from")
        return data

    def limits(self, recipe):
        """What keeps pairs that are too long from being learned from: arguments of a split's `kept` and `stream`."""
        return {"longest": recipe.task_settings["longest"]}

    def restore(self, recipe, folder, display):
        from keras_rnnlm.training.corpora import encoded_pairs

        vocabulary = self.vocabulary(folder)
        splits, fingerprints = encoded_pairs.read(folder.data)
        check_vocabulary(vocabulary, fingerprints, folder)
        return Data(splits, vocabulary, fingerprints)

    def describe(self, data):
        sizes = data.vocabulary.sizes
        valid = len(data.splits["valid"]) if "valid" in data.splits else 0
        return (
            f"{len(data.splits['train']):,} pairs to learn from, {valid:,} to validate on; "
            f"{sizes['source']:,} symbols to {sizes['target']:,}"
        )

    def stream(self, data, split, recipe):
        return data.splits[split].stream(recipe.batch, seed=recipe.seed, **self.limits(recipe))

    # The model

    def build(self, recipe, vocabulary):
        regularizers = {name: getattr(recipe, name) for name in ("weight_drop", "zoneout") if getattr(recipe, name)}
        return self.model_class()(
            vocabulary.sizes.get("source"),
            vocabulary.sizes["target"],
            units=recipe.units,
            layers=recipe.layers,
            cell=recipe.cell,
            cell_options=recipe.cell_options | regularizers,
            connection=recipe.connection,
            dropout=recipe.dropout,
            embedding_dim=recipe.embedding_dim,
            tied=recipe.tied,
            head=recipe.head,
            head_options=recipe.head_options,
            seed=recipe.seed,
            dtype=recipe.precision,
            name="translator",
            **{name: recipe.task_settings[name] for name in OF_MODEL if name in recipe.task_settings},
            **self.encoder(recipe, vocabulary),
        )

    def encoder(self, recipe, vocabulary):
        """What the model is told of its encoder."""
        return {}

    def compile(self, model, optimizer, recipe):
        model.compile(optimizer, reduction=recipe.reduction, auto_scale_loss=False)

    def begin(self, model, data, recipe):
        """As of a language model: at first each symbol of the targets is as likely as it is frequent."""
        if recipe.unigram_bias or model.head.reads_frequencies:
            import numpy as np

            from keras_rnnlm.text.pair_vocabulary import END

            split = data.splits["train"]
            counts = 1.0 + np.bincount(split.ids["target"], minlength=model.vocabulary_size)
            counts[END] += len(split)
            tell = model.head.begin_with_frequencies if recipe.unigram_bias else model.head.read_frequencies
            tell(counts / counts.sum())

    def begin_with(self, model, other, vocabulary, other_vocabulary):
        """With all weights but the count of steps, by which scheduled sampling rises: it begins at 0 again."""
        mine, theirs = ([v for v in one.weights if v.name != "trained_steps"] for one in (model, other))
        if [v.shape for v in mine] != [v.shape for v in theirs]:
            raise ValueError("the shapes differ")
        for variable, value in zip(mine, theirs):
            variable.assign(value)

    def check_model(self, model, vocabulary, folder):
        config = model.get_config()
        held = {side: config[f"{side}_vocabulary"] for side in vocabulary.sizes}
        if held != vocabulary.sizes:
            raise ValueError(
                f"{folder.model_file} is of another run than its vocabulary, which has {vocabulary.sizes} ids where "
                f"the model has {held}: put back the files that the run wrote"
            )

    # Its score

    def scorer(self, model, data, recipe):
        from keras_rnnlm.training.evaluation.translations import Scorer

        own = recipe.task_settings
        how = dict(decode=own["decode"], beam=own["beam"], vocabulary=data.vocabulary)
        return Scorer(model, batch=recipe.eval_batch, **how)

    def read_split(self, text, encoding, recipe, vocabulary):
        """What files that `evaluate` is given hold, as a split."""
        from keras_rnnlm.training.corpora import encoded_pairs, pairs

        of_columns = _of_columns(text, recipe, encoding)
        if of_columns is not None:
            return encoded_pairs.encoded(of_columns["train"], vocabulary)
        own = recipe.task_settings
        found = pairs.read_pairs(_files(text), own["format"], encoding, own["stress"], checked=False)
        return encoded_pairs.encoded(found, vocabulary)

    def evaluate(self, folder, recipe, text, display, **options):
        """Of a split of the run, or of files: everything is written, and compared."""
        from keras_rnnlm.training.evaluation.translations import Scorer

        how = written_by(options, recipe)
        check_options(options, folder, recipe, self.unread)
        data = self.restore(recipe, folder, display)
        check_split(folder, text, data.splits)
        if text in data.splits:
            split = data.splits[text]
        else:
            encoding = options.get("encoding") or recipe.encoding
            split = self.read_split(text, encoding, recipe, data.vocabulary)
        model = folder.read_model(data.fingerprints.get("text"))
        batch = options.get("batch") or recipe.eval_batch
        scorer = Scorer(model, batch=batch, decode=len(split), vocabulary=data.vocabulary, **how)
        return {"model": scorer.score(split, display.evaluating)}


def read_splits(given, recipe, read, of_data_set=lambda named: None):
    """The pairs of each split, by `read(paths)`: of files of its own, or of shares of all sources.

    `of_data_set(named)` is the pairs of each split of a data set, or None where files are named.
    """
    from keras_rnnlm.training.corpora import pairs

    texts = of_data_set(given.corpus)
    if texts is None:
        texts = {"train": read(given.corpus)}
    elif len(texts) > 1 and recipe.split is not None:
        raise ValueError(
            f"The data set brings its own splits ({', '.join(texts)}): leave out `split`. "
            f"Received: split={recipe.split!r}"
        )
    named = {"valid": given.valid, "test": given.test}
    for name, files in named.items():
        if files is not None:
            found = of_data_set(files)
            texts[name] = read(_files(files)) if found is None else found["train"]
    if recipe.split is not None or "valid" not in texts:
        shares = _shares(recipe.split or ("95/5" if "test" in texts else DEFAULT_SHARES))
        if "valid" in texts or ("test" in texts and len(shares) > 2):
            raise ValueError(
                f"Pairs are split, or have files of their own to validate on. Received: split={recipe.split!r} "
                f"and valid={given.valid!r}, test={given.test!r}"
            )
        parts = pairs.split_pairs(texts["train"], shares)
        if not all(part or not share for part, share in zip(parts, shares)):
            raise ValueError(
                f"{len({source for source, _ in texts['train']}):,} different sources are too few to be cut "
                f"{'/'.join(map(str, shares))}: give more, other percentages as `split`, or the other splits as files"
            )
        rest = {name: found for name, found in texts.items() if name != "train"}
        texts = {name: part for name, part in zip(("train", "valid", "test"), parts) if part} | rest
    if "train" not in texts:
        raise ValueError(f"There is nothing to learn from: split={recipe.split!r} leaves no pair to train on")
    return texts


def written_by(options, recipe):
    """What a `Scorer` is to write by, taken out of the options of `evaluate`."""
    beam = options.pop("beam", None) or recipe.task_settings["beam"]
    return {"beam": beam, "rescoring": options.pop("rescoring", None), "bleu": options.pop("bleu", False)}


def check_vocabulary(vocabulary, fingerprints, folder):
    if fingerprints["vocabulary"] != vocabulary.fingerprint:
        raise ValueError(
            f"{' and '.join(vocabulary.FILES)} in {folder} are not the vocabulary that {folder.data} is written "
            "in: put back the ones that the run began with, or start a new run with another --out"
        )


def _of_columns(named, recipe, encoding=None):
    """The pairs of each split of a data set, or those of a table; None where other files are named."""
    from keras_rnnlm.training.corpora.named_sources import of_rows, tables_of
    from keras_rnnlm.training.corpora.opening import paths_of
    from keras_rnnlm.training.corpora.pairs import pairs_of_cells, pairs_of_table, sides_of, table_of

    paths, own = paths_of(named), recipe.task_settings
    columns = {side: own[f"{side}_column"] for side in ("source", "target")}
    if not of_rows(paths):
        table = table_of(paths, encoding or recipe.encoding, columns) if own["format"] == "auto" else None
        return None if table is None else {"train": pairs_of_table(table, columns)}
    if len(paths) != 1:
        raise ValueError(f"Pairs come from one data set, or from files. Received: {', '.join(paths)}")

    def cells(table):
        inside, sides = "translation" if "translation" in table.rows.columns else None, None
        for number, row in table.rows.objects([inside] if inside else None):
            row = row[inside] if inside else row
            sides = sides or sides_of(list(row), columns, table.name)
            yield table.place(number), *(row[side] for side in sides)

    return {name: list(pairs_of_cells(cells(table))) for name, table in tables_of(paths[0]).items()}


def _files(named):
    """One file, or two with a comma between them."""
    if isinstance(named, (list, tuple)):
        return named
    return [named] if pathlib.Path(named).exists() else os.fspath(named).split(",")


def _shares(text):
    try:
        shares = [int(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if len(shares) > 3 or sum(shares) != 100 or min(shares) < 0:
        raise ValueError(
            f'`split` is at most three percentages that add up to 100, such as "90/5/5". Received: split={text!r}'
        )
    return shares


def tokenizer_of(kind, texts, recipe):
    """The tokenizer of one side, learned from its texts, or read."""
    from keras_rnnlm.text import Tokenizer

    if kind not in TOKENIZERS:
        return Tokenizer.load(kind)
    return Tokenizer.train(kind, texts, recipe.vocabulary_size, recipe.min_count)


def _learned(pairs, recipe, display):
    from keras_rnnlm.text import PairVocabulary

    kinds = recipe.task_settings["source_tokenizer"] or recipe.tokenizer, recipe.tokenizer
    display.say(f"learning two vocabularies ({kinds[0]}, {kinds[1]})")
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    return PairVocabulary(*(tokenizer_of(kind, texts, recipe) for kind, texts in zip(kinds, sides)))
