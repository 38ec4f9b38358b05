"""What is measured, as data: each row with its columns."""

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
NORMALIZED = {"conv1": (32, 55, 55, 96), "conv2": (32, 27, 27, 256)}
SIZE = 4096  # of the matrices


def gflop(variant, training):
    """Of an image."""
    if training:
        return training_operations(variant) / 1e9
    return 2e-9 * sum(layer.multiply_adds for layer in trace(variant))


def network_rows(kind, variant, batch, precision):
    """A training step, or inference."""
    given = {
        "variant": variant,
        "batch": batch,
        "pixels": PIXELS[variant],
        "precision": precision,
    }
    keras = f"benchmarks.keras_columns:{kind}"
    columns = {
        OURS: Column(keras, given, amount=batch),
        PLAIN: Column(keras, {**given, "whose": "plain"}, amount=batch),
        JAX: Column(keras, given, "jax", ON_JAX, batch),
    }
    for name, options in TORCH.items():
        if kind == "inference":
            if "fused" in options and "compiled" not in options:
                continue
            name = name.removesuffix(", fused SGD")
            options = {k: v for k, v in options.items() if k != "fused"}
        columns[name] = Column(
            f"benchmarks.torch_columns:{kind}",
            {**given, **options},
            "torch",
            amount=batch,
        )
    title = {"step": "Training step", "inference": "Inference"}[kind]
    return Row(
        f"{kind}-{variant}-{batch}-{precision}",
        f"{title} of `{variant}`, batch {batch}, {precision}",
        columns,
        PLAIN,
        gflop(variant, kind == "step"),
    )


def machine_row():
    """What the others are held against."""
    make = "benchmarks.machine_columns"
    amount = 2 * SIZE**3 / 1e9
    return Row(
        "machine",
        f"Products of {SIZE}x{SIZE} matrices of float32, GFLOP; copying, GB",
        {
            "NumPy": Column(
                f"{make}:matrices",
                {"size": SIZE, "by": "numpy"},
                amount=amount,
            ),
            "TensorFlow": Column(
                f"{make}:matrices",
                {"size": SIZE, "by": "tensorflow"},
                amount=amount,
            ),
            "PyTorch": Column(
                "benchmarks.torch_columns:matrices",
                {"size": SIZE},
                "torch",
                amount=amount,
            ),
            "copying": Column(
                f"{make}:copy", {"megabytes": 512}, amount=2**29 / 1e9
            ),
        },
    )


def normalization_row(name, shape):
    """The layer alone, forward and backward."""
    keras = "benchmarks.keras_columns:normalization"
    torch = "benchmarks.torch_columns:normalization"
    given = {"shape": shape}
    return Row(
        f"normalization-{name}",
        f"Normalization of {shape}, forward and backward",
        {
            OURS: Column(keras, {**given, "whose": "ours"}),
            "tf.nn.local_response_normalization": Column(
                keras, {**given, "whose": "plain"}
            ),
            "PyTorch": Column(torch, given, "torch"),
            "PyTorch, channels last": Column(
                torch, {**given, "channels_last": True}, "torch"
            ),
            "torch.compile": Column(
                torch, {**given, "compiled": True}, "torch"
            ),
        },
        "tf.nn.local_response_normalization",
        small=True,
    )


def update_row():
    """The optimizer alone."""
    keras = "benchmarks.keras_columns:update"
    torch = "benchmarks.torch_columns:update"
    return Row(
        "update",
        "The optimizer's update of 60,965,224 parameters",
        {
            OURS: Column(keras, {"whose": "ours"}),
            PLAIN: Column(keras, {"whose": "plain"}),
            "PyTorch": Column(torch, {"fused": False}, "torch"),
            "PyTorch, fused": Column(torch, {"fused": True}, "torch"),
        },
        PLAIN,
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
            f"{make}:pytorch", {**given, "workers": workers}, "torch"
        )
    title = "Feeding: an image of a batch of 128 crops of 227x227, float32"
    return Row("feeding", title, columns, PLAIN, small=True)


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
            name: Column(make, {"command": command})
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
        given = {"variant": "alexnet", "batch": 32, "pixels": 227, what: value}
        columns[f"{value:,}"] = Column(
            "benchmarks.keras_columns:step", given, amount=given["batch"]
        )
    return Row(f"growth-{name}", f"How cost grows: {name}", columns)


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
            f"{make}:{function}", {**given, "batch": 64, **more}, amount=64
        )
    title = "How cost grows: replicas, batch 64 in all, the same two cores"
    return Row("growth-replicas", title, columns, "one device")


def all_rows(photos, scratch):
    """All rows; those that need photos only if there are any."""
    rows = [machine_row()]
    for kind in ("step", "inference"):
        for variant in PIXELS:
            for precision in ("float32", "bfloat16"):
                rows += [
                    network_rows(kind, variant, batch, precision)
                    for batch in (1, 32, 128)
                ]
    rows += [normalization_row(*item) for item in NORMALIZED.items()]
    rows.append(update_row())
    if photos:
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
