"""Tagging: sentences in columns in, a model of the tag of each word.

Every recipe asks its task whether settings fit each other: numpy, and all that needs it, is imported where it is used.
"""

import dataclasses

from keras_rnnlm.schema import whole
from keras_rnnlm.text.columns import Columns
from keras_rnnlm.training.recipes.rules import COLUMN, COUNT, FLAG, RATE, optional, setting
from keras_rnnlm.training.tasks.language_model import regularizers_of_cells
from keras_rnnlm.training.tasks.task import Data, Task

# Settings of language models, which no model of whole sentences has a use for.
OF_LANGUAGE_MODELS = ("tokenizer", "text_column", "tied", "head", "head_options", "input_dropout", "output_dropout")
OF_LANGUAGE_MODELS += ("locked_dropout", "embedding_dropout", "ar", "tar", "initial_range", "forget_bias")
OF_LANGUAGE_MODELS += ("unigram_bias", "mode", "random_windows", "window_multiple", "reduction")


# What these columns are usually called in data sets.
WORDS = ("tokens", "words", "form", "forms")
TAGS = ("tags", "ner_tags", "pos_tags", "upos", "labels")


class Tagging(Task):
    """The vocabulary is a `Vocabulary` whose labels are the tags, and a split `Sentences` with a label a word."""

    settings = {
        "word_column": setting(
            None, "the words'; none: the first, of ten columns (CoNLL-U) the second", optional(COLUMN)
        ),
        "tag_column": setting(None, "the tags'; none: the second, of ten columns the fourth", optional(COLUMN)),
        "lower": setting(False, "whether words are looked up in lower case; their characters stay as written", FLAG),
        "longest_word": setting(20, "characters of a word that are read, the first ones", whole(1, 1000)),
        "character_dim": setting(30, "width of the embedding of characters", COUNT),
        "filters": setting(50, "of three characters each, that read a word; 0: words alone", whole(0, 10_000)),
        "word_dropout": setting(0.05, "fraction of words known by their characters alone, in training", RATE),
        "crf": setting(True, "whether a conditional random field scores how tags follow on each other", FLAG),
    }
    recipe = "tagger"
    unread = (*OF_LANGUAGE_MODELS, "window")
    text_settings, free_settings = ("word_column", "tag_column"), ("word_dropout",)

    def prepare(self, given, recipe, folder, display, first=None):
        from keras_rnnlm.text import Vocabulary
        from keras_rnnlm.training.corpora import examples
        from keras_rnnlm.training.evaluation.spans import are_of_spans

        placed = examples.read_examples(
            given,
            recipe,
            folder,
            lambda lines, name: _placed(lines, name, recipe),
            lambda table: _of_table(table, recipe),
        )
        if are_of_spans({tag for _, tags, _ in placed["train"] for tag in tags}):
            placed = {name: _begun(found, name, display) for name, found in placed.items()}
        splits = {name: [(words, tags) for words, tags, _ in found] for name, found in placed.items()}
        column = _numbered(recipe.task_settings, "word_column")
        if first is not None:
            vocabulary = first.read_vocabulary(self.vocabulary_class).of_column(column)
            new = {tag for _, tags in splits["train"] for tag in tags} - set(vocabulary.labels)
            if new:
                raise ValueError(f"The run {first} knows no tag {sorted(new)[0]!r}: begin without it")
        else:
            vocabulary = Vocabulary.learn(
                [words for words, _ in splits["train"]],
                (tag for _, tags in splits["train"] for tag in tags),
                lower=recipe.task_settings["lower"],
                min_count=recipe.min_count,
                vocabulary_size=recipe.vocabulary_size,
                longest_word=recipe.task_settings["longest_word"],
                word_column=column,
            )
            _check_tags(vocabulary.labels, splits["train"])
        for name, found in placed.items():
            unknown, count = _unknown(found, vocabulary), sum(len(words) for words, _ in splits[name])
            if 2 * len(unknown) > count:
                raise ValueError(
                    f"{name}: of {count:,} words {len(unknown):,} have a tag that the training text lacks, first "
                    f"{unknown[0]}; that text has {vocabulary.labels[0]!r} and the like. Which column holds the tags? "
                    "The same in all files: task_settings.tag_column says which, task_settings.word_column the words'"
                )
            _tell_unknown(len(unknown), name, display, unknown)
        examples.keep(folder.data, splits)
        folder.spool.unlink(missing_ok=True)
        vocabulary.save(folder.path)
        data = self._kept(folder)
        if _lacks_spans(data.splits.get("valid"), vocabulary.labels):
            display.warn("valid: no sentence has a span, so the loss says which model is best, in place of the F1")
        return data

    def restore(self, recipe, folder, display):
        data = self._kept(folder)
        for name, split in data.splits.items():
            _tell_unknown(int((split.labels < 0).sum()), name, display)
        return data

    def _kept(self, folder):
        from keras_rnnlm.training.corpora import examples

        vocabulary = self.vocabulary(folder)
        splits, fingerprint = examples.kept(folder.data, vocabulary)
        return Data(splits, vocabulary, {"vocabulary": vocabulary.fingerprint, "text": fingerprint})

    def read(self, path, data, recipe, encoding, display):
        from keras_rnnlm.training.corpora import examples
        from keras_rnnlm.training.evaluation.spans import is_bio

        # The columns of a data set have names, and those of files numbers: what was said of the one is of no other.
        own = recipe.task_settings
        numbered = {name: _numbered(own, name) for name in ("word_column", "tag_column")}
        of_files = dataclasses.replace(recipe, task_settings=own | numbered)
        ways = (lambda *of: _placed(*of, of_files)), (lambda table: _of_table(table, recipe))
        found = examples.read_source(path, encoding, *ways)
        if not found:
            raise ValueError(f"{path} holds no sentence")
        labels = set(data.vocabulary.labels)
        if is_bio(labels) and all(f"B-{tag[2:]}" in labels for tag in labels if tag.startswith("I-")):
            found = _begun(found, path, display)
        unknown = _unknown(found, data.vocabulary)
        _tell_unknown(len(unknown), path, display, unknown)
        return examples.encoded([(words, tags) for words, tags, _ in found], data.vocabulary)

    def describe(self, data):
        train, sizes = data.splits["train"], data.vocabulary.sizes
        valid = len(data.splits.get("valid", ()))
        return (
            f"{len(train):,} sentences to learn from, {len(train.tokens):,} words, {sizes['words']:,} different, "
            f"{sizes['labels']:,} tags; {valid:,} sentences to validate on"
        )

    def stream(self, data, split, recipe):
        from keras_rnnlm.training.streams import Examples

        sentences = data.splits[split]

        def collate(*which):
            return sentences.inputs(*which), sentences.labels_of_words(*which)

        return Examples(sentences.lengths, collate, recipe.batch, seed=recipe.seed)

    def build(self, recipe, vocabulary):
        from keras_rnnlm.training.evaluation.spans import is_bio

        sizes, own = vocabulary.sizes, recipe.task_settings
        model = self.model_class()
        allowed = None
        if own["crf"] and is_bio(vocabulary.labels):
            from keras_rnnlm.layers import allowed_transitions

            allowed = allowed_transitions(vocabulary.labels)
        units = recipe.units[-1] if isinstance(recipe.units, list) else recipe.units
        return model(
            sizes["words"],
            sizes["characters"],
            sizes["labels"],
            units=recipe.units,
            layers=recipe.layers,
            cell=recipe.cell,
            cell_options=recipe.cell_options | regularizers_of_cells(recipe),
            connection=recipe.connection,
            word_dim=recipe.embedding_dim or units,
            character_dim=own["character_dim"],
            filters=own["filters"],
            dropout=recipe.dropout,
            word_dropout=own["word_dropout"],
            crf=own["crf"],
            allowed=allowed,
            dtype=recipe.precision,
            name="tagger",
        )

    def check_model(self, model, vocabulary, folder):
        sizes = model.sizes
        if sizes != vocabulary.sizes:
            raise ValueError(
                f"{folder.model_file} is of another run than the vocabulary beside it, which has {vocabulary.sizes} "
                f"where the model has {sizes}: put back the files that the run wrote"
            )

    def scorer(self, model, data, recipe):
        from keras_rnnlm.training.evaluation.tags import TagScorer

        scorer = TagScorer(model, data.vocabulary.labels, batch=recipe.eval_batch)
        if _lacks_spans(data.splits.get("valid"), data.vocabulary.labels):
            scorer.decides, scorer.larger_is_better = "loss", False
        return scorer


def _lacks_spans(sentences, labels):
    """Whether tags are of spans, and these sentences have none."""
    from keras_rnnlm.training.evaluation.spans import is_bio

    if sentences is None or not is_bio(labels):
        return False
    return all(k >= 0 and labels[k] == "O" for k in set(sentences.labels.tolist()))


def _numbered(own, name):
    """The column of a file that a setting names by its number, or None: a name is of a data set, and no file's."""
    return None if isinstance(own[name], str) else own[name]


def _columns(recipe):
    """The columns of a file."""
    own = recipe.task_settings
    for name in ("word_column", "tag_column"):
        if isinstance(own[name], str):
            raise ValueError(
                f"The columns of a file are numbered, from 1: names are of data sets. Received: {name}={own[name]!r}"
            )
    return Columns(own["word_column"], own["tag_column"])


def _of_table(table, recipe):
    """The words and the tags of each sentence of a data set."""
    from keras_rnnlm.training.corpora.named_sources import column_of

    columns, own = list(table.rows.columns), recipe.task_settings
    word = column_of(columns, own["word_column"], WORDS, "words", "word_column", table.name)
    others = [column for column in columns if column != word]
    tag = column_of(others, own["tag_column"], TAGS, "tags", "tag_column", table.name)
    for number, row in table.rows.objects([word, tag]):
        words, tags = row[word], row[tag]
        are_lists = isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)
        if not are_lists or not all(isinstance(one, str) for one in words):
            raise ValueError(
                f"{table.place(number)}: {word!r} is a list of words, and {tag!r} has a tag for each. "
                f"Received: {words!r:.60} and {tags!r:.60}"
            )
        if words:
            words = [one.replace("\n", " ") for one in words]  # in files a line is a word
            yield words, [str(one) for one in tags], (table.place(number), None)


def _placed(lines, name, recipe):
    """The words, the tags and the place of each sentence of a file."""
    for words, tags, numbers in _columns(recipe).placed(lines, name):
        yield words, tags, (name, numbers)


MANY_TAGS, MOST_TAGS = 100, 10_000  # from the first on they may be words of another column; a CRF squares them


def _check_tags(labels, sentences):
    """Raises where there are too many tags for what is read of them to be tags."""
    count = sum(len(words) for words, _ in sentences)
    if len(labels) > MANY_TAGS and (4 * len(labels) > count or len(labels) > MOST_TAGS):
        raise ValueError(
            f"{len(labels):,} different tags in {count:,} words, {', '.join(map(repr, labels[:3]))} and the like: "
            "which column holds the tags? task_settings.tag_column says which, task_settings.word_column the words'"
        )


def _begun(found, name, display):
    """The same sentences, whose spans begin with a B: older corpora write one there only where two spans meet."""
    from keras_rnnlm.training.evaluation.spans import with_beginnings

    begun = [(words, with_beginnings(tags), place) for words, tags, place in found]
    count = sum(old != new for (_, tags, _), (_, changed, _) in zip(found, begun) for old, new in zip(tags, changed))
    if count:
        display.say(f"{name}: {count:,} spans begin with I-, which is read as B-")
    return begun


def _unknown(found, vocabulary):
    """The tags that a vocabulary lacks, each time that they come, with their places."""
    known = set(vocabulary.labels)
    return [
        f"{tag} ({place if numbers is None else f'{place}, line {numbers[k]:,}'})"
        for _, tags, (place, numbers) in found
        for k, tag in enumerate(tags)
        if tag not in known
    ]


def _tell_unknown(count, name, display, unknown=()):
    if count:
        which = f": {unknown[0]}{' first' if count > 1 else ''}" if unknown else ""
        they = "it counts" if count == 1 else "they count"
        display.warn(f"{name}: {_words_have(count)} a tag that the training text lacks{which}; {they} as wrong")


def _words_have(count):
    return "1 word has" if count == 1 else f"{count:,} words have"
