"""The page that an exported model answers in: in Node where that is enough, and in a Chromium without a window."""

import hashlib
import http.server
import io
import json
import math
import shutil
import subprocess
import tarfile

import numpy as np
import pytest

from keras_rnnlm import export, serving
from keras_rnnlm.__main__ import main
from keras_rnnlm.export import runtime
from keras_rnnlm.export.page import make_page, making, onnxruntime_web
from keras_rnnlm.generation import Greedy, Sample
from keras_rnnlm.generation.random_numbers import uniform
from keras_rnnlm.text import Tokenizer, Vocabulary
from keras_rnnlm.viterbi import best_tags
from tests.export.models import run_directory
from tests.pages import opened, served
from tests.text.test_tokenizers import SIZES, TEXT, random_texts

LETTERS = "the cat sat on the mat\nthe dog ate the log, été\n"
BIG_SEED = 2**62 + 12345


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Runs a module of JavaScript beside the page's own; gives what it prints, as JSON."""
    if shutil.which("node") is None:
        pytest.skip("there is no Node")
    folder = shutil.copytree(making.STATIC, tmp_path_factory.mktemp("page") / "static")
    (folder / "package.json").write_text('{"type": "module"}')

    def run(code, given):
        (folder / "given.json").write_text(json.dumps(given))
        begin = 'import { readFileSync } from "node:fs"; const given = JSON.parse(readFileSync("given.json", "utf-8"));'
        (folder / "test.js").write_text(begin + code)
        done = subprocess.run(["node", "test.js"], cwd=folder, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize("kind", SIZES)
def test_javascript_has_the_ids_and_the_texts_of_python(node, kind):
    texts = [TEXT, *random_texts(20, 60, seed=1)]
    tokenizer = Tokenizer.train(kind, [text.replace("日", "") for text in texts], SIZES[kind])
    texts = [TEXT, "", "ab" * 20_000 + "=" * 5000, *random_texts(400, 40)]  # a piece of any length, in no time
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, tokenizer.vocabulary_size, 12).tolist() for _ in range(200)]  # ends of characters, too
    code = """
        import { Tokenizer } from "./tokenizer.js";
        const tokenizer = new Tokenizer(JSON.parse(given.definition));
        const encoded = given.texts.map((text) => tokenizer.encode(text));
        const ids = [...encoded, ...given.drawn];
        const { kind, start, size } = tokenizer;
        console.log(JSON.stringify({ kind, start, size, encoded, decoded: ids.map((some) => tokenizer.decode(some)) }));
    """
    found = node(code, {"definition": tokenizer.definition, "texts": texts, "drawn": drawn})
    assert (found["kind"], found["start"], found["size"]) == (kind, tokenizer.start, tokenizer.vocabulary_size)
    wanted = [ids.tolist() for ids in tokenizer.encode_batch(texts)]
    assert found["encoded"] == wanted
    assert found["decoded"] == [tokenizer.decode(ids) for ids in [*wanted, *drawn]]


def test_javascript_has_the_words_characters_and_best_tags_of_python(node):
    texts = [["The", "cat's", "été", "İ", "ΣΑΣ", "thermodynamics"], ["the", "the", "dog", "thermo"]]
    vocabulary = Vocabulary.learn(texts, ["O", "B-x", "I-x"], lower=True, longest_word=6)
    sentences = ["The CAT's \u3000 été\x1cİ ΣΑΣ thermodynamics dog mouse", "x"]
    rng = np.random.default_rng(0)
    chains = [{}, {"transitions": rng.normal(size=(3, 3)), "start": rng.normal(size=3), "end": rng.normal(size=3)}]
    scores = rng.normal(size=(20, 7, 3))
    code = """
        import { bestTags, Vocabulary } from "./vocabulary.js";
        const vocabulary = new Vocabulary(JSON.parse(given.definition));
        const read = given.sentences.map((text) => {
          const words = vocabulary.split(text);
          return [words, vocabulary.wordIds(words), vocabulary.characterIds(words)];
        });
        const tags = given.chains.map((chain) => given.scores.map((some) => bestTags(some, chain)));
        console.log(JSON.stringify({ read, tags }));
    """
    as_lists = [{name: values.tolist() for name, values in chain.items()} for chain in chains]
    given = {"definition": vocabulary.definition, "sentences": sentences, "chains": as_lists, "scores": scores.tolist()}
    found = node(code, given)
    for text, (words, ids, letters) in zip(sentences, found["read"], strict=True):
        assert words == text.split() and ids == vocabulary.word_ids(words).tolist()
        assert letters == vocabulary.character_ids(words).ravel().tolist()
    for chain, tags in zip(chains, found["tags"], strict=True):
        assert tags == best_tags(scores, np.ones((20, 7), bool), **chain).tolist()


def test_what_was_taken_back_stays_a_text(node):
    code = """
        import { History } from "./history.js";
        const history = new History(0);
        const told = [];
        const write = (from, ids) => {
          history.add(ids.map((id, k) => ({ id, parent: k ? ids[k - 1] : from })));
          history.show(ids.at(-1));
          told.push([history.now.shown, ...history.now.ends]);
        };
        write(0, [1, 2, 3]);
        write(2, [4, 5]);
        history.undo();
        write(1, [6]);
        history.undo();
        history.redo();
        told.push([history.now.shown, ...history.now.ends]);
        write(6, [7, 8]);
        history.undo();
        write(1, [9]);
        console.log(JSON.stringify(told));
    """
    wanted = [[3, 3], [5, 3, 5], [6, 3, 5, 6], [6, 3, 5, 6], [8, 3, 5, 8], [9, 3, 5, 8, 9]]
    assert node(code, {}) == wanted


SETTINGS = [
    {"temperature": 0},
    {"temperature": 1},
    {"temperature": 0.35, "seed": BIG_SEED},
    {"temperature": 1.3, "topK": 5},
    {"temperature": 0.8, "topP": 0.9},
    {"temperature": 1, "topK": 20, "topP": 0.5},
    {"temperature": 1e-3, "topP": 0.95},
]


def test_javascript_chooses_what_python_chooses(node):
    rng = np.random.default_rng(0)
    logits = [(3 * rng.normal(size=(40, size))).astype("float32") for size in (3, 62, 1000)]
    logits.append(rng.integers(0, 3, (40, 17)).astype("float32"))  # with many equals
    settings = [{"seed": 7, **one} for one in SETTINGS]
    code = """
        import { choose } from "./sampler.js";
        const chosen = given.settings.map((settings) =>
          given.logits.map((some) => some.map((row, step) => choose(Float32Array.from(row), step, settings))));
        console.log(JSON.stringify(chosen));
    """
    # A seed is text in the page: JavaScript's numbers hold only 53 bits of it.
    as_text = [{**one, "seed": str(one["seed"])} for one in settings]
    found = node(code, {"settings": as_text, "logits": [some.tolist() for some in logits]})
    for one, by_javascript in zip(settings, found, strict=True):
        for some, chosen in zip(logits, by_javascript, strict=True):
            numbers = uniform(one["seed"], 0, np.arange(len(some))[:, None], np.arange(10))
            assert chosen == sampler(one).choose(some, numbers).tolist(), one


def sampler(settings):
    if not settings["temperature"]:
        return Greedy()
    return Sample(settings["temperature"], top_k=settings.get("topK"), top_p=settings.get("topP"))


# The folder.


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    run_directory(run, Tokenizer.train("char", [LETTERS]), options={"peephole": True}, scale=1.0)
    export.export_run(run, run.parent / "exported", ["onnx"])
    return run.parent / "exported"


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A folder with small files in the place of ONNX Runtime Web's, and no other place to have them from."""
    place = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    place.mkdir(parents=True)
    hashes = {}
    for name in onnxruntime_web.FILES:
        (place / name).write_bytes(name.encode())
        hashes[name] = hashlib.sha256(name.encode()).hexdigest()
    monkeypatch.setattr(onnxruntime_web, "FILES", hashes)
    monkeypatch.setattr(onnxruntime_web, "folder", lambda: tmp_path / "kept" / "onnxruntime-web")
    monkeypatch.setenv("npm_config_registry", "http://localhost:9")
    return tmp_path / "node_modules"


def test_a_page_is_all_that_a_server_needs(exported, stand_in, tmp_path, capsys):
    arguments = ["--out", str(tmp_path / "page"), "--onnxruntime-web", str(stand_in), "--title", "<{prompt}>"]
    assert main(["demo", str(exported), *arguments, "--prompt", 'the "cat"']) == 0
    assert f"the page is in {tmp_path / 'page'}" in capsys.readouterr().err
    assert main(["demo", str(exported), "--out", str(tmp_path / "page"), "--serve"]) == 2
    assert f"see it by `python -m http.server --directory {tmp_path / 'page'}`" in capsys.readouterr().err
    page = (tmp_path / "page" / "index.html").read_text()
    assert "<title>&lt;{prompt}&gt;</title>" in page and ">\nthe &quot;cat&quot;</textarea>" in page
    # What the files name is there, and nothing elsewhere is named.
    named = set()
    for file in (tmp_path / "page").glob("*.*"):
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, file
        named |= {word for word in text.replace('"', " ").replace("'", " ").split() if word.startswith("./")}
    assert len(named) > 8 and all((tmp_path / "page" / name).is_file() for name in named if "$" not in name)
    assert "MIT License" in (tmp_path / "page" / "onnxruntime-web" / "LICENSE").read_text()
    assert runtime.load(tmp_path / "page" / "model").generate("the", 5) == runtime.load(exported).generate("the", 5)


def test_what_no_page_can_be_made_of_is_told_in_a_line(exported, stand_in, tmp_path, capsys):
    def told(*arguments):
        assert main(["demo", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "--out DIR makes a folder, and --serve shows" in told(exported)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "nothing is written over" in told(exported, "--out", tmp_path / "full")
    assert "is no export folder" in told(tmp_path, "--out", tmp_path / "page")
    other = shutil.copytree(exported, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "artifacts": [_litert(manifest)]}))
    assert "export with `--format onnx`" in told(other, "--out", tmp_path / "page")
    (stand_in / "onnxruntime-web" / "dist" / "ort-wasm-simd-threaded.wasm").write_bytes(b"of yesterday")
    assert "another version, or damaged" in told(exported, "--out", tmp_path / "page", "--onnxruntime-web", stand_in)
    assert "npm pack onnxruntime-web@" in told(exported, "--out", tmp_path / "page")
    assert "There is no" in told(exported, "--out", tmp_path / "page", "--onnxruntime-web", tmp_path / "nowhere.tgz")
    assert not (tmp_path / "page").exists()


def _litert(manifest):
    return {**manifest["artifacts"][0], "format": "litert", "file": "model.tflite"}


def test_a_tokenizer_that_the_page_does_not_know_is_refused(exported, stand_in, tmp_path):
    import tokenizers

    of_others = tokenizers.Tokenizer(tokenizers.models.WordPiece({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    other = shutil.copytree(exported, tmp_path / "other")
    of_others.save(str(other / "tokenizer.json"))
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["tokenizer"] |= export.manifest.hashes(other / "tokenizer.json")
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="someone else's, a wordpiece"):
        make_page(other, tmp_path / "page", onnxruntime_web_at=stand_in)


def test_it_is_downloaded_once_and_checked(stand_in, tmp_path, monkeypatch):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.add(stand_in / "onnxruntime-web", "package")
    asked, said = [], []

    class Registry(serving.Quiet):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(archive.getvalue())

    with served(Registry) as address:
        monkeypatch.setenv("npm_config_registry", address)
        assert onnxruntime_web.cached() is None
        first, second = (onnxruntime_web.files(say=said.append) for _ in range(2))
    assert first == second and set(onnxruntime_web.FILES) < set(first)
    assert asked == [f"/onnxruntime-web/-/onnxruntime-web-{onnxruntime_web.VERSION}.tgz"] and len(said) == 1
    (onnxruntime_web.folder() / "ort.wasm.bundle.min.mjs").write_bytes(b"damaged")
    assert onnxruntime_web.cached() is None
    assert onnxruntime_web.files(_saved(archive, tmp_path / "web.tgz")) == first
    with pytest.raises(ValueError, match="is not the archive of"):
        onnxruntime_web.files(_saved(io.BytesIO(archive.getvalue()[:100]), tmp_path / "short.tgz"))


def _saved(data, path):
    path.write_bytes(data.getvalue())
    return path


def test_a_port_that_is_taken_is_told_or_another_one_found():
    with served(serving.Quiet) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with pytest.raises(ValueError, match=f"The port {port} cannot be had"):
            serving.server(http.server.BaseHTTPRequestHandler, port)
        with serving.server(http.server.BaseHTTPRequestHandler) as found:
            assert found.server_port not in (0, port)


# In a browser.


@pytest.fixture(scope="module")
def page(exported, tmp_path_factory):
    with opened(exported, tmp_path_factory.mktemp("pages") / "page") as found:
        yield found


def click(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).click()")
    page.wait("document.getElementById('stop').hidden && !document.getElementById('write').disabled")


def write(page, prompt, length=60, temperature=0.8, top_p=1, top_k="", seed=0):
    page.set(prompt=prompt, length=length, temperature=temperature, top_p=top_p, top_k=top_k, seed=seed)
    click(page, "#write")
    return page.text()


def test_the_page_writes_what_python_writes(page, exported):
    model = runtime.load(exported)
    for settings in ({"temperature": 0}, {"temperature": 0.8, "seed": BIG_SEED}, {"temperature": 1, "top_k": 4}):
        if settings["temperature"]:
            settings["top_p"] = 0.9
        filters = {name: value for name, value in settings.items() if name.startswith("top")}
        chooses = Sample(settings["temperature"], **filters) if settings["temperature"] else Greedy()
        for prompt in ("the été", ""):
            wanted = prompt + model.generate(prompt, 60, chooses, seed=settings.get("seed", 0))
            assert write(page, prompt, **settings) == wanted
        click(page, "#on")  # what one writes in two goes is what it writes in one
        assert page.text() == model.generate("", 120, chooses, seed=settings.get("seed", 0))
        assert page.text("#command").startswith("keras-rnnlm run EXPORT --prompt '' --length 120 --temperature ")
    assert page.said == []


def test_a_text_goes_on_from_any_token_and_nothing_is_lost(page, exported):
    page.begin()
    first = write(page, "the cat", 40, temperature=1, seed=9)
    tokens = page.texts("#text span")
    page.run("document.getElementById('token-19').click()")
    click(page, "#on")
    second = page.text()
    assert page.run("document.getElementById('seed').value") == "10"
    assert second.startswith("".join(tokens[:20])) and not second.startswith(first)
    assert page.run("document.querySelectorAll('#text span').length") == 20 + 40
    assert page.run("document.querySelectorAll('#branches li').length") == 2
    click(page, "#undo")
    assert page.text() == first
    click(page, "#redo")
    assert page.text() == second
    assert page.run("document.getElementById('command').closest('details').hidden")  # no one command writes it
    click(page, "#branches button")
    assert page.text() == first and page.run("document.activeElement.id") == "text"
    assert "--length 40 --temperature 1 " in page.text("#command") and page.text("#command").endswith("--seed 9")
    # Its states are those of this text, whatever was written in between.
    assert probabilities(page) == pytest.approx(wanted(exported, tokens), abs=1e-4)
    page.run("document.getElementById('token-7').click()")  # the first after the prompt
    assert probabilities(page)[:9] == pytest.approx(wanted(exported, tokens[:7])[:9], abs=1e-4)
    click(page, "#next li:nth-child(2) button")
    assert page.run("document.activeElement.id") == "text"
    assert page.text().startswith("the cat") and page.run("document.querySelectorAll('#text span').length") == 8


def probabilities(page):
    """The model's own, as the bars show them."""
    page.wait("document.querySelectorAll('#next li').length > 0")
    page.run("new Promise((done) => setTimeout(done, 150))")
    return page.run(
        "Array.from(document.querySelectorAll('#next button'), (b) => Number(b.style.getPropertyValue('--own')))"
    )


def wanted(exported, tokens):
    """The probabilities of the ten likeliest tokens after these."""
    model = runtime.load(exported)
    ids = model.tokenizer.symbols()
    logits, _ = model.logits(np.array([[model.tokenizer.start, *(ids[token] for token in tokens)]]))
    parts = np.exp(logits[0, -1] - logits[0, -1].max())
    return np.sort(parts / parts.sum())[::-1][:10]


def test_colours_are_surprisal_or_what_a_unit_holds(page, exported):
    text = write(page, "the", 20, temperature=1)
    model = runtime.load(exported)
    ids = [model.tokenizer.start, *model.tokenizer.encode(text)]
    bits = -np.array(model.score(ids)["log_probabilities"]) / math.log(2)
    np.testing.assert_allclose(page.weights("#text span"), np.minimum(bits / 10, 1), atol=2e-3)
    page.set(unit=3)
    page.set(colour="state 1")
    states, values = model.initial_states(), []
    for id in ids:
        _, states = model.step([id], states)
        values.append(states[1][0, 3])
    values = np.abs(values[1:])
    page.wait("document.getElementById('text').dataset.colour === 'unit'")
    page.run("new Promise((done) => setTimeout(done, 150))")
    np.testing.assert_allclose(page.weights("#text span"), values / values.max(), atol=2e-3)


def test_it_is_worked_by_keys_and_says_what_it_shows(page):
    write(page, "the", 10)
    assert page.text("#status").startswith("10 tokens in ")
    page.run("document.getElementById('text').focus()")
    page.press("ArrowLeft")
    page.press("ArrowLeft")
    page.wait("document.querySelector('[aria-selected=true]')?.getAttribute('aria-label')?.includes('by the model')")
    assert page.run("document.getElementById('text').getAttribute('aria-activedescendant')") == "token-11"
    page.press("Escape")
    assert page.run("document.querySelector('[aria-selected=true]')") is None
    unlabelled = """Array.from(document.querySelectorAll('input, select, textarea, button'))
        .filter((one) => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel).length"""
    assert page.run(unlabelled) == 0
    assert page.run("document.querySelector('[role=status]').id") == "status"


def test_it_fits_a_phone_and_follows_light_and_dark(page):
    seen = {}
    for dark in (False, True):
        page.begin(width=320, height=640, dark=dark, mobile=True)
        write(page, "the cat sat", 20)
        assert page.run("document.documentElement.scrollWidth") <= 320
        seen[dark] = page.run("getComputedStyle(document.documentElement).backgroundColor")
    assert sum(channels(seen[True])) < 150 < 600 < sum(channels(seen[False]))


def channels(colour):
    return [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]


def test_writing_stops_when_it_is_told_to(page):
    page.set(prompt="the", length=10000, temperature=1)
    page.run("document.getElementById('write').click()")
    page.wait("document.getElementById('text').children.length > 5")
    click(page, "#stop")
    count = page.run("document.getElementById('text').children.length")
    assert 5 < count < 10000
    assert page.text("#status").startswith(f"{count - 3:,} tokens in ")


def test_what_is_told_to_stop_while_it_reads_does_not_write(page):
    page.set(prompt="the cat sat on the mat\n" * 400, length=5)
    page.run("document.getElementById('write').click()")
    page.wait("document.getElementById('text').children.length > 5")
    page.run("document.querySelector('#branches button')?.click()")  # another text is not shown meanwhile
    click(page, "#stop")
    assert 5 < page.run("document.querySelectorAll('#text .given').length") < 9000
    assert page.run("document.querySelector('#text span:not(.given)')") is None
