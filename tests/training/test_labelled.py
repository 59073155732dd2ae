"""Labelled texts: files for classes, tables, and how they are split."""

import collections
import json
import os
import pathlib

import pytest

from keras_rnnlm.training.corpora.labelled import open_labelled

DATA = pathlib.Path(os.environ.get("KERAS_RNNLM_DATA", "nowhere"))


def pairs(rows):
    return [(text, label) for text, label, _ in rows]


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", "-").replace("_", ".")).write_text(text, encoding="latin-1")
    return str(folder)


TABLES = {
    "a.csv": 'label,text\n1,"good, really"\n0,bad\n1,\n',
    "a.tsv": "text\tstars\tlabel\ngood, really\t5\t1\nbad\t1\t0\n \t1\t0\n",
    "a.jsonl": "".join(
        json.dumps({"id": k, "review": t, "sentiment": s}) + "\n"
        for k, (t, s) in enumerate([("good, really", 1), ("bad", 0), ("", 1)])
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_row_of_a_table_is_a_text_and_its_label(name, tmp_path):
    (tmp_path / name).write_text(TABLES[name])
    found = open_labelled(tmp_path / name, split="100")
    assert pairs(found.splits["train"]) == [("good, really", "1"), ("bad", "0")]
    assert found.splits["train"][1][2].startswith(f"{tmp_path / name}, line ")


@pytest.mark.parametrize("names", [("rt__polarity_neg", "rt__polarity_pos"), ("neg_txt", "pos_txt")])
def test_a_file_is_a_class_and_each_line_a_text(names, tmp_path):
    write(tmp_path, **{names[0]: "bad\n\n  sad\xe9 \n", names[1]: "good\x85 yes"})
    found = open_labelled(tmp_path, encoding="latin-1", split="100")
    assert pairs(found.splits["train"]) == [("bad", "neg"), ("sad\xe9", "neg"), ("good\x85 yes", "pos")]
    assert found.splits["train"][1][2].endswith(", line 3")


def test_numbered_files_in_folders_are_a_text_each_of_the_folders_class(tmp_path):
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            (tmp_path / split / label).mkdir(parents=True)
            for k in range(20):
                (tmp_path / split / label / f"{k}_{k % 10}.txt").write_text(f"{split} {label}\n\n  film {k}\n")
    found = open_labelled(tmp_path)
    counts = {name: collections.Counter(label for _, label in pairs(rows)) for name, rows in found.splits.items()}
    assert counts == {name: {"pos": n, "neg": n} for name, n in (("train", 19), ("valid", 1), ("test", 20))}
    assert ("test neg film 7", "neg") in pairs(found.splits["test"])
    few = open_labelled([tmp_path / "train" / "pos", tmp_path / "train" / "neg"], split="100")
    assert {label for _, label in pairs(few.splits["train"])} == {"pos", "neg"}
    (tmp_path / "train" / "urls_of_all.txt").write_text("http\n")
    with pytest.raises(ValueError, match="a folder for each class, neg, pos, and .*urls_of_all.txt in none of these"):
        open_labelled(tmp_path)


def test_splits_are_those_of_the_names_or_drawn_from_each_class(tmp_path):
    write(tmp_path, train_neg="a\n", train_pos="b\n", dev_neg="c\n", dev_pos="d\n")
    found = open_labelled(tmp_path)
    assert {name: pairs(rows) for name, rows in found.splits.items()} == {
        "train": [("a", "neg"), ("b", "pos")],
        "valid": [("c", "neg"), ("d", "pos")],
    }
    table = tmp_path / "all.csv"
    table.write_text("text,label\n" + "".join(f"text {k},{'few' if k % 5 == 0 else 'many'}\n" for k in range(100)))
    found = open_labelled(table, split="80/10/10")
    counts = {name: collections.Counter(label for _, label in pairs(rows)) for name, rows in found.splits.items()}
    assert counts == {
        name: {"few": part // 5, "many": part * 4 // 5} for name, part in (("train", 80), ("valid", 10), ("test", 10))
    }
    assert len({text for rows in found.splits.values() for text, _ in pairs(rows)}) == 100
    assert found == open_labelled(table, split="80/10/10")
    found = open_labelled(table, valid=tmp_path / "dev.*")
    assert [len(found.splits[name]) for name in ("train", "valid")] == [100, 2]


@pytest.mark.parametrize(
    "files, options, message",
    [
        (dict(one_txt="a"), {}, "one for each class, named after it, such as neg.txt and pos.txt"),
        (dict(neg_txt="a", pos_txt="b"), dict(label_column="y"), "A column is one of a table, and .* drop"),
        (dict(t_csv="text,one,two\na,b,c\n"), {}, "No column of .*t.csv is plainly that of the labels.*'one', 'two'"),
        (dict(t_csv="text,label\na,b\n"), dict(label_column="y"), "t.csv has no column 'y'. It has the columns 'text'"),
        (dict(t_csv="text,label\na,b\nc,\n"), {}, "t.csv, line 3: 'label' is a label in every row.*Received: ''"),
        (dict(t_csv="text,label\na,b\nc\n"), {}, "t.csv, line 3: the row has 1 cells, and the first row has 2"),
        (dict(neg_txt="a", pos_txt="b"), dict(split="80/20"), "The valid texts are empty"),
        (dict(train_neg="a", train_pos="b", dev_neg="a", dev_pos="b"), dict(split="80/20"), "bring their own splits"),
    ],
)
def test_what_cannot_be_read_is_told(files, options, message, tmp_path):
    write(tmp_path, **files)
    with pytest.raises(ValueError, match=message):
        open_labelled(tmp_path, **options)
    with pytest.raises(ValueError, match="Labelled texts are files, folders or patterns"):
        open_labelled("stdlib")


def test_what_a_model_is_measured_on_is_whole(tmp_path):
    write(tmp_path, neg_txt="a\nb", pos_txt="c")
    found = open_labelled(tmp_path, label_column="of the run's tables", whole=True)
    assert pairs(found.splits["train"]) == [("a", "neg"), ("b", "neg"), ("c", "pos")] and len(found.splits) == 1
    write(tmp_path, train_csv="text,label\na,b\n", dev_csv="text,label\nc,d\n")
    with pytest.raises(ValueError, match=r"splits of their own \(train, valid\): name one of them alone"):
        open_labelled(tmp_path / "*.csv", whole=True)


@pytest.mark.skipif(not (DATA / "mr-polarity").is_dir(), reason="without the corpora")
def test_movie_reviews_are_read_whole():
    found = open_labelled(str(DATA / "mr-polarity" / "rt-polarity.*"), encoding="latin-1", split="100")
    assert collections.Counter(label for _, label in pairs(found.splits["train"])) == {"neg": 5331, "pos": 5331}
