"""The run folder: what a training leaves behind, and how it is read back.

Files are written beside their place and moved there, so that a kill leaves
the old file or the new one, never half of one.
"""

import contextlib
import csv
import json
import os
import pathlib
import tempfile

from keras_alexnet import recipes
from keras_alexnet.architectures import get_architecture
from keras_alexnet.model import AlexNet


@contextlib.contextmanager
def replacing(path):
    """A temporary path that takes the place of `path` at the end."""
    path = pathlib.Path(path)
    # Keras tells formats by the whole name: "model.weights.h5".
    handle, temporary = tempfile.mkstemp(
        prefix=".", suffix=f".{path.name}", dir=path.parent
    )
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


class Run:
    """A training run, read from its folder.

    Args:
        folder: Path of the run folder.

    Attributes:
        recipe: The `Recipe` that was trained.
        class_names: Names of the classes, in the order of the outputs.
        results: Dict of the results, empty until the training has ended.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        try:
            self.recipe = recipes.from_json(self._text("recipe.json"))
            self.class_names = tuple(json.loads(self._text("classes.json")))
        except OSError as error:
            raise ValueError(
                f"{str(folder)!r} is not a run folder: {error.filename} "
                "cannot be read; expected a folder that `keras-alexnet train` "
                "has written."
            ) from error
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The run folder {str(folder)!r} is damaged: {error}"
            ) from error
        results = self.path("results.json")
        self.results = (
            json.loads(results.read_text()) if results.exists() else {}
        )

    @classmethod
    def create(cls, folder, recipe, class_names):
        """Start a new run folder.

        Raises:
            ValueError: if there is a run in the folder already.
        """
        folder = pathlib.Path(folder)
        if (folder / "recipe.json").exists():
            raise ValueError(
                f"There is a run in {str(folder)!r} already; choose another "
                "folder or delete it."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("recipe.json", recipes.to_json(recipe)),
            ("classes.json", json.dumps(class_names, indent=2) + "\n"),
        ):
            with replacing(folder / name) as path:
                pathlib.Path(path).write_text(text)
        return cls(folder)

    def path(self, name):
        """The path of a file in the run folder."""
        return self.folder / name

    def _text(self, name):
        return self.path(name).read_text()

    @property
    def channels(self):
        """Channels of the network's images: 3, or 1 for gray."""
        return get_architecture(self.recipe.variant).input_shape[-1]

    def build_model(self, **kwargs):
        """The network of this run, untrained."""
        side = self.recipe.crop_pixels
        return AlexNet(
            self.recipe.variant,
            padding=self.recipe.padding,
            input_shape=(side, side, self.channels),
            classes=len(self.class_names),
            **kwargs,
        )

    def load_model(self, **kwargs):
        """The network of this run with its trained weights.

        Raises:
            ValueError: if there are no weights, or they are damaged.
        """
        weights = self.path("model.weights.h5")
        if not weights.exists():
            raise ValueError(
                f"The run {str(self.folder)!r} has no weights yet: its "
                "training has not completed an epoch."
            )
        model = self.build_model(**kwargs)
        try:
            model.load_weights(weights)
        except (OSError, KeyError) as error:
            raise ValueError(
                f"{str(weights)!r} is damaged and cannot be read: {error}"
            ) from error
        return model

    def save_weights(self, model):
        """Write the weights."""
        with replacing(self.path("model.weights.h5")) as path:
            model.save_weights(path)

    def log_epoch(self, epoch, logs):
        """Add a line to `log.csv`: the epoch, counted from 0, and its logs."""
        names = ["epoch", *sorted(logs)]
        with open(self.path("log.csv"), "a", newline="") as file:
            writer = csv.DictWriter(file, names)
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow({"epoch": epoch, **logs})

    def save_results(self, **results):
        """Add to the results."""
        self.results.update(results)
        with replacing(self.path("results.json")) as path:
            text = json.dumps(self.results, indent=2) + "\n"
            pathlib.Path(path).write_text(text)
