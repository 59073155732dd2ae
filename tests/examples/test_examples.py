"""The programs that users copy, run as they would run them."""

import http.server
import json
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

from keras_rnnlm import export
from keras_rnnlm.export import runtime
from keras_rnnlm.generation import Greedy, Sample
from keras_rnnlm.text import Tokenizer
from tests.export.models import run_directory

EXAMPLES = pathlib.Path(__file__).parent.parent.parent / "examples"
TEXT = "the cat sat on the mat\nthe dog ate the log\n"


def exported_run(folder, tokenizer, formats, **more):
    run_directory(folder / "run", tokenizer, options={"peephole": True}, **more)
    export.export_run(folder / "run", folder / "exported", formats)
    return folder / "exported"


@pytest.fixture(scope="module", params=["char", pytest.param("word", marks=pytest.mark.long)])
def exported(request, tmp_path_factory):
    tokenizer = Tokenizer.train(request.param, [TEXT])
    return exported_run(tmp_path_factory.mktemp("runs"), tokenizer, ["saved_model", "onnx"])


@pytest.fixture(scope="module")
def of_pieces(tmp_path_factory):
    tokenizer = Tokenizer.train("bpe", [TEXT + "\u00e9t\u00e9's 12"], vocabulary_size=280)
    return exported_run(tmp_path_factory.mktemp("runs"), tokenizer, ["onnx"])


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The Node example with its packages, where there are Node and a registry."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    folder = shutil.copytree(EXAMPLES / "onnxruntime-node", tmp_path_factory.mktemp("node") / "example")
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    if subprocess.run(install, cwd=folder, capture_output=True, timeout=300).returncode:
        pytest.skip("npm cannot install the example's packages here")
    return folder


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_node_writes_what_python_writes(node, exported, temperature):
    sampler = Sample(temperature=temperature) if temperature else Greedy()
    wanted = runtime.load(exported, "onnx").generate("the cat", 60, sampler, seed=5)
    assert by_node(node, exported, "the cat", 60, temperature) == "the cat" + wanted + "\n"


def test_node_reads_line_ends_and_large_seeds_as_python_does(node, exported):
    prompt, seed = "the cat <eos>\n", 2**62 + 12345
    wanted = runtime.load(exported, "onnx").generate(prompt, 60, Sample(temperature=0.8), seed=seed)
    assert by_node(node, exported, prompt, 60, 0.8, seed) == prompt + wanted + "\n"


@pytest.mark.parametrize("prompt", ["the cat's 12 \u00e9t\u00e9\n\n  a", ""])
def test_node_writes_pieces_of_words_as_python_does(node, of_pieces, prompt):
    wanted = runtime.load(of_pieces, "onnx").generate(prompt, 60, Sample(temperature=0.8), seed=5)
    assert by_node(node, of_pieces, prompt, 60, 0.8) == prompt + wanted + "\n"


def by_node(node, exported, prompt, length, temperature, seed=5):
    command = ["node", "generate.mjs", str(exported), prompt, str(length), str(temperature), str(seed)]
    done = subprocess.run(command, cwd=node, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()  # not as text, whose line ends Python would turn


def test_cpp_writes_the_ids_that_python_writes(tmp_path):
    root = os.environ.get("ONNXRUNTIME_ROOT")
    if not root or shutil.which("cmake") is None:
        pytest.skip("ONNXRUNTIME_ROOT names no ONNX Runtime for C++, or there is no CMake")
    build = tmp_path / "build"
    make = ["cmake", "-S", EXAMPLES / "cpp", "-B", build, f"-DONNXRUNTIME_ROOT={root}"]
    for command in (make, ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    exported = exported_run(tmp_path, Tokenizer.train("char", [TEXT]), ["onnx"], scale=1.0)
    loaded = runtime.load(exported, "onnx")
    begun = [loaded.tokenizer.start, *loaded.tokenizer.encode("the cat").tolist()]
    (wanted,) = loaded.generate([begun], 60, Greedy())
    assert len(set(wanted)) > 3

    def generate(*arguments):
        return subprocess.run([build / "generate", *map(str, arguments)], capture_output=True, text=True)

    assert generate(exported / "model.onnx", 60, *begun).stdout.split() == list(map(str, wanted))
    done = generate(tmp_path / "nowhere.onnx", 60, *begun)
    assert done.returncode == 1 and done.stderr.count("\n") == 1


@pytest.fixture
def server(exported):
    """Answers as TensorFlow Serving's REST interface does."""
    signatures = tf.saved_model.load(str(exported / "saved_model")).signatures

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/writer:predict"
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signature = signatures[asked["signature_name"]]
            taken = signature.structured_input_signature[1]
            outputs = signature(**{name: tf.constant(v, taken[name].dtype) for name, v in asked["inputs"].items()})
            outputs = {name: _as_json(value) for name, value in outputs.items()}
            (answer,) = outputs.values() if len(outputs) == 1 else (outputs,)
            body = json.dumps({"outputs": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    serving = http.server.HTTPServer(("localhost", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://localhost:{serving.server_port}/v1/models/writer"
    serving.shutdown()
    serving.server_close()


def _as_json(tensor):
    value = tensor.numpy()
    return [text.decode() for text in value] if tensor.dtype == tf.string else value.tolist()


def test_a_client_asks_tensorflow_serving(server, exported):
    client = runpy.run_path(str(EXAMPLES / "serving_client.py"))
    loaded = runtime.load(exported, "saved_model")
    written = client["generate"](server, ["the cat", "a dog"], 30, temperature=0.8, seed=5)
    assert written[0] == loaded.generate("the cat", 30, Sample(0.8), seed=5) and written[1]
    ((total, count),) = client["score"](server, ["the cat"])
    scored = loaded.score("the cat")
    assert count == len(scored["tokens"]) and total == pytest.approx(scored["log_probability"], abs=1e-4)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "serving_client.py", "score", "the cat", "--url", server],
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{total:.3f} nats over {count} tokens\n"


# In short forms, most of them long all the same: what they are made of is compiled by other tests every time.


def example(name):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]


@pytest.mark.long
def test_a_peephole_lstm_forecasts_a_series(tmp_path, capsys):
    picture = tmp_path / "forecast.png"
    error, naive = example("time_series")(["--steps=600", "--units=8", "--epochs=6", f"--picture={picture}"])
    assert error < naive and picture.stat().st_size > 0
    assert capsys.readouterr().out.startswith("mean squared error")


@pytest.mark.long
def test_a_tagger_of_columns_tags_a_sentence(tmp_path):
    file = tmp_path / "train.conll"
    file.write_text("Anna B-PER\nsees O\nRome B-LOC\n\nRome B-LOC\nsees O\nAnna B-PER\n\n" * 16)
    found = example("tagger")([str(file), "Anna sees Anna", "--units=8", "--epochs=12"])
    assert found == [("Anna", "B-PER"), ("sees", "O"), ("Anna", "B-PER")]


@pytest.mark.long
def test_a_translator_draws_its_attention(tmp_path, capsys):
    picture = tmp_path / "attention.png"
    options = ["--steps=3", "--units=8", "--longest=4", "--word=abba", f"--picture={picture}"]
    found = example("translator")(options)
    assert len(found) <= 5 and picture.stat().st_size > 0 and capsys.readouterr().out == f"abba -> {found}\n"


@pytest.mark.long
def test_a_translator_learns_to_write_words_backwards():
    assert example("translator")(["--steps=1500", "--word=peephole"]) == "elohpeep"


@pytest.mark.long
def test_sounds_are_heard_in_each_frame(tmp_path, capsys):
    picture = tmp_path / "phonemes.png"
    wrong = example("phonemes")(["--recordings=60", "--units=16", "--epochs=8", f"--picture={picture}"])
    assert wrong < 0.3 and picture.stat().st_size > 0
    assert capsys.readouterr().out.startswith(f"{wrong:.1%} of the frames are wrong; the first recording: ")


@pytest.mark.long
def test_what_was_learned_from_a_large_text_helps_with_a_small_one(tmp_path):
    large, small = tmp_path / "large.txt", tmp_path / "small.txt"
    large.write_text(TEXT * 200)
    small.write_text(TEXT.replace("cat", "rat") * 12)
    sizes = ["--units=24", "--set=layers=1", "--set=batch=4", "--set=window=16", "--set=epochs=2"]
    found = example("fine_tuning")([str(large), str(small), f"--out={tmp_path / 'runs'}", *sizes])
    assert found["then the small one"] < found["only the small text"]


def test_a_service_answers_without_keras(exported):
    testclient = pytest.importorskip("fastapi.testclient", reason="there is no FastAPI")
    client = testclient.TestClient(runpy.run_path(str(EXAMPLES / "service.py"))["service"](exported))
    asked = {"prompt": "the cat", "length": 20, "temperature": 0.8, "seed": 5}
    wanted = runtime.load(exported, "onnx").generate("the cat", 20, Sample(temperature=0.8), seed=5)
    assert client.post("/generate", json=asked).json() == {"text": wanted}
    scored = runtime.load(exported, "onnx").score("the cat")["log_probability"]
    assert client.post("/score", json={"text": "the cat"}).json()["log_probability"] == pytest.approx(scored)
    assert client.post("/score", json={"text": ""}).status_code == 422
