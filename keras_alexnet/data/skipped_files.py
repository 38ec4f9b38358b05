"""Count, list and limit unreadable images."""

import csv
import io
import pathlib
import threading

from keras_alexnet.terminal import printable

COLUMNS = ("file", "reason")
# Names of files need not be UTF-8.
FORM = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}


class SkippedFiles:
    """Collects the files that a training or an evaluation had to skip.

    Args:
        total: Number of examples, of which a part may be skipped.
        limit: The largest part, 0..1; with 0 the first file is too many.
        list_file: Path of a CSV file that names them, or `None`. Files that
            it names already count too, so that a list survives a resume;
            but not more than the limit, which ended a training: they may
            have been mended since.

    Raises:
        ValueError: if that file is not such a list.
    """

    def __init__(self, total, limit, list_file=None):
        self.total = total
        self.limit = limit
        self.reasons = {}
        self._list_file = list_file and pathlib.Path(list_file)
        self._lock = threading.Lock()
        if self._list_file and self._list_file.exists():
            _drop_half_a_line(self._list_file)
            self.reasons = listed_files(self._list_file)
            if self._are_too_many():
                self._list_file.unlink()
                self.reasons = {}

    def __len__(self):
        return len(self.reasons)

    def add(self, file, reason):
        """Count a file, once, however often it is met."""
        file = str(file)
        with self._lock:
            if file in self.reasons:
                return
            self.reasons[file] = reason
            if self._list_file:
                with open(self._list_file, "a", **FORM) as stream:
                    writer = csv.writer(stream)
                    if stream.tell() == 0:
                        writer.writerow(COLUMNS)
                    writer.writerow([file, reason])

    def _are_too_many(self):
        return len(self.reasons) > self.limit * self.total

    def check(self):
        """Refuse to go on if too many files were skipped.

        Raises:
            ValueError: with the count and the first of them.
        """
        count = len(self.reasons)
        if self._are_too_many():
            file, reason = next(iter(self.reasons.items()))
            first = printable(f"{file} {reason}")
            raise ValueError(
                f"{count} of {self.total} images cannot be used, more than "
                f"the {100 * self.limit:g} % that are borne; the first: "
                f"{first}. `keras-alexnet check-data` lists all, "
                "--max-bad-ratio allows more."
            )


def listed_files(path):
    """The files that such a list names, with the reasons.

    Raises:
        ValueError: if it is not such a list.
    """
    if not pathlib.Path(path).is_file():  # a pipe would never end
        raise ValueError(f"{str(path)!r} is not a file.")
    text = _whole_lines(pathlib.Path(path).read_bytes())
    text = text.decode(FORM["encoding"], FORM["errors"])
    try:
        rows = list(csv.reader(io.StringIO(text, FORM["newline"])))
    except csv.Error as error:  # a field of more than 128 kB
        raise ValueError(f"{str(path)!r} is damaged: {error}.") from error
    if rows[:1] not in ([], [list(COLUMNS)]) or any(
        len(row) != len(COLUMNS) for row in rows
    ):
        raise ValueError(f"{str(path)!r} is damaged.")
    return dict(rows[1:])


def _whole_lines(content):
    """All but what a kill or a full disk has left at the end."""
    return content[: content.rfind(b"\n") + 1]


def _drop_half_a_line(path):
    content = path.read_bytes()
    whole = _whole_lines(content)
    if whole != content:
        path.write_bytes(whole)
