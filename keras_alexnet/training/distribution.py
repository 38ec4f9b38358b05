"""On which devices and machines a model is trained; nothing else names them."""

import collections
import contextlib
import functools
import json
import os

import keras
import numpy as np

DISTRIBUTE = ("auto", "none", "mirrored", "multiworker")
# Seconds after which JAX ends all machines: without a sign of life of one (100
# by itself), and where one has ended and the others have not (300).
LOST_AFTER = 60
NOT_NAMED = (
    "`distribute='multiworker'` needs the machines' addresses in the "
    "environment variable TF_CONFIG, or to be started by Slurm's srun."
)


def training_strategy(distribute="auto", devices=None):
    """The strategy for this machine's devices, or for several machines.

    Args:
        distribute: `"none"` (one device), `"mirrored"` (this machine's GPUs),
            `"multiworker"` (several machines, named in the environment
            variable TF_CONFIG or by Slurm), `"auto"` (the third with
            TF_CONFIG, else the second with several devices, else the first),
            or a `tf.distribute.Strategy`. On JAX the first three, and on
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
    if backend == "torch":
        return _of_torch(distribute, devices)
    if backend == "jax":
        if distribute == "multiworker":
            return _machines_of_jax(devices)
        return _of_jax(distribute, devices)
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
        machines: How many machines the devices are of.
        machine: The number of this one; 0 is the chief.
    """

    def __init__(self, distribution=None, machines=1, machine=0):
        self._distribution = distribution
        self.machines, self.machine = machines, machine
        self.num_replicas_in_sync = (
            distribution.num_model_replicas if distribution else 1
        )

    def scope(self):
        """Where variables and functions are made for these devices."""
        if self._distribution is None:
            return contextlib.nullcontext()
        return self._distribution.scope()


def _of_torch(distribute, devices):
    if distribute == "multiworker":
        raise ValueError(
            "Several machines need Keras' backend tensorflow or jax; torch "
            "trains on one machine here: change KERAS_BACKEND, or leave out "
            "`distribute` and unset TF_CONFIG."
        )
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


def _machines_of_jax(devices):
    """All devices of several machines, which wait for each other here."""
    import jax

    if not jax.distributed.is_initialized():
        _join_machines_of_jax(devices)
    counts = collections.Counter(d.process_index for d in jax.devices())
    found = len(jax.local_devices())
    if devices not in (None, found):
        raise ValueError(
            f"{devices} devices of each machine were asked for, but this one "
            f"has {found}; leave out `devices` to use them."
        )
    if len({*counts.values()}) > 1:
        raise ValueError(
            "All machines must train on as many devices; this one has "
            f"{found} of {len(jax.devices())} on {len(counts)} machines."
        )
    # Each machine is given its own share of a batch (`distributed`).
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    return Devices(distribution, jax.process_count(), jax.process_index())


def _join_machines_of_jax(devices):
    """Have JAX know of the other machines, before it computes anything."""
    import jax

    machines = {}  # Slurm's variables JAX reads itself
    if "TF_CONFIG" in os.environ:
        addresses, place = _read_tf_config(os.environ["TF_CONFIG"])
        machines = {
            "coordinator_address": addresses[0],
            "num_processes": len(addresses),
            "process_id": place,
        }
    elif "SLURM_STEP_NODELIST" not in os.environ:
        raise ValueError(NOT_NAMED)
    if devices is not None:
        machines["local_device_ids"] = range(devices)
    # It would keep SIGTERM for itself.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        if devices is not None:
            jax.config.update("jax_num_cpu_devices", devices)
        jax.distributed.initialize(
            **machines,
            heartbeat_timeout_seconds=LOST_AFTER,
            shutdown_timeout_seconds=LOST_AFTER,
        )
    except RuntimeError as error:
        raise ValueError(
            "The machines cannot be joined, which must be done before JAX "
            f"computes anything: {error}"
        ) from error


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
        _read_tf_config(os.environ["TF_CONFIG"])
    elif "SLURM_STEP_NODELIST" in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    else:
        raise ValueError(NOT_NAMED)
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


def _read_tf_config(text):
    """The addresses of all machines, the chief's first, and whose is here."""
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
    chiefs, workers = (cluster.get(k, []) for k in ("chief", "worker"))
    place = index if kind == "chief" else len(chiefs) + index
    return chiefs + workers, place


def is_chief(strategy):
    """Whether this machine alone writes files: the chief, or worker 0."""
    if isinstance(strategy, Devices):
        return strategy.machine == 0
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
    replicas = strategy.num_replicas_in_sync

    def of_machine(machine, machines):
        count = replicas // machines
        local = range(machine * count, (machine + 1) * count)
        return batches(replicas=replicas, local=local)

    if isinstance(strategy, Devices) and strategy.machines > 1:
        shares = of_machine(strategy.machine, strategy.machines)
        return shares.joined(replicas // strategy.machines)
    if isinstance(strategy, Devices) or replicas == 1:
        return batches(replicas=replicas, local=None)
    return strategy.distribute_datasets_from_function(
        lambda context: of_machine(
            context.input_pipeline_id, context.num_input_pipelines
        )
    )


def check_agreement(strategy, step, images):
    """Refuses to start where the machines do not begin with the same.

    Args:
        strategy: As of `training_strategy`.
        step: Integer, the steps that were done before.
        images: Integer, the fingerprint of this machine's images.

    Raises:
        ValueError: if they have not read the same checkpoint, or the same
            images.
    """
    same_step, same_images = _are_same(strategy, [step, images])
    if not same_step:
        raise ValueError(
            f"This machine would go on after step {step}, others elsewhere; "
            "all must be given the same run folder, on a disk that they share."
        )
    if not same_images:
        raise ValueError(
            "The machines do not see the same images under the same classes; "
            "all must be given the same data."
        )


def _are_same(strategy, values):
    """Whether each of some integers is the same on all machines."""
    if isinstance(strategy, Devices):
        if strategy.machines == 1:
            return [True] * len(values)
        from jax.experimental import multihost_utils

        values = np.array(values, "int32")  # JAX cuts off what is longer
        found = multihost_utils.process_allgather(values)
        return (found == values).all(axis=0)
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return [True] * len(values)
    values = np.array(values, "int64")
    found = strategy.run(lambda: tf.constant(values))
    totals = strategy.reduce(tf.distribute.ReduceOp.SUM, found, axis=None)
    return totals.numpy() == strategy.num_replicas_in_sync * values


def leave_together(strategy):
    """Wait until the chief is done, so that JAX finds no machine missing."""
    if isinstance(strategy, Devices) and strategy.machines > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("the end of a training")
