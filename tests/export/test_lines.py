"""The lines of a file that `predict` reads."""

import pytest

from keras_rnnlm.export.runtime.lines import lines_of


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
