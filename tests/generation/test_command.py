import argparse
import json

import pytest

from keras_rnnlm.generation import Beam, Greedy, Sample, command


def options(*words):
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return parser.parse_args(words)


def shown(capsys, *words):
    """What is printed where every text is made of its prompt's number, and pieces are letters."""
    given = options(*words)
    prompts = given.prompt or [""]
    command.show(given, prompts, lambda: [f" {k}" for k in range(len(prompts))], lambda: iter("one"))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sampler"),
    [
        ([], Sample()),
        (["--temperature", "0"], Greedy()),
        (["--temperature", "0.5", "--top-k", "3", "--top-p", "0.9", "--min-p", "0.1"], Sample(0.5, 3, 0.9, 0.1)),
        (["--beam", "4"], Beam(4)),
    ],
)
def test_options_say_how_a_text_is_written(words, sampler):
    settings = {"length": 200, "sampler": sampler, "seed": 0, "repetition_penalty": 1.0}
    assert command.settings(options(*words)) == settings
    assert command.settings(options(*words, "--length", "5", "--seed", "7"))["length"] == 5


def test_one_text_is_shown_in_pieces_and_others_whole(capsys):
    assert shown(capsys) == "one\n"
    assert shown(capsys, "--prompt", "a ") == "a one\n"
    assert shown(capsys, "--prompt", "a", "--beam", "2") == "a 0\n"
    assert shown(capsys, "--prompt", "a", "--prompt", "b") == "a 0\nb 1\n"
    assert json.loads(shown(capsys, "--prompt", "a", "--json")) == {"prompts": ["a"], "texts": [" 0"]}


def test_nothing_is_shown_before_what_goes_wrong_at_once(capsys):
    def pieces():
        raise ValueError("no such length")

    with pytest.raises(ValueError, match="no such length"):
        command.show(options("--prompt", "a"), ["a"], None, pieces)
    assert capsys.readouterr().out == ""
