"""The folder of a page: what the browser loads, beside the model and its vocabulary."""

import html
import json
import pathlib
import re
import shlex
import shutil

from keras_rnnlm import tasks
from keras_rnnlm.export.artifacts import whole
from keras_rnnlm.export.manifest import MANIFEST, check_whole, files_of_vocabulary, read_manifest, task_of
from keras_rnnlm.export.page import onnxruntime_web
from keras_rnnlm.text import PairVocabulary, Tokenizer
from keras_rnnlm.whole_files import check_to_make

STATIC = pathlib.Path(__file__).parent / "static"
SHARED = ("style.css", "onnx.js", "asking.js", "answering.js")
OF_TEXT = ("tokenizer.js", "heap.js", "sampler.js")
# Of each task that has one: the page, its title, and the other files that it loads.
PAGES = {
    "language_model": (
        "writer.html",
        "A language model writes",
        ("writer.css", "writer.js", "writer-worker.js", "language-model.js", "history.js", "text-view.js", *OF_TEXT),
    ),
    "tag": ("tagger.html", "Words and their tags", ("answer.css", "tagger.js", "tagger-worker.js", "vocabulary.js")),
    "translate": (
        "translator.html",
        "From one text to another",
        ("answer.css", "translator.js", "translator-worker.js", "pair-vocabulary.js", *OF_TEXT),
    ),
}


def check_page(out, task=None, gates=False):
    """Raises where `out` names no folder to make a page in, or there is no page of the task."""
    if task is not None:
        _page_of(task)
    if gates and task not in (None, tasks.DEFAULT):
        raise ValueError(f"--gates colours what a language model writes. Received: a run of the task {task}")
    see = f"see it by `python -m http.server --directory {shlex.quote(str(out))}`, or "
    check_to_make(out, see if (out / "index.html").is_file() else "")


def make_page(export, out, *, title=None, prompt="", model=None, onnxruntime_web_at=None, say=lambda text: None):
    """Makes the folder of a page from an export folder that holds ONNX.

    Args:
        export: what `keras-rnnlm export` wrote.
        out: the folder to make. Any static server serves it.
        title: of the page.
        prompt: what stands in the field for it at first.
        model: the LanguageModel that was exported, for a page whose text may have the colours of its gates, too.
        onnxruntime_web_at: where ONNX Runtime Web is, a folder or a .tgz; see `onnxruntime_web.files`.
        say: is told what takes time.

    Example, once ONNX Runtime Web was downloaded:

    >>> make_page("exported", "page", title="It writes")  # doctest: +SKIP
    """
    export, out = pathlib.Path(export), pathlib.Path(out)
    check_page(out)
    manifest = read_manifest(export)
    entry = next((entry for entry in manifest["artifacts"] if entry["format"] == "onnx"), None)
    if entry is None:
        raise ValueError(f"A page runs ONNX, and {export} holds none: export with `--format onnx`")
    vocabulary = files_of_vocabulary(manifest)
    for written in (entry, *vocabulary):
        check_whole(export / written["file"], written)
    page, usual, scripts = _page_of(task_of(manifest))
    _check_tokenizers(export, manifest)
    runtime = onnxruntime_web.files(onnxruntime_web_at, say)
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole(out) as partial:
        for folder in (partial, partial / "model", partial / onnxruntime_web.NAME):
            folder.mkdir()
        for name in (*SHARED, *scripts):
            shutil.copyfile(STATIC / name, partial / name)
        text = _filled((STATIC / page).read_text(encoding="utf-8"), title=title or usual, prompt=prompt)
        (partial / "index.html").write_text(text, encoding="utf-8")
        for written in (entry, *vocabulary) if model is None else vocabulary:
            shutil.copyfile(export / written["file"], partial / "model" / written["file"])
        here = {"artifacts": [entry]}
        if model is not None:  # in the place of the whole file, which the manifest then does not name
            from keras_rnnlm.export.page.gates import write_steps

            say("writing the model as single steps, with its gates")
            here = {"artifacts": [], "gates": write_steps(model, partial / "model" / entry["file"])}
        text = json.dumps({**manifest, **here}, indent=1, ensure_ascii=False)
        (partial / "model" / MANIFEST).write_text(text + "\n", encoding="utf-8")
        for name, data in runtime.items():
            (partial / onnxruntime_web.NAME / name).write_bytes(data)


def _filled(text, **values):
    """A page with values in the places of their names in braces."""
    return re.sub(rf"\{{({'|'.join(values)})\}}", lambda found: html.escape(values[found[1]]), text)


def _page_of(task):
    if task not in PAGES:
        raise ValueError(f"There are pages for the tasks {', '.join(PAGES)}. Received: the task {task}")
    return PAGES[task]


def _check_tokenizers(export, manifest):
    """Raises for a tokenizer that the page's own code does not know."""
    vocabulary = tasks.vocabulary_of(task_of(manifest)).load(export)
    found = (vocabulary.source, vocabulary.target) if isinstance(vocabulary, PairVocabulary) else (vocabulary,)
    for tokenizer in found:
        if isinstance(tokenizer, Tokenizer) and not tokenizer.is_ours:
            raise ValueError(
                f"A page knows the tokenizers that `train` makes: words, characters, bytes and BPE. {export} has "
                f"someone else's, a {tokenizer.kind}"
            )
