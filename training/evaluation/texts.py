"""How well a language model predicts a text: what the command `evaluate` finds."""

import json
import pathlib
import tempfile

from keras_rnnlm.training.corpora.encoded import encode_corpus
from keras_rnnlm.training.corpora.opening import SPLITS, open_corpus, tell_columns
from keras_rnnlm.training.evaluation.methods import Ways, own_texts
from keras_rnnlm.training.evaluation.scorer import Scorer, measures, reading
from keras_rnnlm.training.tasks.task import check_split
from keras_rnnlm.whole_files import write_whole

BEHIND = 1.05  # times the loss of an n-gram: a model that has not learnt for long


def evaluate_text(folder, recipe, text, display, *, batch, window, encoding, text_column, log_probabilities, **ways):
    """A dict of `measures` by name: of "model", and of each of the other `Ways` that are asked for."""
    tokenizer, ways = folder.read_tokenizer(), Ways(**ways)
    ways.check(folder, recipe, text, display)
    with tempfile.TemporaryDirectory(prefix="keras-rnnlm-") as scratch:
        scratch = pathlib.Path(scratch)
        if text in SPLITS:
            own = own_texts(folder, text)
            check_split(folder, text, own, text_column)
            split, trained_on = own[text], own.corpus
        else:
            corpus = open_corpus(
                [text],
                whole=True,
                encoding=encoding,
                spool=scratch / "stdin.txt",
                text_column=text_column or recipe.text_column,
            )
            tell_columns(corpus, text_column, display)
            split, trained_on = encode_corpus(corpus, tokenizer, scratch / "data", display.encoding)["train"], None
        options = {"batch": batch or 1, "window": window} | reading(recipe, tokenizer)
        model = folder.read_model(trained_on)
        losses, tokens = Scorer(model, **options).losses(split, display.evaluating), split[:]
        unknown = None if tokenizer.unknown is None else tokens == tokenizer.unknown
        result = {"model": measures(losses, split, unknown)}
        others = ways.score(folder, tokenizer, model, options, split, losses, display)
        for name, (found, _) in others.items():
            if name == f"{ways.ngram}-gram" and losses.sum() > BEHIND * found.sum():
                display.say(f"the model is behind the {name}, as is usual after minutes of training: train it longer")
        result |= {name: measures(found, split, unknown) | settings for name, (found, settings) in others.items()}
    if log_probabilities is not None:
        try:
            write_log_probabilities(log_probabilities, tokenizer, tokens, losses)
        except OSError as error:  # what was found is not lost with it
            display.warn(f"{log_probabilities} was not written: {error}")
    return result


def write_log_probabilities(path, tokenizer, tokens, losses):
    """A line for each token: the token as JSON writes it, a tab, its natural log-probability."""
    pieces = [json.dumps(tokenizer.token(i), ensure_ascii=False) for i in range(tokenizer.vocabulary_size)]
    lines = (f"{pieces[token]}\t{-loss:.6f}\n" for token, loss in zip(tokens.tolist(), losses.tolist()))
    write_whole(path, "".join(lines).encode())
