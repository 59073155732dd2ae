"""Question encoding: questions and passages in, a model of the sentence that answers.

Every recipe asks its task whether settings fit each other: numpy, and all that needs it, is imported where it is used.
"""

from keras_rnnlm.schema import choice
from keras_rnnlm.training.recipes.rules import COUNT, TEXT, optional, setting
from keras_rnnlm.training.tasks.language_model import regularizers_of_cells, set_forget_bias
from keras_rnnlm.training.tasks.task import Data, Task

SCORES = ("dot", "general", "additive")
UNREAD = ("tokenizer", "text_column", "tied", "head", "head_options", "input_dropout", "output_dropout")
UNREAD += ("locked_dropout", "embedding_dropout", "ar", "tar", "initial_range", "unigram_bias", "mode")
UNREAD += ("random_windows", "window", "window_multiple", "reduction")


class Matching(Task):
    """The vocabulary is a `WeightedVocabulary`, and a split `EncodedQuestions`."""

    settings = {
        "question_column": setting(None, 'of data sets, the questions\'; none: "question"', optional(TEXT)),
        "context_column": setting(None, 'their passages\'; none: "context" or "sentences"', optional(TEXT)),
        "answers_column": setting(None, 'what is right; none: "answers" or "right"', optional(TEXT)),
        "longest": setting(64, "words of a question or a sentence that are learned from, the first ones", COUNT),
        "matching_units": setting(
            None, "width of the layer above the attention; none: that of the last", optional(COUNT)
        ),
        "score": setting("general", "how a sentence's words attend to the question: {}", choice(*SCORES)),
    }
    recipe = "matcher"
    unread = UNREAD
    text_settings, free_settings = ("question_column", "context_column", "answers_column"), ("longest",)

    # What it reads

    def prepare(self, given, recipe, folder, display, first=None):
        from keras_rnnlm.text.questions import questions, words_of
        from keras_rnnlm.training.corpora import encoded_questions, examples

        splits = examples.read_examples(
            given, recipe, folder, questions, lambda table: _of_table(table, recipe), lambda found: found.sentences
        )
        splits = {name: _answered(found, name, display) for name, found in splits.items()}
        if first is not None:
            vocabulary = self.vocabulary(first)
        else:
            texts = dict.fromkeys(text for found in splits["train"] for text in (*found.sentences, found.question))
            vocabulary = self.vocabulary_class.learn(
                map(words_of, texts), min_count=recipe.min_count, vocabulary_size=recipe.vocabulary_size
            )
        encoded_questions.keep(folder.data, splits)
        folder.spool.unlink(missing_ok=True)
        vocabulary.save(folder.path)
        return self.restore(recipe, folder, display)

    def restore(self, recipe, folder, display):
        from keras_rnnlm.training.corpora import encoded_questions

        vocabulary = self.vocabulary(folder)
        splits, fingerprint = encoded_questions.kept(folder.data, vocabulary)
        return Data(splits, vocabulary, {"vocabulary": vocabulary.fingerprint, "text": fingerprint})

    def read(self, path, data, recipe, encoding, display):
        from keras_rnnlm.text.questions import questions
        from keras_rnnlm.training.corpora import encoded_questions, examples

        found = examples.read_source(path, encoding, questions, lambda table: _of_table(table, recipe))
        return encoded_questions.encoded(_answered(found, path, display), data.vocabulary)

    def describe(self, data):
        train, valid = data.splits["train"], len(data.splits.get("valid", ()))
        return (
            f"{len(train):,} questions to learn from, on {len(train.passages) - 1:,} passages, {valid:,} to validate "
            f"on; {data.vocabulary.sizes['words']:,} words"
        )

    def stream(self, data, split, recipe):
        return data.splits[split].stream(recipe.batch, recipe.task_settings["longest"], seed=recipe.seed)

    # The model

    def build(self, recipe, vocabulary):
        from keras_rnnlm.text.weighted_vocabulary import FEATURES

        own = recipe.task_settings
        last = recipe.units[-1] if isinstance(recipe.units, list) else recipe.units
        model = self.model_class()(
            vocabulary.sizes["words"],
            recipe.units,
            recipe.layers,
            recipe.cell,
            recipe.cell_options | regularizers_of_cells(recipe),
            recipe.connection,
            features=FEATURES,
            word_dim=recipe.embedding_dim or last,
            matching_units=own["matching_units"],
            score=own["score"],
            dropout=recipe.dropout,
            dtype=recipe.precision,
            name="matcher",
        )
        if recipe.forget_bias is not None:
            for stack in (model.stack, model.matching):
                for layer in [*stack.layers, *stack.backwards]:
                    set_forget_bias(layer, recipe.forget_bias)
        return model

    def check_model(self, model, vocabulary, folder):
        words, known = model.get_config()["words"], vocabulary.sizes["words"]
        if words != known:
            raise ValueError(
                f"{folder.model_file} is of another run than the vocabulary beside it, which has {known:,} words where "
                f"the model has {words:,}: put back the files that the run wrote"
            )

    # Its score

    def scorer(self, model, data, recipe):
        from keras_rnnlm.training.evaluation.ranks import RankScorer

        return RankScorer(model, recipe.eval_batch)

    def others(self, split):
        """TF-IDF, and the plain sum of the weights of the words that a sentence has of the question."""
        from keras_rnnlm.training.evaluation import ranks

        ways = {"tf-idf": ranks.tf_idf, "shared words": ranks.shared_words}
        found = [split.question(k) for k in range(len(split))]
        return {
            name: ranks.of_ranks([way(*question, split.forms.weights) for question in found], split.right)
            for name, way in ways.items()
        }


def _of_table(table, recipe):
    """The questions of a data set."""
    from keras_rnnlm.text.questions import question_of
    from keras_rnnlm.training.corpora.named_sources import column_of

    columns, own = list(table.rows.columns), recipe.task_settings
    is_cut = own["context_column"] is None and "sentences" in columns
    wanted = (
        ("question", ("question",), "question_column"),
        ("sentences" if is_cut else "context", ("sentences",) if is_cut else ("context",), "context_column"),
        ("right" if is_cut else "answers", ("right",) if is_cut else ("answers",), "answers_column"),
    )
    found = {
        key: column_of(columns, own[option], usual, option.removesuffix("_column"), option, table.name)
        for key, usual, option in wanted
    }
    for number, row in table.rows.objects(list(found.values())):
        yield question_of({key: row[column] for key, column in found.items()}, table.place(number))


def _answered(found, name, display):
    """The questions whose right sentence is told."""
    answered = [question for question in found if question.right is not None]
    if not answered:
        raise ValueError(f"{name}: no question tells its right sentence")
    if len(answered) < len(found):
        display.warn(f"{name}: {len(found) - len(answered):,} questions have no right sentence and are left out")
    return answered
