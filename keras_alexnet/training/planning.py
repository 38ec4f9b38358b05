"""`Plan(gpus, images_per_second_per_gpu)`: what larger machines need."""

from dataclasses import dataclass

from keras_alexnet.architectures.arithmetic import trace
from keras_alexnet.architectures.arithmetic import training_operations
from keras_alexnet.visualization.table import Table

# ILSVRC-2012's training images, and about as many epochs as the paper's
# ("roughly 90 cycles", Section 5) and Caffe's and torchvision's recipes.
IMAGES, EPOCHS = 1_281_167, 90
# Section 5.
PAPER_BATCH, PAPER_RATE, DECAY = 128, 0.01, 0.0005
# Images per second of one core of an AMD EPYC (Zen 4), half of what two gave
# (benchmarks/results/benchmarks-avx512-bfloat16.md, "Feeding"): photos of
# ImageNet, 109 KB each, and prepared shards that leave the arithmetic on pixels
# to the device.
PHOTOS_PER_CORE, SHARDS_PER_CORE = 542.2 / 2, 8_392 / 2
# The most memory of a process that trains `alexnet` in float32 on a processor,
# a line a little above what was measured, and the largest batch of that, which
# took 5.4 GB (benchmarks/README.md, "How cost grows").
PEAK_BYTES, PEAK_BYTES_PER_IMAGE, LARGEST_MEASURED = 2.3e9, 6.2e6, 512
# What prepare-data keeps of a photo: 256x256 RGB values of one byte, and
# what goes to the device: the crop.
SHARD_BYTES, CROP_BYTES = 256 * 256 * 3, 227 * 227 * 3
# "One weird trick" (arXiv 1404.5997, Section 5) trains with batches of up to
# 1,024 at rates that grow with the batch; You, Gitman and Ginsburg 2017
# (arXiv 1708.03888) to 8,192 with LARS.
LINEAR_BATCH, LARS_BATCH = 1024, 8192
# Their trust coefficient: a layer's rate is the common one times
# trust |w| / (|g| + decay |w|).
LARS_TRUST = 0.001
# What is no machine's number any more.
LEAST, MOST = 1e-3, 1e9


@dataclass(frozen=True, repr=False)
class Plan(Table):
    """What training the paper's network on ImageNet asks of larger machines.

    Arithmetic from rates that were measured elsewhere, nothing is run: the
    GPU's by whoever asks, the feeding on two CPU cores (see
    `benchmarks/README.md`), the rest as given. Every GPU has a whole model
    (`tf.distribute`), the gradients are summed in a ring after the backward
    pass and nothing hides that.

    Args:
        gpus: Integer, of all machines together.
        images_per_second_per_gpu: What one trains alone, images/s.
        machines: Integer, among which the GPUs are divided evenly.
        batch_per_gpu: Integer, images that a GPU takes in a step.
        cores: CPU cores of each machine.
        disk_gigabytes: What each machine reads, GB/s.
        link_gigabytes: What a GPU sends to another of its machine, GB/s.
        network_gigabits: What a machine sends to another, Gbit/s.

    Raises:
        ValueError: if a number is not positive or absurd, or the GPUs cannot
            be divided evenly.

    Reference:
        - [Krizhevsky, 2014](https://arxiv.org/abs/1404.5997)
        - [You et al., 2017](https://arxiv.org/abs/1708.03888)

    Example:

    >>> Plan(gpus=8, images_per_second_per_gpu=2000).batch
    1024
    """

    gpus: int
    images_per_second_per_gpu: float
    machines: int = 1
    batch_per_gpu: int = 128
    cores: int = 32
    disk_gigabytes: float = 2.0
    link_gigabytes: float = 25.0
    network_gigabits: float = 25.0

    _header = ("", "", "from")
    _right = (1,)

    def __post_init__(self):
        for name, value in vars(self).items():
            if not LEAST <= value <= MOST:
                raise ValueError(
                    f"`{name}` must be a number from {LEAST:g} to {MOST:g}. "
                    f"Received: {value}"
                )
        if self.gpus % self.machines:
            raise ValueError(
                f"{self.gpus} GPUs cannot be divided evenly among "
                f"{self.machines} machines."
            )

    @property
    def batch(self):
        """Images of a step, all GPUs together."""
        return self.gpus * self.batch_per_gpu

    @property
    def parameters(self):
        """Of the paper's network."""
        return sum(layer.parameters for layer in trace("alexnet"))

    @property
    def gflop_per_image(self):
        """Of a training step."""
        return training_operations("alexnet") / 1e9

    @property
    def exchange_bytes(self):
        """What a ring sends for a step, in float32: `(within, between)`
        machines; each GPU, each machine."""
        inside = self.gpus // self.machines
        return tuple(
            2 * (n - 1) / n * 4 * self.parameters
            for n in (inside, self.machines)
        )

    @property
    def process_bytes(self):
        """The most memory of a process that computes a GPU's batch on a
        processor."""
        return PEAK_BYTES + PEAK_BYTES_PER_IMAGE * self.batch_per_gpu

    @property
    def seconds(self):
        """Of a step: `(computing, exchanging)`."""
        within, between = self.exchange_bytes
        return (
            self.batch_per_gpu / self.images_per_second_per_gpu,
            within / (1e9 * self.link_gigabytes)
            + between / (1e9 / 8 * self.network_gigabits),
        )

    @property
    def limits(self):
        """Images/s that each part allows by itself, when fed from shards."""
        computing, exchanging = self.seconds
        disk = 1e9 * self.disk_gigabytes / SHARD_BYTES
        return {
            "GPUs": self.batch / computing,
            "GPUs and exchange": self.batch / (computing + exchanging),
            "cores": self.machines * self.cores * SHARDS_PER_CORE,
            "disk": self.machines * disk,
        }

    @property
    def images_per_second(self):
        """What comes out: the least of the limits."""
        return min(self.limits.values())

    @property
    def first_limit(self):
        """What comes first when the GPUs get faster: its name, and at how
        many times their rate; below 1, it has come already.

        Cores and disk come when a step, of which the exchange gets no
        shorter, takes as long as they do for its images; the exchange when
        it takes as long as the computing.
        """
        computing, exchanging = self.seconds
        # Below so many seconds of computing, each of them counts.
        least = {
            name: self.batch / self.limits[name] - exchanging
            for name in ("cores", "disk")
        }
        least["exchange"] = exchanging
        name = max(least, key=least.get)
        return name, computing / least[name]

    @property
    def rate(self):
        """The learning rate that the batch asks for by the linear rule."""
        return PAPER_RATE * self.batch / PAPER_BATCH

    @property
    def lars_most_change(self):
        """By how much of the norm of its weights LARS moves a layer in a
        step at most, before momentum."""
        return LARS_TRUST * self.rate

    def to_dict(self):
        """The plan as plain values."""
        within, between = self.exchange_bytes
        computing, exchanging = self.seconds
        name, room = self.first_limit
        return {
            **vars(self),
            "batch": self.batch,
            "learning_rate": self.rate,
            "lars_most_change": self.lars_most_change,
            "gflop_per_image": self.gflop_per_image,
            "process_bytes": self.process_bytes,
            "computing_seconds": computing,
            "exchanging_seconds": exchanging,
            "exchanging_seconds_bfloat16": exchanging / 2,
            "exchange_bytes_per_gpu": within,
            "exchange_bytes_per_machine": between,
            "limits_images_per_second": self.limits,
            "images_per_second": self.images_per_second,
            "hours": self._hours,
            "first_limit": name,
            "first_limit_room": room,
        }

    @property
    def _hours(self):
        return EPOCHS * IMAGES / self.images_per_second / 3600

    def _heading(self):
        name, room = self.first_limit
        text = f"{name}, at {room:.1f} times the GPUs' rate"
        if room < 1:
            text = f"{name}, at {room:.0%} of the GPUs' rate already"
        return (
            f"{self.images_per_second:,.0f} images/s, {self._hours:,.1f} "
            f"hours for {EPOCHS} epochs of ImageNet; the first limit is {text}"
        )

    def _cells(self):
        return [*self._computing(), *self._exchanging(), *self._feeding()]

    def _computing(self):
        teraflops = self.gflop_per_image * self.images_per_second_per_gpu / 1e3
        return [
            ("batch", f"{self.batch:,}", "images of all GPUs together"),
            ("learning rate", f"{self.rate:g}", self._rule()),
            *self._lars(),
            (
                "a GPU computes",
                f"{teraflops:.1f} TFLOP/s",
                f"{self.gflop_per_image:.2f} GFLOP an image",
            ),
            (
                "of its memory",
                f"{12 * self.parameters / 1e9:.2f} GB",
                "weights, velocities and gradients, before any image",
            ),
            (
                "step",
                f"{1e3 * self.seconds[0]:.1f} ms",
                f"{self.batch_per_gpu} images a GPU",
            ),
            (
                "memory without a GPU",
                f"{self.process_bytes / 1e9:.1f} GB",
                f"of a process, at {self.batch_per_gpu} images; 8 GB do for "
                f"{LARGEST_MEASURED}",
            ),
        ]

    def _lars(self):
        if self.batch <= LINEAR_BATCH:
            return []
        factor = f"{LARS_TRUST:g} norm(w) / (norm(g) + {DECAY:g} norm(w))"
        return [
            (
                "a layer's step by LARS",
                f"{self.lars_most_change:.3%}",
                "of its norm at most, before momentum; it learns at "
                f"{self.rate:g} x {factor}",
            )
        ]

    def _rule(self):
        rule = f"{PAPER_RATE} x batch / {PAPER_BATCH}, the linear rule"
        if self.batch <= LINEAR_BATCH:
            return rule
        if self.batch <= LARS_BATCH:
            return f"{rule}; above {LINEAR_BATCH:,} LARS, which is not here"
        return f"{rule}; above {LARS_BATCH:,} beyond You et al. 2017"

    def _exchanging(self):
        within, between = self.exchange_bytes
        computing, exchanging = self.seconds
        if not exchanging:
            return []
        rows = [
            (
                "exchange of gradients",
                f"{1e3 * exchanging:.1f} ms",
                f"{exchanging / (computing + exchanging):.0%} of the time; "
                f"{500 * exchanging:.1f} ms in bfloat16, which is not here",
            )
        ]
        for what, size, speed in (
            ("a GPU sends", within, self.link_gigabytes),
            ("a machine sends", between, self.network_gigabits / 8),
        ):
            if size:
                text = f"a step, in float32, at {speed:g} GB/s"
                rows.append((what, f"{size / 1e6:,.0f} MB", text))
        if between:
            # A tenth of all is a ninth of the rest.
            rest = computing + within / (1e9 * self.link_gigabytes)
            needed = 8 * between / (rest / 9) / 1e9
            text = "the exchange between machines as a tenth of the step"
            rows.append(("network for a tenth", f"{needed:,.0f} Gbit/s", text))
        return rows

    def _feeding(self):
        limits, machines = self.limits, self.machines
        wanted = limits["GPUs"] / machines
        return [
            (
                "a machine's images",
                f"{wanted:,.0f} /s",
                f"{wanted * CROP_BYTES / 1e9:.2f} GB/s to its devices",
            ),
            (
                "cores, from shards",
                f"{wanted / SHARDS_PER_CORE:,.1f}",
                f"{SHARDS_PER_CORE:,.0f} images/s each; {self.cores} are there",
            ),
            (
                "cores, from photos",
                f"{wanted / PHOTOS_PER_CORE:,.1f}",
                f"{PHOTOS_PER_CORE:,.0f} images/s each",
            ),
            (
                "reading shards",
                f"{wanted * SHARD_BYTES / 1e9:.2f} GB/s",
                f"{IMAGES * SHARD_BYTES / 1e9:,.0f} GB in all; "
                f"{self.disk_gigabytes:g} GB/s are there, or enough memory",
            ),
        ]
