"""The run folder: what a training leaves behind, and how it is read back."""

import csv
import json
import pathlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import fields

import keras
import numpy as np

from keras_alexnet.architectures.modifiers import VARIATIONS
from keras_alexnet.architectures.modifiers import with_dropout
from keras_alexnet.architectures.modifiers import with_initialization
from keras_alexnet.architectures.variants import Architecture
from keras_alexnet.architectures.variants import get_architecture
from keras_alexnet.data.arrays import load_array
from keras_alexnet.data.preprocessing import PixelsToInput
from keras_alexnet.data.shards import MEAN_IMAGE
from keras_alexnet.files import AnyPath
from keras_alexnet.files import NewerVersion
from keras_alexnet.files import check_newer
from keras_alexnet.files import check_room
from keras_alexnet.files import holds_only
from keras_alexnet.files import is_temporary
from keras_alexnet.files import remove_leftovers
from keras_alexnet.files import replacing
from keras_alexnet.models.alexnet import AlexNet
from keras_alexnet.models.alexnet_model import AlexNetModel
from keras_alexnet.models.keras_settings import keras_settings
from keras_alexnet.runs import recipes
from keras_alexnet.runs.recipe import Recipe
from keras_alexnet.runs.run_folder import is_finished
from keras_alexnet.runs.run_folder import no_run
from keras_alexnet.runs.states import MARGIN_BYTES
from keras_alexnet.runs.states import StateFolder
from keras_alexnet.untrusted_files import read_text
from keras_alexnet.weights.assign import put_weights
from keras_alexnet.weights.read_weights import read_weights
from keras_alexnet.weights.weight_file import checked_names

FORMAT = 1  # of results.json; version 0.1.0 wrote no number
# The state before the first step: nothing is lost with it.
FIRST_STATE = re.compile(r"state-0+\.safetensors")


class Run:
    """A training run, read from its folder.

    Args:
        folder: Path of the run folder.

    Attributes:
        recipe: The `Recipe` that was trained.
        class_names: Names of the classes, in the order of the outputs.
        results: Dict of the results, empty until the training has ended.
    """

    def __init__(self, folder: AnyPath) -> None:
        self.folder = pathlib.Path(folder)
        self.recipe = self._read("recipe.json", recipes.from_json)
        self.class_names = self._read(
            "classes.json", lambda text: checked_names(json.loads(text))
        )
        self.results = {}
        if self.path("results.json").exists():
            self.results = self._read("results.json", _results_from_json)

    def _read(self, name, parse):
        try:
            return parse(read_text(self.path(name)))
        except OSError as error:
            raise no_run(self.folder, name) from error
        except NewerVersion as error:
            raise ValueError(f"{str(self.folder)!r}: {error}") from error
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"The run folder {str(self.folder)!r} is damaged: {name} "
                f"cannot be used: {error}"
            ) from error

    @classmethod
    def create(
        cls, folder: AnyPath, recipe: Recipe, class_names: Sequence[str]
    ) -> "Run":
        """Start a run in a folder, or take up the one that is not finished.

        One that stopped before its first step or epoch was saved is started
        anew, and one that is taken up may bear another number of bad files.

        Raises:
            ValueError: if the folder holds a finished run, another one, or
                what is none.
        """
        folder = pathlib.Path(folder)
        cls.check_place(folder, recipe, class_names)
        if not has_begun(folder):
            _remove_beginning(folder)
        for name, text in (
            ("recipe.json", recipes.to_json(recipe)),  # first: it marks a run
            ("classes.json", json.dumps(class_names, indent=2) + "\n"),
        ):
            with replacing(folder / name) as path:
                pathlib.Path(path).write_text(text, encoding="utf-8")
        return cls(folder)

    @classmethod
    def check_place(
        cls, folder: AnyPath, recipe: Recipe, class_names: Sequence[str]
    ) -> None:
        """Refuse a folder that a run cannot be started or taken up in.

        Raises:
            ValueError: as `create`.
        """
        check_folder(folder)
        if not has_begun(folder):
            return
        run = cls(folder)
        other = [
            field.name
            for field in fields(recipe)
            if getattr(recipe, field.name) != getattr(run.recipe, field.name)
            and field.name != "max_bad_ratio"
        ]
        if other or tuple(class_names) != run.class_names:
            what = f"`{other[0]}`" if other else "the classes"
            raise ValueError(
                f"There is a run in {str(folder)!r} already, with another "
                f"value of {what}; choose another folder or delete it."
            )
        if is_finished(folder):
            raise ValueError(
                f"There is a run in {str(folder)!r} already, and it is "
                "finished; choose another folder or delete it."
            )

    def log_rows(self) -> list[dict[str, float]]:
        """The epochs in `log.csv`, dicts of numbers; none without a log.

        Raises:
            ValueError: if the log is damaged.
        """
        path = self.path("log.csv")
        try:
            with open(path, newline="", encoding="utf-8") as file:
                return [
                    {name: float(value) for name, value in row.items()}
                    for row in csv.DictReader(file)
                ]
        except FileNotFoundError:
            return []
        except (csv.Error, TypeError, ValueError) as error:
            raise ValueError(f"{str(path)!r} is damaged: {error}.") from error

    def path(self, name: str) -> pathlib.Path:
        """The path of a file in the run folder."""
        return self.folder / name

    @property
    def channels(self) -> int:
        """Channels of the network's images: 3, or 1 for gray."""
        return get_architecture(self.recipe.variant).input_shape[-1]

    @property
    def sizes(self) -> dict[str, int]:
        """How images are cut for the network, as `pipeline` takes it."""
        return self.recipe.sizes

    def pixels_to_input(self) -> PixelsToInput:
        """The layer that makes of pixels what the network was trained on.

        Raises:
            ValueError: if the run's mean image is missing or damaged.
        """
        mean_image = None
        if self.recipe.mean == "image":
            mean_image = self._mean_image()
        return PixelsToInput(
            self.architecture
            if self.recipe.variations
            else self.recipe.variant,
            mean_image=mean_image,
            training_divisor=self.recipe.training_divisor,
        )

    def _mean_image(self):
        path = self.path(MEAN_IMAGE)
        try:
            image = load_array(path, "the mean image of a training")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{str(path)!r} cannot be read: {error}; the network needs "
                "the mean image of its training."
            ) from error
        side = self.recipe.resize_pixels
        if image.shape != (side, side, 3) or image.dtype.kind != "f":
            raise ValueError(
                f"{str(path)!r} is not the mean image of this training: "
                f"expected ({side}, {side}, 3), found {image.shape}."
            )
        return image

    @property
    def architecture(self) -> Architecture:
        """The `Architecture` that is trained: the variant, as changed."""
        recipe = self.recipe
        architecture = get_architecture(recipe.variant)
        if recipe.initialization:
            architecture = with_initialization(
                architecture, get_architecture(recipe.initialization)
            )
        if recipe.dropout is not None:
            architecture = with_dropout(architecture, recipe.dropout)
        for variation in recipe.variations:
            architecture = VARIATIONS[variation](architecture)
        return architecture

    def build_model(self, policy: str | None = None, **kwargs) -> AlexNetModel:
        """The network of this run, untrained.

        Args:
            policy: Name of its dtype policy; by default that in which the
                trained network answers.
            **kwargs: Arguments of `AlexNet`.
        """
        side = self.recipe.crop_pixels
        with keras_settings(policy or self.recipe.dtype):
            model = AlexNet(
                self.architecture,
                padding=self.recipe.padding,
                input_shape=(side, side, self.channels),
                classes=len(self.class_names),
                **kwargs,
            )
        if not self.recipe.variations:
            model.variant = self.recipe.variant
        return model

    def load_model(self, **kwargs) -> AlexNetModel:
        """The network of this run with its trained weights.

        Raises:
            ValueError: if there are no weights, or they are damaged.
        """
        weights = self.path("model.weights.h5")
        if not weights.exists():
            raise ValueError(
                f"The run {str(self.folder)!r} has no weights yet: its "
                "training is not finished; rerun the same command to resume it."
            )
        model = self.build_model(**kwargs)
        try:
            # Compares shapes first: Keras' own reader believes the file.
            put_weights(model, read_weights(weights).layers)
        except ValueError as error:
            raise ValueError(
                f"{str(weights)!r} is damaged, or is not of this run's "
                f"network, and cannot be read: {error}"
            ) from error
        model.class_names = self.class_names
        model.resize_pixels = self.recipe.resize_pixels
        model.checks_range = (
            self.recipe.mean == "variant" and model.variant is not None
        )
        return model

    def load_newest(self) -> AlexNetModel:
        """As `load_model`; of an unfinished run from its newest checkpoint.

        Raises:
            ValueError: as `load_model`.
        """
        state = None
        if not self.path("model.weights.h5").exists():
            state = StateFolder(self.path("checkpoints")).newest()
        if state is None:
            return self.load_model()
        facts, arrays = state
        warnings.warn(
            f"The run {str(self.folder)!r} is not finished; its weights after "
            f"step {facts['step']} are taken.",
            stacklevel=2,
        )
        model = self.build_model()
        # A training's variables begin with those of its network.
        for variable, array in zip(model.variables, arrays, strict=False):
            variable.assign(array)
        return model

    def save_weights(self, model: keras.Model) -> None:
        """Write the weights.

        Raises:
            ValueError: if they cannot be written.
        """
        bytes_each = np.dtype(model.variable_dtype).itemsize
        needed = bytes_each * model.count_params() + MARGIN_BYTES
        with replacing(self.path("model.weights.h5")) as path:
            # A disk that gets full while HDF5 writes ends the process.
            check_room(self.folder, needed)
            model.save_weights(path)

    def write_log(self, rows: list[dict]) -> None:
        """Write `log.csv`: a line for each epoch, counted from 0."""
        names = list(rows[0]) if rows else ["epoch"]
        with (
            replacing(self.path("log.csv")) as path,
            open(path, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def save_results(self, **results) -> None:
        """Add to the results."""
        self.results.update(results)
        with replacing(self.path("results.json")) as path:
            text = json.dumps({"format": FORMAT, **self.results}, indent=2)
            pathlib.Path(path).write_text(f"{text}\n", encoding="utf-8")


def _results_from_json(text):
    results = dict(json.loads(text))
    check_newer(results.pop("format", FORMAT), FORMAT, "results.json")
    return results


def check_folder(folder):
    """Refuse a folder that is neither free nor a run's.

    Raises:
        ValueError: if it holds anything and is not a run folder.
    """
    folder = pathlib.Path(folder)
    if holds_only(folder):
        return
    try:
        recipes.from_json(read_text(folder / "recipe.json"))
    except NewerVersion as error:
        raise ValueError(f"{str(folder)!r}: {error}") from error
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{str(folder)!r} is not empty, and is not a run folder that "
            "`keras-alexnet train` has written; choose another folder."
        ) from error


def is_run(folder):
    """Whether a folder is one that a training was started in."""
    try:
        recipes.from_json(read_text(pathlib.Path(folder) / "recipe.json"))
    except (OSError, TypeError, ValueError, RecursionError):
        return False
    return True


def has_begun(folder):
    """Whether a run folder holds anything that a new start would lose."""
    folder = pathlib.Path(folder)
    log = folder / "log.csv"
    states = (
        path.name
        for path in folder.glob("checkpoints/*")
        if not is_temporary(path.name) and not FIRST_STATE.fullmatch(path.name)
    )
    return (
        (folder / "results.json").exists()
        or (folder / "model.weights.h5").exists()
        or any(states)
        or (log.exists() and log.read_bytes().count(b"\n") > 1)
    )


def _remove_beginning(folder):
    """What a run that was stopped before its first step has left."""
    remove_leftovers(folder)
    (folder / "skipped.csv").unlink(missing_ok=True)
    for part in ("train", "validation"):
        # Of the whole folder only what TensorBoard's callback writes is ours.
        for path in folder.glob(f"tensorboard/{part}/events.out.tfevents.*"):
            path.unlink()
