"""Hypotheses in another order: as likely as a language model finds them, too."""

import dataclasses
import math
import numbers

from keras_rnnlm.schema import is_a


class Rescoring:
    """Puts the hypotheses for each source into a new order, by

        score = log p(target | source) + weight * log p(text) + length_bonus * symbols

    Args:
        language_model: has a method `score(text)` that returns a dict with `log_probability`, in nats, such as a
            language model that `keras_rnnlm.export.runtime.load` or `keras_rnnlm.predict.answer` gives. It is asked of
            the text as a line of its own: it has learned from lines of such texts.
        weight: of its log-probabilities.
        length_bonus: for each symbol. Texts are the less likely the longer they are.

    >>> from keras_rnnlm.generation import Translation
    >>> class Likes:
    ...     def score(self, text):
    ...         return {"log_probability": -1.0 if "b" in text else -5.0}
    >>> found = [[Translation([3], -0.5, text="a", log_probability=-1.0), Translation([4], -1, None, "b", -2.0)]]
    >>> [[(one.text, one.score) for one in some] for some in Rescoring(Likes(), weight=0.5)(found)]
    [[('b', -2.5), ('a', -3.5)]]
    """

    def __init__(self, language_model, weight=0.3, length_bonus=0.0):
        for name, value in (("weight", weight), ("length_bonus", length_bonus)):
            if not (is_a(value, numbers.Real) and math.isfinite(value)):
                raise ValueError(f"`{name}` is a number. Received: {name}={value!r}")
        if not hasattr(language_model, "score"):
            raise ValueError(f"`language_model` scores texts, by its method `score`. Received: {language_model!r:.100}")
        self.language_model, self.weight, self.length_bonus = language_model, float(weight), float(length_bonus)
        self._known = {}

    def __call__(self, found, write=None):
        """`found` is what `translate` gives. `write(ids)` is the text of a hypothesis that has none."""
        return [sorted((self._scored(one, write) for one in some), key=lambda one: -one.score) for some in found]

    def _scored(self, one, write):
        text = one.text if one.text is not None or write is None else write(one.ids)
        if text is None or one.log_probability is None:
            raise ValueError("A hypothesis that is scored anew has a text and a log-probability: pass `write`")
        if text not in self._known:
            self._known[text] = self.language_model.score(f"\n{text}\n")["log_probability"]
        own = self.weight * self._known[text] + self.length_bonus * len(one.ids)
        return dataclasses.replace(one, score=one.log_probability + own)
