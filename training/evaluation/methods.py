"""Other ways to score a text with a trained language model: told beside the plain one, and never in its place."""

import dataclasses

from keras_rnnlm.training.corpora.encoded import DamagedError, load_encoded
from keras_rnnlm.training.corpora.encoded_elsewhere import lies_in

TUNED_ON = 100_000  # tokens of the validation text, at most
DYNAMIC_TUNED_ON = 10_000  # which are read eight times, with a gradient for each window


@dataclasses.dataclass(frozen=True)
class Ways:
    """The ways that are asked for.

    Attributes:
        ngram: the order of an n-gram of the run's training text.
        interpolate: whether to mix it with the model.
        temperature: whether to divide the logits by a temperature.
        cache: how many tokens a continuous cache remembers.
        dynamic: whether the model learns on from the text.
        ensemble: other runs, whose probabilities are averaged with this one's; none of them: this one's checkpoints.
    """

    ngram: int | None = None
    interpolate: bool = False
    temperature: bool = False
    cache: int | None = None
    dynamic: bool = False
    ensemble: list | None = None

    @property
    def tuned(self):
        """The names of those that take a setting from the validation text."""
        return [name for name in ("interpolate", "temperature", "cache", "dynamic") if getattr(self, name)]

    def check(self, folder, recipe, text, display):
        """Raises where what is asked for cannot be had of this run."""
        if self.interpolate and self.ngram is None:
            raise ValueError("`interpolate` mixes the model with an n-gram: say of which order, ngram=5")
        for name in ("cache", "dynamic"):
            if getattr(self, name) and recipe.mode == "sentences":
                raise ValueError(
                    f"`{name}` reads a text from its beginning to its end, and {folder} learned from sentences by "
                    "themselves: it is for runs with mode=contiguous"
                )
        for path in self.ensemble or ():
            _check_belongs(path, folder)
        if self.tuned:
            from keras_rnnlm.training.tasks.task import check_split

            check_split(folder, "valid", own_texts(folder, "valid"))
        if self.tuned and text == "valid":
            display.warn(f"{', '.join(self.tuned)}: tuned on the very text that is scored, so better than on another")

    def score(self, folder, tokenizer, model, options, split, losses, display):
        """By the name of each: its losses of a split, and its settings.

        Args:
            options: of the plain `Scorer` of the model.
            losses: what that found.
        """
        from keras_rnnlm.training.evaluation.scorer import Scorer

        found = {}
        if self.tuned:
            valid = own_texts(folder, "valid")["valid"][:TUNED_ON]
        if self.ngram is not None:
            from keras_rnnlm.training.evaluation.mixtures import best_weight, mixed

            display.say(f"building a {self.ngram}-gram")
            name, yardstick = f"{self.ngram}-gram", self._ngram(folder, tokenizer)
            of_ngram = -yardstick.log_probabilities(split[:])
            found[name] = of_ngram, {}
            if self.interpolate:
                display.say("tuning the weight of the n-gram on the validation text")
                of_model = Scorer(model, **options).losses(valid, display.validating)
                weight = best_weight(of_model, -yardstick.log_probabilities(valid))
                found[f"model + {name}"] = mixed(losses, of_ngram, weight), {"ngram_weight": weight}
        for name, scorer, text in self._scorers(folder, model, options, valid if self.tuned else None, display):
            display.say(f"{name}: tuning on the validation text")
            scorer.tune(text, display.validating)
            found[name] = scorer.losses(split, display.evaluating), scorer.settings()
        if self.ensemble is not None:
            from keras_rnnlm.training.evaluation.mixtures import mean_of

            others = [
                Scorer(other, **options | own).losses(split, display.evaluating)
                for other, own in self._others(folder, model, tokenizer)
            ]
            if others:
                found[f"ensemble of {1 + len(others)}"] = mean_of([losses, *others]), {}
            else:
                display.warn(f"there is no ensemble: no checkpoint of {folder} is of other weights than its best model")
        return found

    def _ngram(self, folder, tokenizer):
        from keras_rnnlm.training.evaluation.ngram import NGram

        return NGram(
            own_texts(folder, "train")["train"][:],
            order=self.ngram,
            vocabulary_size=tokenizer.vocabulary_size,
            boundary=tokenizer.eos,
        )

    def _scorers(self, folder, model, options, valid, display):
        """The name, the scorer and the text to tune it on."""
        if self.temperature:
            from keras_rnnlm.training.evaluation.temperature import TemperatureScorer

            yield "temperature", TemperatureScorer(model, **options), valid
        if self.cache is not None:
            from keras_rnnlm.training.evaluation.cache import CacheScorer

            yield "cache", CacheScorer(model, size=self.cache, **options), valid
        if self.dynamic:
            from keras_rnnlm.training.evaluation.dynamic import DynamicScorer

            scorer = DynamicScorer(model, **{name: options[name] for name in ("start", "batch")})
            display.say("dynamic: measuring gradients of the training text")
            scorer.observe(own_texts(folder, "train")["train"])
            yield "dynamic", scorer, valid[:DYNAMIC_TUNED_ON]

    def _others(self, folder, model, tokenizer):
        """Each with options of its own: a run may read sentences by themselves where this one does not."""
        import numpy as np

        from keras_rnnlm.training.evaluation.scorer import reading
        from keras_rnnlm.training.runs.checkpoint_models import read_models
        from keras_rnnlm.training.runs.run import RunFolder, build_model

        if not self.ensemble:
            best = model.get_weights()  # which may be the newest checkpoint's, too
            for other in read_models(folder, build_model):
                if not all(map(np.array_equal, other.get_weights(), best)):
                    yield other, {}
            return
        for path in self.ensemble:
            other = RunFolder(path)
            yield other.read_model(), reading(other.read_recipe(), tokenizer)


def _check_belongs(path, folder):
    """Raises where the models of two runs cannot be averaged."""
    from keras_rnnlm.training.runs.run import RunFolder

    other = RunFolder(path)
    if other.read_tokenizer().fingerprint != folder.read_tokenizer().fingerprint:
        raise ValueError(f"{other} has another vocabulary than {folder}: their probabilities cannot be averaged")
    if not other.model_file.is_file() and not other.checkpoints().files():
        raise ValueError(f"{other} has no model yet")


def own_texts(folder, split):
    """A run's own texts, of which one split is going to be read."""
    try:
        return load_encoded(folder.data, verify=(split,))
    except DamagedError as error:
        place = lies_in(folder.data)
        if place is not None:
            raise ValueError(f"{error.what}. Put {place} back as it was") from error
        way = f"keras-rnnlm train --out {folder} --resume"
        raise ValueError(f"{error.what}. `{way}` encodes it again, where its text is still as it was") from error
