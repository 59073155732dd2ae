"""The lines of a file that `predict` reads."""

import pytest

from keras_rnnlm import predict
from keras_rnnlm.export.runtime.lines import by_parts, lines_of


@pytest.mark.parametrize(
    "content, lines",
    [
        (b"", []),
        (b"one", ["one"]),
        (b"one\n\ntwo\n", ["one", "", "two"]),
        (b"\xef\xbb\xbfone\r\ntwo\rthree\r\n", ["one", "two", "three"]),
        ("one\u2028still one\x0bstill\n".encode(), ["one\u2028still one\x0bstill"]),
    ],
)
def test_lines_end_where_lines_end(tmp_path, content, lines):
    (tmp_path / "file").write_bytes(content)
    assert lines_of(tmp_path / "file") == lines


@pytest.mark.parametrize("content, encoding", [(b"caf\xe9", "utf-8"), (b"one", "klingon")])
def test_what_cannot_be_read_is_told_in_a_line(tmp_path, content, encoding):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=f"cannot be read as {encoding}") as error:
        lines_of(tmp_path / "file", encoding)
    assert "\n" not in str(error.value)


def test_answers_come_while_others_are_still_to_be_found():
    asked, parts = list(range(100)), []

    def answers(some):
        parts.append(len(some))
        return [-one for one in some]

    found = by_parts(answers, asked, batch_size=2)
    assert next(found) == 0 and parts == [32]
    assert list(found) == [-one for one in asked[1:]] and parts == [32, 32, 32, 4]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_terminal_is_told_how_many_there_are(is_terminal, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    assert list(predict.counted(iter("abc"))) == ["a", "b", "c"]
    told = capsys.readouterr().err
    assert told.startswith("\r1 lines") and told.endswith("\r") if is_terminal else told == ""
