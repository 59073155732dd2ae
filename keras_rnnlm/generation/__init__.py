"""Samplers and the generation loop. They need numpy alone, so that an exported model writes without Keras."""

from keras_rnnlm.generation.beam import Hypothesis, beam_search
from keras_rnnlm.generation.loop import generate, stream
from keras_rnnlm.generation.random_numbers import uniform
from keras_rnnlm.generation.rescoring import Rescoring
from keras_rnnlm.generation.samplers import Beam, Greedy, Sample, digits, make_sampler, penalise
from keras_rnnlm.generation.text import TextStream
from keras_rnnlm.generation.translation import Translation, translate

__all__ = [
    "Beam",
    "Greedy",
    "Hypothesis",
    "Rescoring",
    "Sample",
    "TextStream",
    "Translation",
    "beam_search",
    "digits",
    "generate",
    "make_sampler",
    "penalise",
    "stream",
    "translate",
    "uniform",
]
