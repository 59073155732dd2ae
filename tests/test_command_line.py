"""The command line where its surroundings are not as they should be: streams, locales, backends, signals, drivers."""

import os
import signal
import subprocess
import sys
import time

import pytest

from keras_rnnlm import quiet
from keras_rnnlm.__main__ import main
from tests.test_package import ENVIRONMENT

PLAIN = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("PYTHONIO", "PYTHONUN", "LC_"))}
COMMAND = [sys.executable, "-m", "keras_rnnlm"]


def shell(line, **environment):
    """The exit code, standard output and standard error of a line for a shell, in which `$k` is our command."""
    line = f'k() {{ "{sys.executable}" -m keras_rnnlm "$@"; }}; {line}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env={**PLAIN, **environment})
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_nobody_reads_ends_a_command_without_a_word(unbuffered):
    code, out, err = shell("k train --help | true; exit ${PIPESTATUS[0]}", PYTHONUNBUFFERED=unbuffered)
    assert (out, err) == ("", "") and code in (0, 141)  # all of it may have been written before
    code, _, err = shell("k --version > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert code == 2 and err.count("\n") == 1 and "No space left" in err and "Traceback" not in err


def test_errors_that_cannot_be_written_change_nothing_else():
    for where in ("2>&-", "2>/dev/full"):
        assert shell(f"k --version {where}")[:2] == (0, shell("k --version")[1])
        assert shell(f"k info nowhere {where}") == (2, "", "")
    assert shell("k --version >&-")[0] == 0


def test_a_file_that_is_opened_is_not_taken_for_a_closed_stream():
    code = (
        "from keras_rnnlm import standard_streams as streams; streams.prepare(); print(open('/dev/null').fileno() > 2)"
    )
    assert shell(f'"{sys.executable}" -c "{code}" 2>&-')[1] == "True\n"


def test_a_display_whose_stream_fails_does_not_end_a_run():
    code = "from keras_rnnlm.training.runs.display import Display; Display().warn('a'); print('done')"
    for where in ("2>&-", "2>/dev/full"):
        assert shell(f'"{sys.executable}" -c "{code}" {where}')[1] == "done\n"


def test_help_is_shown_in_a_locale_of_ascii_alone():
    code, out, err = shell("k train --help-settings", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert code == 0 and err == "" and "uniform in \\xb1 this" in out


def test_a_backend_that_is_not_ours_is_told_in_one_line():
    told = "keras_rnnlm runs on three of Keras's backends: set KERAS_BACKEND to tensorflow, jax or torch"
    code, out, err = shell("k bench", KERAS_BACKEND="numpy")
    assert (code, out) == (2, "") and len(err.splitlines()) == 2
    assert err.splitlines()[1].startswith(f"keras-rnnlm bench: {told}") and err.endswith("the backend 'numpy'\n")
    # Keras itself cannot be imported on that backend where SciPy is missing.
    code = "import keras; keras.backend.backend = lambda: 'numpy'; import keras_rnnlm"
    code, _, err = shell(f'"{sys.executable}" -c "{code}"')
    assert code == 1 and err.splitlines()[-1].startswith(f"ImportError: {told}")


def test_an_interrupt_while_it_imports_ends_in_one_line():
    process = subprocess.Popen([*COMMAND, "bench"], stderr=subprocess.PIPE, text=True, env=PLAIN)
    assert process.stderr.readline().startswith("measuring")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == "keras-rnnlm bench: interrupted\n" and process.wait() == 130


def test_an_interrupt_while_a_room_is_imported_ends_in_one_line():
    code = "import importlib, sys; from keras_rnnlm import __main__ as m\n"
    code += "def stopped(name): raise KeyboardInterrupt\nimportlib.import_module = stopped\nsys.exit(m.main(['train']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=PLAIN)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "keras-rnnlm train: interrupted\n")


def test_a_machine_without_a_gpu_is_not_told_that_there_is_none():
    line = b"E0000 00:00:1.0 3 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)\n"
    assert bool(quiet.GREETING.match(line)) == (not any(map(os.path.exists, quiet.DRIVERS)))
    assert not quiet.GREETING.match(b"E0000 00:00:1.0 3 other.cc:52] another error")
    if any(map(os.path.exists, quiet.DRIVERS)):
        pytest.skip("there is a driver here, and what it says is shown")
    code = "from keras_rnnlm.quiet import import_keras; import_keras(); import tensorflow as tf; tf.zeros(2) + 1"
    said = shell(f'"{sys.executable}" -c "{code}"', TF_CPP_MIN_LOG_LEVEL="2")[2]
    assert said == ""


@pytest.mark.parametrize("threads", ["0", "-1", "99999999999"])
def test_threads_beyond_all_measure_are_told_in_one_line(threads, tmp_path):
    code, _, err = shell(f"k run {tmp_path} --threads {threads}")
    assert code == 2 and err.count("\n") == 1 and f"at most 1024. Received: threads={threads}" in err


@pytest.mark.parametrize(
    "words, told",
    [
        ("train a.txt --out run --recipie char", "train: there is no option --recipie: did you mean --recipe?"),
        ("train a.txt", "train: the following arguments are required: --out. See keras-rnnlm train --help"),
        ("info run --jsn=1", "info: there is no option --jsn: did you mean --json?"),
        ("verify a b", "verify: what is 'b' for? It is one argument more than there are"),
        ("study nothign", "study: There is no study 'nothign'"),
        ("trian", "trian: There is no command 'trian': did you mean train?"),
    ],
)
def test_a_word_that_is_none_of_a_command_ends_in_one_line(words, told, capsys):
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"keras-rnnlm {told}")
