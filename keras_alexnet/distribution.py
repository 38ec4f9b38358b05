"""On which devices a model is trained; nothing else names devices."""

import tensorflow as tf


def training_strategy(devices=None):
    """The strategy for this machine's devices.

    Args:
        devices: How many devices to use. `None` takes all GPUs, or the CPU
            where there is none. Without enough GPUs, virtual CPU devices
            stand in: they compute the same, not faster.

    Returns:
        `tf.distribute.MirroredStrategy` for several devices, else
        TensorFlow's default strategy.

    Raises:
        ValueError: if there are not as many devices, and TensorFlow has
            already started, so that no virtual ones can be made.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if devices is None:
        devices = max(len(gpus), 1)
    if devices < 1:
        raise ValueError(f"`devices` must be at least 1. Received: {devices}")
    if devices == 1:
        return tf.distribute.get_strategy()
    if devices <= len(gpus):
        return tf.distribute.MirroredStrategy(
            [f"GPU:{i}" for i in range(devices)]
        )
    _make_virtual_cpus(devices)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])


def _make_virtual_cpus(count):
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
