"""The cells that have a name: the one list of them. It needs no Keras, so that recipes and help read it, too."""

import typing


class Named(typing.NamedTuple):
    """A cell of the list: the class `<layer>Cell` of `keras_rnnlm.cells.<module>`, and the layer that runs it."""

    module: str
    layer: str
    about: str

    @property
    def cell(self):
        return f"{self.layer}Cell"


CELLS = {
    "lstm": Named("lstm", "LSTM", "long short-term memory, with every option of its literature"),
    "gru": Named("gru", "GRU", "the gated recurrent unit (Cho et al. 2014)"),
    "simple_rnn": Named("simple_rnn", "SimpleRNN", "the plain recurrent network (Elman 1990)"),
    "minimal_gated_unit": Named("minimal_gated_unit", "MinimalGatedUnit", "a GRU with one gate (Zhou et al. 2016)"),
    "mut1": Named("mutations", "MUT1", "the first network of a search (Jozefowicz et al. 2015)"),
    "mut2": Named("mutations", "MUT2", "the second of them"),
    "mut3": Named("mutations", "MUT3", "the third of them"),
    "clockwork_rnn": Named("clockwork", "ClockworkRNN", "groups that tick at different speeds (Koutnik et al. 2014)"),
    "depth_gated_lstm": Named("depth_gated_lstm", "DepthGatedLSTM", "LSTMs linked by gates (Yao et al. 2015)"),
    "grid_lstm": Named("grid_lstm", "GridLSTM", "memory along time and depth (Kalchbrenner et al. 2015)"),
    "slstm": Named("slstm", "SLSTM", "an LSTM with exponential gates (Beck et al. 2024)"),
}
OWN = "package.module:Class"  # how a class of someone else is named


def listed():
    """The names and what they stand for, in lines for help."""
    width = max(map(len, CELLS)) + 2
    return "\n".join(f"  {name:<{width}}{named.about}" for name, named in CELLS.items())
