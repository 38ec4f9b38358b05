"""Bad files: counted once, listed, and refused when they are too many."""

import csv
import threading

import pytest

from keras_alexnet.data.skipped_files import SkippedFiles


def rows(path):
    with open(path, newline="", errors="surrogateescape") as file:
        return list(csv.reader(file))


def test_a_file_counts_once(tmp_path):
    path = tmp_path / "skipped.csv"
    skipped = SkippedFiles(10, 0.1, path)
    assert len(skipped) == 0
    assert not path.exists()  # no bad files, no list
    for _ in range(3):
        skipped.add("a.jpg", "is empty")
        skipped.add(tmp_path / "b.jpg", "is not a file")
    skipped.add("a.jpg", "another reason")
    assert len(skipped) == 2
    assert skipped.reasons == {
        "a.jpg": "is empty",
        str(tmp_path / "b.jpg"): "is not a file",
    }
    assert rows(path) == [
        ["file", "reason"],
        ["a.jpg", "is empty"],
        [str(tmp_path / "b.jpg"), "is not a file"],
    ]


@pytest.mark.parametrize(
    "name", ["a, b.jpg", 'a "b".jpg', "a\nb.jpg", "ä.jpg", "\udce4.jpg"]
)
def test_any_file_name_comes_back(tmp_path, name):
    """The last is what Python calls a file whose name is not UTF-8."""
    path = tmp_path / "skipped.csv"
    SkippedFiles(10, 1.0, path).add(name, 'is "bad", really')
    assert rows(path)[1:] == [[name, 'is "bad", really']]
    assert SkippedFiles(10, 1.0, path).reasons == {name: 'is "bad", really'}


def test_a_resumed_training_counts_on(tmp_path):
    path = tmp_path / "skipped.csv"
    SkippedFiles(100, 0.02, path).add("a.jpg", "is empty")
    skipped = SkippedFiles(100, 0.02, path)
    assert skipped.reasons == {"a.jpg": "is empty"}
    skipped.add("a.jpg", "is empty")
    skipped.add("b.jpg", "is empty")
    skipped.check()
    assert [row[0] for row in rows(path)] == ["file", "a.jpg", "b.jpg"]
    skipped = SkippedFiles(100, 0.02, path)
    skipped.add("c.jpg", "is empty")
    with pytest.raises(ValueError, match="3 of 100 images"):
        skipped.check()


def test_an_empty_list_is_begun_anew(tmp_path):
    """What a kill between opening and writing leaves."""
    path = tmp_path / "skipped.csv"
    path.touch()
    SkippedFiles(1, 1.0, path).add("a.jpg", "is empty")
    assert rows(path) == [["file", "reason"], ["a.jpg", "is empty"]]


@pytest.mark.parametrize(
    ("total", "limit", "borne"),
    [(100, 0.01, 1), (200, 0.01, 2), (99, 0.01, 0), (10, 0.5, 5), (3, 1.0, 3)],
)
def test_both_sides_of_the_limit(total, limit, borne):
    skipped = SkippedFiles(total, limit)
    for number in range(borne):
        skipped.add(f"{number}.jpg", "is empty")
        skipped.check()
    skipped.add("last.jpg", "is empty")
    with pytest.raises(ValueError) as caught:
        skipped.check()
    sentence = str(caught.value)
    assert f"{borne + 1} of {total} images cannot be used" in sentence
    assert f"more than the {100 * limit:g} % that are borne" in sentence
    first = "0.jpg" if borne else "last.jpg"
    assert f"the first: {first} is empty." in sentence
    assert "--max-bad-ratio" in sentence


def test_limit_zero_bears_none():
    skipped = SkippedFiles(1_000_000, 0)
    skipped.check()
    skipped.add("a.jpg", "is empty")
    with pytest.raises(ValueError, match="1 of 1000000 .* 0 % .* a.jpg"):
        skipped.check()


@pytest.mark.parametrize(
    "text",
    [
        "file,reason\na.jpg\n",
        "file,reason\na.jpg,is empty,too much\n",
        "epoch,loss\n0,2.3\n",
    ],
)
def test_another_or_a_damaged_list_is_refused(tmp_path, text):
    path = tmp_path / "skipped.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"skipped\.csv' is damaged"):
        SkippedFiles(10, 1.0, path)
    assert path.read_text() == text  # and left alone


def test_threads_do_not_lose_or_repeat(tmp_path):
    path = tmp_path / "skipped.csv"
    skipped = SkippedFiles(1000, 1.0, path)
    start = threading.Barrier(8)

    def add(first):
        start.wait()
        for number in range(200):  # all the same files, in another order
            skipped.add(f"{(first + number) % 200}.jpg", "is empty")

    threads = [threading.Thread(target=add, args=(25 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(skipped) == 200
    header, *written = rows(path)
    assert header == ["file", "reason"]
    expected = sorted([f"{number}.jpg", "is empty"] for number in range(200))
    assert sorted(written) == expected


def test_half_a_line_that_a_kill_has_left_is_dropped(tmp_path):
    path = tmp_path / "skipped.csv"
    path.write_text("file,reason\r\na.jpg,is empty\r\nb.j")
    skipped = SkippedFiles(10, 1.0, path)
    assert skipped.reasons == {"a.jpg": "is empty"}
    skipped.add("b.jpg", "is empty")
    assert SkippedFiles(10, 1.0, path).reasons == {
        "a.jpg": "is empty",
        "b.jpg": "is empty",
    }
