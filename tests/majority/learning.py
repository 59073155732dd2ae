import numpy as np

from keras_rnnlm.schema import whole
from keras_rnnlm.text import Tokenizer
from keras_rnnlm.training.corpora.opening import open_corpus
from keras_rnnlm.training.tasks import Data, Scorer, Task, setting


class Learning(Task):
    settings = {"length": setting(7, "symbols in a sequence", whole(1))}

    def prepare(self, given, recipe, folder, display, first=None):
        corpus = open_corpus(given.corpus, valid=given.valid, test=given.test, split=recipe.split, spool=folder.spool)
        texts = {name: "".join("".join(document) for document in split) for name, split in corpus.splits.items()}
        tokenizer = first.read_tokenizer() if first else Tokenizer.train("char", [texts["train"]])
        tokenizer.save(folder.tokenizer)
        folder.data.mkdir()
        ids = {name: tokenizer.encode("".join(text.split())) for name, text in texts.items()}
        np.savez(folder.data / "ids.npz", fingerprint=corpus.fingerprint, **ids)
        return self.restore(recipe, folder, display)

    def restore(self, recipe, folder, display):
        length, tokenizer = recipe.task_settings["length"], self.vocabulary(folder)
        with np.load(folder.data / "ids.npz") as file:
            fingerprints = {"vocabulary": tokenizer.fingerprint, "text": str(file["fingerprint"])}
            texts = {name: ids[: len(ids) // length * length] for name, ids in file.items() if ids.ndim}
        return Data({name: ids.reshape(-1, length) for name, ids in texts.items()}, tokenizer, fingerprints)

    def stream(self, data, split, recipe):
        return Stream(data.splits[split], recipe)

    def build(self, recipe, vocabulary):
        return self.model_class()(vocabulary.vocabulary_size, recipe.units, name="majority")

    def scorer(self, model, data, recipe):
        return Accuracy(model)


def majority(rows):
    return np.array([np.bincount(row).argmax() for row in rows], "int32")


class Stream:
    def __init__(self, rows, recipe):
        self.rows, self.batch, self.seed = rows, recipe.batch, recipe.seed

    def steps(self, epoch=0):
        return len(self.rows) // self.batch

    def dataset(self, epoch=0, first=0):
        import tensorflow as tf

        rows = self.rows[np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))]
        batches = tf.data.Dataset.from_tensor_slices((rows, majority(rows))).batch(self.batch, drop_remainder=True)
        return batches.skip(first)


class Accuracy(Scorer):
    decides, larger_is_better = "accuracy", True

    def score(self, split, progress=None):
        logits, targets = self.model.predict(split, verbose=0).astype("float64"), majority(split)
        loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), targets])
        return {"loss": float(loss), "accuracy": float((logits.argmax(axis=1) == targets).mean())}
