"""The heads that have a name: the one list of them. It needs no Keras, so that recipes and help read it, too."""

import typing


class Named(typing.NamedTuple):
    """A head of the list: a class of `keras_rnnlm.heads.<module>`."""

    module: str
    head: str
    about: str


HEADS = {
    "full": Named("vocabulary", "VocabularyLogits", "the softmax over the whole vocabulary"),
    "projected": Named("projected", "ProjectedLogits", "the same, of features projected to the table's width"),
    "adaptive": Named("adaptive", "AdaptiveSoftmax", "clusters of words by frequency (Grave et al. 2017)"),
    "sampled": Named("sampled", "SampledSoftmax", "trained on a sample of the words (Jean et al. 2015)"),
    "mixture": Named("mixture", "MixtureOfSoftmaxes", "a weighted mean of softmaxes (Yang et al. 2018)"),
}


def listed():
    """The names and what they stand for, in lines for help."""
    width = max(map(len, HEADS)) + 2
    return "\n".join(f"  {name:<{width}}{named.about}" for name, named in HEADS.items())
