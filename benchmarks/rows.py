"""What is measured, as data: each row with its columns."""

import math
from dataclasses import replace

from benchmarks.harness import Column
from benchmarks.harness import Row
from keras_alexnet.arithmetic import trace
from keras_alexnet.arithmetic import training_operations

PIXELS = {"alexnet": 227, "single_tower": 227, "torchvision": 224}
OURS, PLAIN, JAX = "keras_alexnet", "plain Keras", "keras_alexnet on JAX"
ON_JAX = {"KERAS_BACKEND": "jax"}
TORCH = {
    "PyTorch": {},
    "PyTorch, channels last": {"channels_last": True},
    "PyTorch, channels last, fused SGD": {"channels_last": True, "fused": True},
    "torch.compile, fused SGD": {
        "channels_last": True,
        "fused": True,
        "compiled": True,
    },
}
TORCH_INFERENCE = {
    "PyTorch": {},
    "PyTorch, channels last": {"channels_last": True},
    "torch.compile": {"channels_last": True, "compiled": True},
}
NORMALIZED = {"conv1": (32, 55, 55, 96), "conv2": (32, 27, 27, 256)}
SIZE = 4096  # of the matrices


def gflop(kind, variant, pixels, classes=1000):
    """Of an image, in a training step or in inference."""
    shape = (pixels, pixels, 3)
    if kind == "step":
        return training_operations(variant, shape, classes) / 1e9
    layers = trace(variant, shape, classes)
    return 2e-9 * sum(layer.multiply_adds for layer in layers)


def network_row(kind, variant, batch, precision):
    """A training step, or inference."""
    given = {
        "variant": variant,
        "batch": batch,
        "pixels": PIXELS[variant],
        "precision": precision,
    }
    work = batch * gflop(kind, variant, PIXELS[variant])
    keras = Column(
        f"benchmarks.keras_columns:{kind}", given, "", {}, batch, work
    )
    torch = replace(
        keras, make=f"benchmarks.torch_columns:{kind}", needs="torch"
    )
    columns = {
        OURS: keras,
        PLAIN: with_arguments(keras, whose="plain"),
        JAX: replace(keras, needs="jax", environment=ON_JAX),
    }
    for name, options in (TORCH if kind == "step" else TORCH_INFERENCE).items():
        columns[name] = with_arguments(torch, **options)
    if kind == "inference" and precision == "bfloat16":
        # Autocast and Keras' mixed precision make the weights narrow at each
        # call; who only wants answers keeps them so.
        narrow = {"precision": "bfloat16 weights"}
        columns[f"{OURS}, bfloat16 weights"] = with_arguments(keras, **narrow)
        for name in ("PyTorch, channels last", "torch.compile"):
            columns[f"{name}, bfloat16 weights"] = with_arguments(
                torch, **TORCH_INFERENCE[name], **narrow
            )
    title = {"step": "Training step", "inference": "Inference"}[kind]
    mixed = "mixed " * (precision != "float32")
    return Row(
        f"{kind}-{variant}-{batch}-{precision}",
        f"{title} of `{variant}`, batch {batch}, {mixed}{precision}",
        columns,
        PLAIN,
        precision,
    )


def with_arguments(column, **more):
    """The same column with further arguments."""
    return replace(column, given={**column.given, **more})


def machine_row():
    """What the others are held against."""
    make = "benchmarks.machine_columns"
    amount = 2 * SIZE**3 / 1e9
    torch = "benchmarks.torch_columns:matrices"
    narrow = {"size": SIZE, "precision": "bfloat16"}
    wide = {"size": SIZE, "precision": "float32"}
    by = {"by": "tensorflow"}
    return Row(
        "machine",
        f"Products of {SIZE}x{SIZE} matrices, GFLOP; copying, GB read and "
        "written",
        {
            name: Column(make, given, needs, {}, amount, amount)
            for name, make, given, needs in (
                ("NumPy", f"{make}:matrices", {**wide, "by": "numpy"}, ""),
                ("TensorFlow", f"{make}:matrices", {**wide, **by}, ""),
                ("PyTorch", torch, wide, "torch"),
                ("TensorFlow, bfloat16", f"{make}:matrices", narrow | by, ""),
                ("PyTorch, bfloat16", torch, narrow, "torch"),
            )
        }
        | {
            "copying": Column(
                f"{make}:copy",
                {"megabytes": 512},
                amount=2 * 2**29 / 1e9,
                work=2 * 2**29 / 1e9,
            ),
        },
    )


def normalization_row(name, shape):
    """The layer alone, forward and backward."""
    # Forward reads x and writes y; backward reads x and dy and writes dx.
    work = 5 * 4 * math.prod(shape) / 1e9
    keras = Column(
        "benchmarks.keras_columns:normalization", {"shape": shape}, work=work
    )
    torch = replace(
        keras, make="benchmarks.torch_columns:normalization", needs="torch"
    )
    return Row(
        f"normalization-{name}",
        f"Normalization of {shape}, forward and backward",
        {
            OURS: with_arguments(keras, whose="ours"),
            "tf.nn.local_response_normalization": with_arguments(
                keras, whose="plain"
            ),
            "PyTorch": torch,
            "PyTorch, channels last": with_arguments(torch, channels_last=True),
            "torch.compile": with_arguments(torch, compiled=True),
        },
        "tf.nn.local_response_normalization",
        "copying",
        small=True,
    )


def update_row():
    """The optimizer alone."""
    # It reads weights, velocities and gradients and writes the first two.
    parameters = sum(layer.parameters for layer in trace("alexnet"))
    work = 5 * 4 * parameters / 1e9
    keras = Column("benchmarks.keras_columns:update", work=work)
    torch = replace(
        keras, make="benchmarks.torch_columns:update", needs="torch"
    )
    return Row(
        "update",
        f"The optimizer's update of {parameters:,} parameters",
        {
            OURS: with_arguments(keras, whose="ours"),
            PLAIN: with_arguments(keras, whose="plain"),
            "PyTorch": with_arguments(torch, fused=False),
            "PyTorch, fused": with_arguments(torch, fused=True),
        },
        PLAIN,
        "copying",
    )


def feeding_row(photos, scratch):
    """Batches as a network takes them."""
    given = {"photos": photos, "scratch": scratch}
    make = "benchmarks.feeding_columns"
    columns = {}
    for name, options in {
        f"{OURS}, from shards": {"shards": True},
        f"{OURS}, from shards, uint8": {"shards": True, "pixels": True},
        f"{OURS}, from photos": {},
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
    make = "benchmarks.training_columns:training"
    given = {"batch": batch, "photos": photos, "scratch": scratch}
    return Row(
        "training",
        f"A step of {batch} of `alexnet`, fed as `ka.train` feeds it",
        {
            name: Column(make, {**given, "feed": feed}, amount=batch)
            for name, feed in {
                "the step alone": "memory",
                "from shards": "shards",
                "from photos": "photos",
            }.items()
        },
        "the step alone",
        of_photos=True,
    )


def start_row():
    """What one waits for before anything is computed."""
    make = "benchmarks.training_columns:words"
    first = (
        "import numpy as np; import keras_alexnet as ka; m = ka.AlexNet(); "
        "m.compile(ka.PaperSGD(.01), 'sparse_categorical_crossentropy'); "
        "m.train_on_batch(np.zeros((1, 227, 227, 3)), np.zeros(1))"
    )
    return Row(
        "start",
        "Starting",
        {
            name: Column(make, {"command": command}, alone=False)
            for name, command in {
                "import keras_alexnet": ["-c", "import keras_alexnet"],
                "keras-alexnet --help": ["-m", "keras_alexnet", "--help"],
                "python alone": ["-c", ""],
                "import keras": ["-c", "import keras"],
                "the first step of alexnet": ["-c", first],
            }.items()
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


def growth_row(name, what, values):
    """Our step of `alexnet`, as one thing grows."""
    columns = {}
    for value in values:
        given = {"variant": "alexnet", "batch": 32, "pixels": 227}
        given = {**given, "classes": 1000, what: value}
        batch = given["batch"]
        work = gflop("step", "alexnet", given["pixels"], given["classes"])
        columns[f"{value:,}"] = Column(
            "benchmarks.keras_columns:step",
            given,
            amount=batch,
            work=batch * work,
        )
    title = f"How cost grows: {name}"
    return Row(f"growth-{name}", title, columns, limit="float32")


def replicas_row(photos, scratch):
    """Two virtual devices, or two processes as machines: the same cores."""
    make = "benchmarks.training_columns"
    given = {"feed": "shards", "photos": photos, "scratch": scratch}
    columns = {}
    for name, function, more in (
        ("one device", "training", {}),
        ("two devices", "training", {"replicas": 2}),
        ("two machines", "on_machines", {"count": 2}),
    ):
        columns[name] = Column(
            f"{make}:{function}",
            {**given, "batch": 64, **more},
            amount=64,
            alone=function == "training",
        )
    title = "How cost grows: replicas, batch 64 in all, the same two cores"
    return Row("growth-replicas", title, columns, "one device", of_photos=True)


def all_rows(photos, scratch):
    """All rows."""
    rows = [machine_row()]
    for kind in ("step", "inference"):
        for variant in PIXELS:
            for precision in ("float32", "bfloat16"):
                rows += [
                    network_row(kind, variant, batch, precision)
                    for batch in (1, 32, 128)
                ]
    rows += [normalization_row(*item) for item in NORMALIZED.items()]
    rows.append(update_row())
    rows += [feeding_row(photos, scratch), training_row(photos, scratch)]
    rows.append(replicas_row(photos, scratch))
    rows += [start_row(), checkpoint_row("save"), checkpoint_row("restore")]
    rows += [export_row(1), export_row(32)]
    rows += [
        growth_row("batch", "batch", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        growth_row("side", "pixels", (67, 99, 131, 163, 195, 227, 291)),
        growth_row("classes", "classes", (5, 100, 1000, 10000, 21841)),
    ]
    return {row.name: row for row in rows}
