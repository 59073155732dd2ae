"""The scripts that complete commands for shells."""

import shutil
import subprocess

import pytest

from keras_rnnlm.__main__ import COMMANDS, main


@pytest.fixture(scope="module")
def scripts():
    found = {}
    for shell in ("bash", "zsh", "fish"):
        with pytest.MonkeyPatch.context() as patch:
            printed = []
            patch.setattr("builtins.print", printed.append)
            assert main(["completion", shell]) == 0
        found[shell] = printed[0]
    return found


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    "words, expected",
    [
        ("keras-rnnlm ev", ["evaluate"]),
        ("keras-rnnlm train --recipe zaremba-s", ["zaremba-small"]),
        ("keras-rnnlm train --init", ["--init-from"]),
        ("keras-rnnlm export --format o", ["onnx"]),
        ("keras-rnnlm study vari", ["variants"]),
        ("keras-rnnlm completion f", ["fish"]),
        ("keras-rnnlm train text", []),  # files, which bash completes by itself
    ],
)
def test_bash_completes_commands_options_and_names(scripts, words, expected):
    words = words.split()
    ask = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _keras_rnnlm; printf '%s\\n' ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", f"{scripts['bash']}\n{ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected and done.stderr == ""


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_their_scripts(scripts, shell):
    for word in COMMANDS:
        assert word in scripts[shell]
    if shutil.which(shell):
        done = subprocess.run([shell, "-c", scripts[shell]], capture_output=True, text=True)
        assert done.returncode == 0 and done.stderr == ""
    assert "zaremba-small" in scripts[shell] and "--recipe" in scripts[shell].replace("-l recipe", "--recipe")
