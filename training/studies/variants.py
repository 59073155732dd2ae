"""Which gates of a recurrent network earn their parameters?

Greff et al. (2015) took a peephole LSTM (V) apart: no input, forget or output gate (NIG, NFG, NOG), no activation of the
input or of the output (NIAF, NOAF), coupled gates (CIFG), no peepholes (NP), gates that read gates (FGR). Jozefowicz et
al. (2015) found three networks by search (MUT1, MUT2, MUT3). Here they are language models of an equal number of
parameters, and read the characters of the source code of Python's standard library once. For each the learning rate is
searched on one seed; the best one, by the validation text, is then run on the others.
"""

import functools
import math

import keras
import numpy as np
from keras_rnnlm.training.corpora import open_corpus
from keras_rnnlm.training.evaluation import Scorer
from keras_rnnlm.training.streams import Contiguous
from keras_rnnlm.training.studies.budget import units_for
from keras_rnnlm.training.studies.statistics import claim, groups, mean

from keras_rnnlm.cells.lstm import VARIANTS
from keras_rnnlm.models import LanguageModel
from keras_rnnlm.optimizers import ClippedOptimizer
from keras_rnnlm.text.tokenizers import Tokenizer
from keras_rnnlm import layers
