"""How an exported matcher answers: the sentences of a passage, the best answer to a question first."""

import json
import typing

import numpy as np

from keras_rnnlm.export.runtime.lines import by_parts, check_batch_size, lines_of
from keras_rnnlm.export.runtime.models import ExportedModel
from keras_rnnlm.schema import COUNT
from keras_rnnlm.text.questions import questions, sentences_of, words_of


class Ranked(typing.NamedTuple):
    """A sentence: its number among those given, its text, and how likely it is that of them which answers."""

    number: int
    sentence: str
    probability: float


class ExportedMatcher(ExportedModel):
    """A matcher in its runtime: `rank` takes texts, `run` numbers.

    Attributes:
        format: "onnx", "litert" or "saved_model".
        tokenizer: its `WeightedVocabulary`; None where the export came without one.
    """

    takes_text = takes_ids = True
    asked = ()
    manifest = {**ExportedModel.manifest, "model": {"words": COUNT, "features": COUNT}}

    @classmethod
    def check_belongs(cls, vocabulary, about, name):
        if vocabulary.sizes["words"] != about["words"]:
            raise ValueError(
                f"{name} has {vocabulary.sizes['words']} words, the model {about['words']}: they do not belong together"
            )

    def rank(self, question, sentences):
        """The sentences for a question, a list of `Ranked`, the best one first.

        Args:
            question: a text.
            sentences: a list of texts, or a passage, one text: it is cut by `keras_rnnlm.text.questions.sentences_of`.
                Those without words come last.
        """
        if isinstance(sentences, str):
            sentences = [text for _, text in sentences_of(sentences)]
        return self.rank_all([(question, sentences)])[0]

    def rank_all(self, asked, batch_size=32):
        """The same for each of several, `(question, sentences)`: a list of lists.

        Args:
            asked: pairs of a text and a list of texts. They are put side by side by length, which changes nothing but
                the speed.
            batch_size: how many at a time.
        """
        check_batch_size(batch_size)
        vocabulary, words = self.reader(), [_words_of(*one) for one in asked]
        sizes = [(len(texts), max(map(len, texts), default=0)) for _, texts in words]
        by_size = sorted((k for k, (_, longest) in enumerate(sizes) if longest), key=sizes.__getitem__)
        found = [np.zeros(len(texts)) for _, texts in words]
        for begin in range(0, len(by_size), batch_size):
            chosen = by_size[begin : begin + batch_size]
            logits = self.run(vocabulary.encode([words[k] for k in chosen]))["logits"]
            for k, row in zip(chosen, np.asarray(logits, "float64")):
                found[k] = row[: len(found[k])]
        return [_ranked(texts, logits, own) for (_, texts), logits, (_, own) in zip(asked, found, words)]

    # On the command line

    def predict(self, file, *, encoding="utf-8", batch_size=32):
        """Of each question of a file the best sentence and its probability; for JSON, all sentences in their order."""
        found = list(questions(lines_of(file, encoding), str(file)))
        asked = [(question.question, list(question.sentences)) for question in found]
        answers = by_parts(lambda some: self.rank_all(some, batch_size), asked, batch_size)
        for (question, _), ranked in zip(asked, answers):
            best = ranked[0]
            line = f"{best.probability:.4f}\t{' '.join(question.split())}\t{' '.join(best.sentence.split())}"
            yield line, {"question": question, "ranked": [one._asdict() for one in ranked]}

    def show(self, options, settings, prompts):
        """The sentences of each prompt after its first line, which is the question."""
        for prompt in prompts:
            if len(prompt.strip().split("\n")) < 2:
                raise ValueError(
                    f"A prompt is a line with the question, and below it a passage. Received: {prompt!r:.80}"
                )
        parts = [prompt.strip().partition("\n") for prompt in prompts]
        found = [self.rank(question, passage) for question, _, passage in parts]
        if options.json:
            ranked = [[one._asdict() for one in sentences] for sentences in found]
            print(json.dumps({"prompts": prompts, "ranked": ranked}))
            return
        for one in [one for sentences in found for one in sentences]:
            print(f"{one.probability:.4f}\t{one.sentence}")


def _words_of(question, sentences):
    if not isinstance(question, str) or not words_of(question):
        raise ValueError(f"A question is a text with a word in it. Received: {question!r:.60}")
    if isinstance(sentences, str) or not sentences or not all(isinstance(text, str) for text in sentences):
        raise ValueError(f"`sentences` is a list of texts, one at least. Received: {sentences!r:.60}")
    return words_of(question), [words_of(text) for text in sentences]


def _ranked(texts, logits, words):
    """The sentences by their logits; equals stay in their order, and those without words come last."""
    logits = np.where([len(found) > 0 for found in words], logits, -np.inf)
    scores = np.zeros(len(texts))
    if np.isfinite(logits).any():
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
    return [Ranked(int(k), texts[k], float(scores[k])) for k in np.argsort(-logits, kind="stable")]
