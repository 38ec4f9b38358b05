"""On which devices and machines a model is trained; nothing else names them."""

import contextlib
import functools
import json
import os

import keras

DISTRIBUTE = ("auto", "none", "mirrored", "multiworker")


def training_strategy(distribute="auto", devices=None):
    """The strategy for this machine's devices, or for several machines.

    Args:
        distribute: `"none"` (one device), `"mirrored"` (this machine's GPUs),
            `"multiworker"` (several machines, named in the environment
            variable TF_CONFIG or by Slurm), `"auto"` (the third with
            TF_CONFIG, else the second with several devices, else the first),
            or a `tf.distribute.Strategy`. On JAX the first two, and on
            PyTorch the first.
        devices: How many devices of this machine to use. `None` takes all
            GPUs, or the CPU where there is none. Without enough GPUs, virtual
            CPU devices stand in: they compute the same, not faster.

    Returns:
        A `tf.distribute.Strategy`; on JAX and PyTorch `Devices`.

    Raises:
        ValueError: if there are not as many devices, and the backend has
            already started, so that no virtual ones can be made; if it cannot
            use several; or if the machines are not named.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and hasattr(distribute, "num_replicas_in_sync"):
        return distribute  # a strategy
    if distribute not in DISTRIBUTE:
        raise ValueError(
            f"`distribute` must be one of {', '.join(DISTRIBUTE)}, or a "
            f"strategy. Received: {distribute!r}"
        )
    if devices is not None and devices < 1:
        raise ValueError(f"`devices` must be at least 1. Received: {devices}")
    if distribute == "none" and devices not in (None, 1):
        raise ValueError(
            "`distribute='none'` uses one device; leave it at 'auto' to use "
            f"{devices}."
        )
    if distribute == "auto" and "TF_CONFIG" in os.environ:
        distribute = "multiworker"
    if backend != "tensorflow" and distribute == "multiworker":
        raise ValueError(
            "Several machines need Keras' TensorFlow backend, whose "
            f"`tf.distribute` adds them up; {backend} trains on one machine "
            "here: unset KERAS_BACKEND, or leave out `distribute` and unset "
            "TF_CONFIG."
        )
    if backend == "jax":
        return _of_jax(distribute, devices)
    if backend == "torch":
        return _of_torch(distribute, devices)
    if distribute == "multiworker":
        return _several_machines(devices)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if devices is None:
        devices = max(len(gpus), 1)
    if distribute == "none" or (distribute == "auto" and devices == 1):
        return tf.distribute.get_strategy()
    if devices <= len(gpus):
        return _mirrored("GPU", devices)
    _make_virtual_cpus(devices)
    return _mirrored("CPU", devices)


class Devices:
    """What is asked of a strategy, where Keras distributes the batches.

    Args:
        distribution: A `keras.distribution.DataParallel`, or `None` for one
            device.
    """

    cluster_resolver = None

    def __init__(self, distribution=None):
        self._distribution = distribution
        self.num_replicas_in_sync = (
            distribution.num_model_replicas if distribution else 1
        )

    def scope(self):
        """Where variables and functions are made for these devices."""
        if self._distribution is None:
            return contextlib.nullcontext()
        return self._distribution.scope()


def _of_torch(distribute, devices):
    if distribute not in ("auto", "none") or devices not in (None, 1):
        raise ValueError(
            "Several devices need Keras' backend tensorflow or jax; on torch "
            "one is trained on: leave out `distribute` and `devices`, or "
            "change KERAS_BACKEND."
        )
    return Devices()


def _of_jax(distribute, devices):
    """The accelerators of this machine; CPU devices stand in for them."""
    import jax

    if devices is not None and devices > 1:
        with contextlib.suppress(RuntimeError):  # JAX has started already
            jax.config.update("jax_num_cpu_devices", devices)
    found = jax.local_devices()
    if devices is None:
        devices = len(found) if found[0].platform != "cpu" else 1
    if distribute == "none" or devices == 1:
        return Devices()
    if devices > len(found) and found[0].platform != "cpu":
        found = jax.local_devices(backend="cpu")
    if devices > len(found):
        raise ValueError(
            f"{devices} devices were asked for, but JAX has already started "
            f"with {len(found)}; ask for them before anything else is computed."
        )
    names = [f"{device.platform}:{device.id}" for device in found[:devices]]
    return Devices(keras.distribution.DataParallel(devices=names))


@functools.cache
def _mirrored(kind, count):
    """The one strategy of this process for so many devices.

    TensorFlow mixes up the collective operations of two in the same process
    (tensorflow/tensorflow#62790), as of both stages of a fine-tuning.
    """
    import tensorflow as tf

    # On CPUs a plain sum, which has nothing to mix up with other strategies.
    plain = tf.distribute.ReductionToOneDevice() if kind == "CPU" else None
    return tf.distribute.MirroredStrategy(
        [f"{kind}:{number}" for number in range(count)], cross_device_ops=plain
    )


def _make_virtual_cpus(count):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    virtual = [tf.config.LogicalDeviceConfiguration()] * count
    existing = tf.config.get_logical_device_configuration(cpu) or []
    if len(existing) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(cpu, virtual)
    except RuntimeError as error:
        raise ValueError(
            f"{count} devices were asked for, but TensorFlow has already "
            f"started with {max(len(existing), 1)}; ask for them before "
            "anything else is computed."
        ) from error


def _several_machines(devices):
    """TensorFlow's strategy for several machines (workers)."""
    import tensorflow as tf

    resolver = None
    if "TF_CONFIG" in os.environ:
        _check_tf_config(os.environ["TF_CONFIG"])
    elif "SLURM_STEP_NODELIST" in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    else:
        raise ValueError(
            "`distribute='multiworker'` needs the machines' addresses in the "
            "environment variable TF_CONFIG, or to be started by Slurm's srun."
        )
    gpus = tf.config.list_physical_devices("GPU")
    if devices is not None and devices != max(len(gpus), 1):
        if devices > len(gpus):
            raise ValueError(
                f"{devices} devices of each machine were asked for, but this "
                f"one has {len(gpus)} GPUs; with `distribute='multiworker'` "
                "there are no virtual ones."
            )
        tf.config.set_visible_devices(gpus[:devices], "GPU")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except RuntimeError as error:
        raise ValueError(
            "The strategy for several machines must be made before TensorFlow "
            f"computes anything: {error}"
        ) from error


def _check_tf_config(text):
    example = (
        '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    try:
        config = json.loads(text)
        cluster = {
            kind: list(names) for kind, names in config["cluster"].items()
        }
        kind, index = config["task"]["type"], int(config["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"TF_CONFIG cannot be understood; expected {example}"
        ) from error
    if not {"chief", "worker"}.issuperset(cluster) or kind not in cluster:
        raise ValueError(
            "In TF_CONFIG every machine must be of type 'worker', or one "
            f"'chief'; expected {example}"
        )
    if not 0 <= index < len(cluster[kind]):
        raise ValueError(
            f"TF_CONFIG gives this {kind} the index {index}, but names "
            f"{len(cluster[kind])}; the first has the index 0."
        )


def is_chief(strategy):
    """Whether this machine alone writes files: the chief, or worker 0."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    machines = resolver.cluster_spec().as_dict()
    first = "chief" if "chief" in machines else "worker"
    return resolver.task_type == first and resolver.task_id == 0


def distributed(strategy, batches):
    """Batches for `fit` under a strategy.

    Args:
        strategy: As of `training_strategy`.
        batches: Function that takes `replicas` and `local`, as
            `pipeline.training_batches` does, and returns a data set.
    """
    if isinstance(strategy, Devices) or strategy.num_replicas_in_sync == 1:
        return batches(replicas=strategy.num_replicas_in_sync, local=None)

    def for_this_machine(context):
        count = strategy.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * count
        return batches(
            replicas=strategy.num_replicas_in_sync,
            local=range(first, first + count),
        )

    return strategy.distribute_datasets_from_function(for_this_machine)


def check_agreement(strategy, step, images):
    """Refuses to start where the machines do not begin with the same.

    Args:
        strategy: A `tf.distribute.Strategy`.
        step: Integer, the steps that were done before.
        images: Integer, the fingerprint of this machine's images.

    Raises:
        ValueError: if they have not read the same checkpoint, or the same
            images.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    values = strategy.run(lambda: tf.constant([step, images], tf.int64))
    totals = strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
    replicas = strategy.num_replicas_in_sync
    if int(totals[0]) != replicas * step:
        raise ValueError(
            f"This machine would go on after step {step}, others elsewhere; "
            "all must be given the same run folder, on a disk that they share."
        )
    if int(totals[1]) != replicas * images:
        raise ValueError(
            "The machines do not see the same images under the same classes; "
            "all must be given the same data."
        )
