"""What is measured, as data: all rows, and the columns of those of networks
and their parts."""

import math
import os
from dataclasses import replace

from benchmarks.feeding_columns import CLASSES
from benchmarks.harness import HELD_TO
from benchmarks.harness import Column
from benchmarks.harness import Row
from benchmarks.whole_rows import OURS
from benchmarks.whole_rows import PLAIN
from benchmarks.whole_rows import checkpoint_row
from benchmarks.whole_rows import export_row
from benchmarks.whole_rows import feeding_row
from benchmarks.whole_rows import start_row
from benchmarks.whole_rows import training_row
from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.arithmetic import training_operations
from keras_alexnet.environment import ONEDNN
from keras_alexnet.environment import leaves_out_onednn

PIXELS = {"alexnet": 227, "single_tower": 227, "torchvision": 224}
JAX = f"{OURS} on JAX"
NATIVE = "tf.nn.local_response_normalization"
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
# Function, its argument, images in all, how many share them. All columns are
# alive at once: more machines would not fit into 24 GiB.
REPLICAS = {
    "replicas": ("training", "replicas", 64, (1, 2, 4)),
    "workers": ("on_machines", "count", 60, (1, 2, 3)),
}


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
    ours = with_arguments(keras, whose="ours")
    return Row(
        f"normalization-{name}",
        f"Normalization of {shape}, forward and backward",
        {
            OURS: ours,
            NATIVE: with_arguments(keras, whose="plain"),
            "PyTorch": torch,
            "PyTorch, channels last": with_arguments(torch, channels_last=True),
            "torch.compile": with_arguments(torch, compiled=True),
            JAX: replace(ours, needs="jax", environment=ON_JAX),
        },
        NATIVE,
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
    ours = with_arguments(keras, whose="ours")
    return Row(
        "update",
        f"The optimizer's update of {parameters:,} parameters",
        {
            OURS: ours,
            PLAIN: with_arguments(keras, whose="plain"),
            JAX: replace(ours, needs="jax", environment=ON_JAX),
            "PyTorch": with_arguments(torch, fused=False),
            "PyTorch, fused": with_arguments(torch, fused=True),
        },
        PLAIN,
        "copying",
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


def replicas_row(name, photos, scratch):
    """Virtual devices, or processes as machines, on the same cores."""
    function, argument, batch, counts = REPLICAS[name]
    given = {"photos": photos, "scratch": scratch, "batch": batch}
    columns = {
        f"{count}": Column(
            f"benchmarks.training_columns:{function}",
            {**given, "feed": "shards", argument: count},
            amount=batch,
            work=batch * gflop("step", "alexnet", 227, len(CLASSES)),
            alone=function == "training" or count == 1,
        )
        for count in counts
    }
    title = f"How cost grows: {name}, batch {batch} in all, the same cores"
    return Row(f"growth-{name}", title, columns, "1", "float32", of_photos=True)


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
    rows += [replicas_row(name, photos, scratch) for name in REPLICAS]
    rows += [start_row(), checkpoint_row("save"), checkpoint_row("restore")]
    rows += [export_row(1), export_row(32)]
    rows += [
        growth_row("batch", "batch", (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        growth_row("side", "pixels", (67, 99, 131, 163, 195, 227, 291)),
        growth_row("classes", "classes", (5, 100, 1000, 10000, 21841)),
    ]
    return {row.name: with_onednn(row) for row in rows}


def with_onednn(row):
    """The row where TensorFlow by itself leaves oneDNN out.

    This package turns it on. Others get a column as TensorFlow comes, and one
    with oneDNN.
    """
    if not (os.environ.get(HELD_TO) or leaves_out_onednn()):
        return row
    columns = {}
    for name, column in row.columns.items():
        given = column.environment
        turned_on = replace(column, environment={**given, ONEDNN: "1"})
        if not name.startswith((PLAIN, NATIVE)):
            columns[name] = turned_on
            continue
        as_it_comes = {**given, ONEDNN: "0"}
        columns[name] = replace(column, environment=as_it_comes)
        columns[f"{name}, with oneDNN"] = turned_on
    return replace(row, columns=columns)
