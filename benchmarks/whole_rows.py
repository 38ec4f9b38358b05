"""What is measured of work as a whole: feeding, training, starting, keeping,
exporting."""

from benchmarks.harness import Column
from benchmarks.harness import Row

OURS, PLAIN = "keras_alexnet", "plain Keras"


def feeding_row(photos, scratch):
    """Batches as a network takes them."""
    given = {"photos": photos, "scratch": scratch}
    make = "benchmarks.feeding_columns"
    columns = {}
    for name, options in {
        f"{OURS}, from shards": {"shards": True},
        f"{OURS}, from shards, uint8": {"shards": True, "pixels": True},
        f"{OURS}, from photos, first epoch": {},
        f"{OURS}, from photos, later epochs": {"kept": True},
    }.items():
        columns[name] = Column(f"{make}:ours", {**given, **options})
    for name, noise in {PLAIN: False, f"{PLAIN}, color noise": True}.items():
        columns[name] = Column(f"{make}:plain", {**given, "noise": noise})
    for workers in (0, 2):
        columns[f"PyTorch DataLoader, {workers} workers"] = Column(
            f"{make}:pytorch",
            {**given, "workers": workers},
            "torch",
            alone=not workers,
        )
    title = "Feeding: an image of a batch of 128 crops of 227x227, float32"
    return Row("feeding", title, columns, PLAIN, small=True, of_photos=True)


def training_row(photos, scratch, batch=32):
    """The step with its feeding; without checkpoints, which have rows."""
    given = {"batch": batch, "photos": photos, "scratch": scratch}
    peers = "benchmarks.training_peers"
    plain = Column(f"{peers}:plain", given, amount=batch)
    # Two workers beside two threads of PyTorch's take each other's cores.
    torch = {
        f"PyTorch, from photos, workers: {workers}": Column(
            f"{peers}:pytorch",
            {**given, "workers": workers},
            "torch",
            amount=batch,
            alone=not workers,
        )
        for workers in (0, 1, 2)
    }
    return Row(
        "training",
        f"A step of {batch} of `alexnet`, fed as `ka.train` feeds it; others "
        "as they feed themselves",
        {
            name: Column(
                "benchmarks.training_columns:training",
                {**given, "feed": feed},
                amount=batch,
            )
            for name, feed in {
                "the step alone": "memory",
                "from shards": "shards",
                "from photos, first epoch": "photos",
                "from photos, later epochs": "kept",
            }.items()
        }
        | {f"{PLAIN}, from photos": plain, **torch},
        "the step alone",
        of_photos=True,
    )


def start_row():
    """What one waits for before anything is computed."""
    make = "benchmarks.training_columns:words"
    step = "from benchmarks.{}_columns import step; step({})()"
    given = "'alexnet', 1, 227"
    commands = {
        "import keras_alexnet": ["-c", "import keras_alexnet"],
        "keras-alexnet --help": ["-m", "keras_alexnet", "--help"],
        "the first step of alexnet": ["-c", step.format("keras", given)],
        "python alone": ["-c", ""],
        "import keras": ["-c", "import keras"],
        "the first step of plain Keras": [
            "-c",
            step.format("keras", f"{given}, whose='plain'"),
        ],
        "import torch": ["-c", "import torch"],
        "the first step of PyTorch": ["-c", step.format("torch", given)],
    }
    return Row(
        "start",
        "Starting",
        {
            name: Column(
                make,
                {"command": command},
                needs="torch" if "orch" in name else "",
                alone=False,
            )
            for name, command in commands.items()
        },
        small=True,
    )


def checkpoint_row(what):
    """Weights and velocities to the disk, or from it."""
    make = "benchmarks.training_columns"
    given = {"what": what}
    return Row(
        f"checkpoint-{what}",
        f"Checkpoint of `alexnet` with velocities, 488 MB: {what}",
        {
            OURS: Column(f"{make}:checkpoint", {**given, "whose": "ours"}),
            "Keras, .keras file": Column(
                f"{make}:checkpoint", {**given, "whose": "plain"}
            ),
            "PyTorch": Column(f"{make}:torch_checkpoint", given, "torch"),
        },
        "Keras, .keras file",
    )


def export_row(batch):
    """An exported network in its own runtime."""
    make = "benchmarks.training_columns:exported"
    needs = {
        "keras": "",
        "onnx": "onnxruntime",
        "litert": "ai_edge_litert",
        "openvino": "openvino",
    }
    return Row(
        f"export-{batch}",
        f"Exports of `alexnet`, batch {batch}",
        {
            form: Column(
                make, {"form": form, "batch": batch}, package, {}, batch
            )
            for form, package in needs.items()
        },
        "keras",
    )
