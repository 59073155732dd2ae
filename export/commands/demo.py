"""The command `demo`: a page that an exported model answers in, in the reader's own browser."""

import contextlib
import os
import pathlib
import tempfile

from keras_rnnlm import serving
from keras_rnnlm.export.manifest import MANIFEST
from keras_rnnlm.standard_streams import tell


def arguments(parser):
    parser.add_argument("export", metavar="EXPORT", type=pathlib.Path, help="an export folder with ONNX, or a run")
    parser.add_argument("--out", type=pathlib.Path, help="the folder to make, for any static server")
    parser.add_argument("--serve", action="store_true", help="show it on this machine; without --out, for this once")
    parser.add_argument("--port", type=int, help=f"of --serve (default: {serving.PORT}, or a free one)")
    parser.add_argument("--title", help="of the page")
    parser.add_argument("--prompt", default="", help="what stands in its field at first")
    parser.add_argument("--gates", action="store_true", help="of a run: colour its text by gates, too")
    parser.add_argument(
        "--onnxruntime-web",
        metavar="PATH",
        type=pathlib.Path,
        help="a folder or .tgz of npm's package (default: downloaded once, and kept)",
    )


def run(options):
    if options.out is None and not options.serve:
        raise ValueError("Where to? --out DIR makes a folder, and --serve shows the page on this machine")
    if options.port is not None and not options.serve:
        raise ValueError("--port is of --serve: add it, or drop --port")
    with contextlib.ExitStack() as stack:
        out = options.out
        if out is None:
            out = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()), "page")
        make(options, out)
        if options.out is not None:
            tell(f"the page is in {out}")
        if options.serve:
            serving.serve(serving.of_folder(out), options.port)


def make(options, out):
    from keras_rnnlm.export.folder import task_of_run
    from keras_rnnlm.export.page.making import check_page, make_page

    if options.gates and _is_export(options.export):
        raise ValueError(f"--gates needs a run, whose model has them. There is none in {options.export}")
    task = None if _is_export(options.export) else task_of_run(options.export)
    check_page(out, task, options.gates)  # before a run is exported for it
    with exported(options.export) as export:
        make_page(
            export,
            out,
            title=options.title,
            prompt=options.prompt,
            model=_model(options.export) if options.gates else None,
            onnxruntime_web_at=options.onnxruntime_web,
            say=tell,
        )


@contextlib.contextmanager
def exported(path):
    """An export folder: the one at the path, or one that is made of the run there."""
    if _is_export(path):
        yield path
        return
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    from keras_rnnlm.export import export_run

    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "exported")
        export_run(path, out, ["onnx"], say=tell)
        yield out


def _is_export(path):
    """Or at least no run."""
    return (path / MANIFEST).is_file() or not (path / "model.keras").is_file()


def _model(run):
    from keras_rnnlm.export.folder import model_of

    return model_of(run)
