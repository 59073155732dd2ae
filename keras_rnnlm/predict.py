"""The command `predict`: what a model says of a file: tags, classes. Of a run by Keras, of an exported file without."""

import json
import pathlib
import sys
import time

from keras_rnnlm.quiet import import_keras
from keras_rnnlm.schema import is_count
from keras_rnnlm.standard_streams import tell

EVERY = 0.25  # seconds between two numbers on a terminal


def arguments(parser):
    parser.add_argument("model", metavar="RUN|ARTIFACT", type=pathlib.Path, help="a run directory, or an export")
    parser.add_argument(
        "file", metavar="FILE", type=pathlib.Path, help="what to read, in the form of the task's corpus"
    )
    parser.add_argument("--encoding", default="utf-8", help="of the file (default: utf-8)")
    parser.add_argument("--batch", type=int, default=32, help="texts side by side: changes the speed alone")
    parser.add_argument(
        "--format",
        choices=("onnx", "litert", "saved_model"),
        help="of an export folder that holds several (default: the first of these that can run here)",
    )
    parser.add_argument("--threads", type=int, help="how many threads an exported file may use")
    parser.add_argument("--trusted", action="store_true", help="an export is your own: run and import what it names")
    parser.add_argument(
        "--word-column", type=int, metavar="N", help="of taggers: the words' (default: that which it learned from)"
    )
    parser.add_argument("--beam", type=int, metavar="N", help="of translators: follow N hypotheses (default: 1)")
    parser.add_argument(
        "--length", type=int, metavar="N", help="of translators: write at most N symbols (default: 100)"
    )
    rescoring_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options):
    if not is_count(options.batch):
        raise ValueError(f"--batch is at least 1. Received: {options.batch}")
    model = answer(options.model, options.format, threads=options.threads, trusted=options.trusted)
    how = {"beam": options.beam, "max_length": options.length}
    how = {name: value for name, value in how.items() if value is not None}
    rescoring = rescoring_of(options.language_model, options.lm_weight, options.length_bonus)
    how |= {} if rescoring is None else {"rescoring": rescoring}
    if how and not hasattr(model, "translate"):
        raise ValueError(f"--beam, --length and --language-model are of translators, and {options.model} is none")
    if options.word_column is not None:
        if not hasattr(model, "tag"):
            raise ValueError(f"--word-column is of taggers, and {options.model} is none")
        if not is_count(options.word_column):
            raise ValueError(f"--word-column is at least 1. Received: {options.word_column}")
        how["word_column"] = options.word_column
    found = model.predict(options.file, encoding=options.encoding, batch_size=options.batch, **how)
    if options.json:
        print(json.dumps({"predictions": [record for _, record in counted(found) if record is not None]}))
        return
    for line, _ in found if sys.stdout.isatty() else counted(found):
        print(line, flush=sys.stdout.isatty())


def counted(lines):
    """The same; meanwhile a terminal is told on the standard error how many there are."""
    if not sys.stderr.isatty():
        yield from lines
        return
    drawn = 0.0
    try:
        for number, line in enumerate(lines, 1):
            if time.monotonic() - drawn >= EVERY:
                tell(f"\r{number:,} lines", end="")
                drawn = time.monotonic()
            yield line
    finally:
        tell("\r" + " " * 20 + "\r", end="")


def rescoring_arguments(parser):
    """The options that `rescoring_of` takes."""
    parser.add_argument(
        "--language-model",
        type=pathlib.Path,
        metavar="RUN|ARTIFACT",
        help="of translators: put the hypotheses in order by a language model, too",
    )
    parser.add_argument("--lm-weight", type=float, metavar="W", help="of its log-probabilities (default: 0.3)")
    parser.add_argument("--length-bonus", type=float, metavar="B", help="for each symbol then (default: 0)")


def rescoring_of(language_model, weight=None, length_bonus=None):
    """The `Rescoring` by a language model, a run or an export; None where none is named."""
    from keras_rnnlm.generation import Rescoring

    given = {"weight": weight, "length_bonus": length_bonus}
    given = {name: value for name, value in given.items() if value is not None}
    if language_model is None:
        if given:
            raise ValueError("--lm-weight and --length-bonus go with --language-model. Received: none")
        return None
    model = answer(language_model)
    if not hasattr(model, "score"):
        raise ValueError(f"What hypotheses are scored by is a language model, and {language_model} is none")
    return Rescoring(model, **given)


def answer(path, format=None, *, threads=None, trusted=False):
    """How the task of a run, or of an export, answers: what is asked of it is the same, whoever computes.

    Args:
        path: a run directory, whose best model Keras runs; or an export, see `export.runtime.load`, as are the others.

    >>> answer("run").generate("import ", length=10, seed=1) == answer("exported").generate("import ", 10, seed=1)
    True
    """
    from keras_rnnlm.export import runtime

    if not (pathlib.Path(path) / "recipe.toml").is_file():
        return runtime.load(path, format, threads=threads, trusted=trusted)
    if format is not None or threads is not None:
        raise ValueError(f"{path} is a run, which Keras computes: --format and --threads are of exports")
    try:
        from keras_rnnlm.training.runs.run import load_run

        import_keras()
        from keras_rnnlm.export.interface import Interface
        from keras_rnnlm.export.runtime.answers import answer_of
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(__name__.partition(".")[0]):
            raise
        raise ValueError(
            f"{path} is a run, which Keras computes: export it where it was trained, and name the export"
        ) from error

    trained = load_run(path)
    (signature,) = trained.model.signatures()
    about = Interface(trained.model, signature).description()
    return answer_of(about, trusted=True).of(_Keras(trained.model, signature), None, about, trained.vocabulary)


class _Keras:
    """`run(inputs)` and `step(inputs)` as the engines of exported files have them, of a model in Keras."""

    def __init__(self, model, signature):
        from keras_rnnlm.models.compiled import compiled

        self._inputs = [tensor.name for tensor in signature.inputs] + [state.name for state in signature.states]
        self._names = [*signature.outputs, *(state.output for state in signature.states)]
        self._states = {name for state in signature.states for name in (state.name, state.output)}
        self._call = compiled(model, lambda *given: self._in_order(signature.call(dict(zip(self._inputs, given)))))
        self._begin = None if signature.begin is None else _Keras(model, signature.begin)

    def _in_order(self, found):
        return [found[name] for name in self._names]

    def run(self, inputs):
        from keras import ops

        found = self._call(*(ops.convert_to_tensor(inputs[name]) for name in self._inputs))
        return {name: ops.convert_to_numpy(value) for name, value in zip(self._names, found)}

    def step(self, inputs):
        from keras_rnnlm.export.runtime.engines import step_of

        return step_of(self.run, self._states, inputs)

    def ask(self, name, inputs):
        return self._begin.run(inputs)
