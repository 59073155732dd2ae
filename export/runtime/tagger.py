"""How an exported tagger answers: a tag for each word."""

import json

from keras_rnnlm.export.runtime.lines import by_parts, check_batch_size, lines_of
from keras_rnnlm.export.runtime.models import ExportedModel
from keras_rnnlm.schema import COUNT, Each, Rule
from keras_rnnlm.text.columns import Columns
from keras_rnnlm.viterbi import best_tags

_CHAIN = Rule("scores of a chain of tags", lambda value: isinstance(value, list))


class ExportedTagger(ExportedModel):
    """A tagger in its runtime: `tag` takes sentences, `run` numbers.

    Attributes:
        format: "onnx", "litert" or "saved_model".
        tokenizer: its `Vocabulary`, whose labels are the tags; None where the export came without one.
    """

    takes_text = takes_ids = True
    asked = ()
    manifest = {
        **ExportedModel.manifest,
        "model": {"chain": Each(_CHAIN), "sizes": Each(COUNT)},
    }

    @classmethod
    def check_belongs(cls, vocabulary, about, name):
        if vocabulary.sizes != about["sizes"]:
            raise ValueError(f"{name} has {vocabulary.sizes}, the model {about['sizes']}: they do not belong together")

    def tag(self, sentences, batch_size=32):
        """The tags of each sentence, a list of words: lists of names.

        Args:
            sentences: lists of words. They are put side by side by length, which changes nothing but the speed.
            batch_size: how many at a time.
        """
        vocabulary, sentences = self.reader(), [_checked(sentence) for sentence in sentences]
        check_batch_size(batch_size)
        found = [[] for _ in sentences]
        by_length = sorted((k for k, words in enumerate(sentences) if words), key=lambda k: len(sentences[k]))
        for begin in range(0, len(by_length), batch_size):
            chosen = by_length[begin : begin + batch_size]
            inputs = vocabulary.encode([sentences[k] for k in chosen])
            tags = best_tags(self.run(inputs)["logits"], inputs["words"] != 0, **self.about["chain"])
            for k, row in zip(chosen, tags):
                found[k] = [vocabulary.labels[tag] for tag in row[: len(sentences[k])]]
        return found

    # On the command line

    def predict(self, file, *, encoding="utf-8", batch_size=32, word_column=None):
        """A word and its tag a line, a tab between, and an empty line after each sentence.

        `file` is in columns, a word a line, as `keras_rnnlm.text.columns` reads them; its tags, if any, are not read.
        `word_column` is the number of the words' column, from 1 on, where it is not the one that the run learned from.
        """
        vocabulary = self.reader()
        columns = Columns(word_column or vocabulary.word_column)
        sentences = columns.unlabelled(lines_of(file, encoding), str(file), vocabulary)
        found = by_parts(lambda some: self.tag(some, batch_size), sentences, batch_size)
        for words, tags in zip(sentences, found):
            for word, tag in zip(words, tags):
                yield f"{word}\t{tag}", None
            yield "", {"words": words, "tags": tags}

    def show(self, options, settings, prompts):
        """The tags of the words of each prompt, which white space separates."""
        sentences = [prompt.split() for prompt in prompts]
        tags = self.tag(sentences)
        if options.json:
            print(json.dumps({"prompts": prompts, "words": sentences, "tags": tags}))
            return
        for words, found in zip(sentences, tags):
            print("".join(f"{word}\t{tag}\n" for word, tag in zip(words, found)))


def _checked(sentence):
    if isinstance(sentence, str) or not all(isinstance(word, str) for word in sentence):
        raise ValueError(f"A sentence is a list of words, each a string: split it. Received: {sentence!r:.80}")
    return list(sentence)
