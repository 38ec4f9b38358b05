"""Models in another precision than the one they were made in."""

import keras

FLOATS = ("float16", "bfloat16", "float64")
# Keras' names of the formats whose runtimes get float32.
FLOAT32_FORMATS = ("onnx", "litert", "openvino")


def in_float32(model):
    """A copy of a model that computes in float32; itself if it does already.

    Other runtimes have no convolutions in float16, bfloat16 or float64.

    Args:
        model: A Keras model.

    Returns:
        A model with the same weights.

    Raises:
        ValueError: if Keras cannot copy it.
    """
    if _computed_in(model) <= {"float32", "uint8"}:
        return model
    try:
        config = _in_float32(keras.saving.serialize_keras_object(model))
        # What it is made of was in this process already: nothing is unsafe.
        copy = keras.saving.deserialize_keras_object(config, safe_mode=False)
        copy.set_weights(model.get_weights())
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ValueError(
            f"{model.name} cannot be copied in float32: {reason}; make it anew "
            "under the policy float32 and give it the same weights."
        ) from error
    return copy


def _computed_in(layer):
    """The types in which a layer, and all layers within it, compute."""
    inner = [*getattr(layer, "layers", []), getattr(layer, "layer", None)]
    types = (_computed_in(each) for each in inner if each is not None)
    return {layer.compute_dtype}.union(*types)


def _in_float32(config):
    """A config of Keras with float32 for all floats and policies of them."""
    if isinstance(config, list | tuple):
        return type(config)(map(_in_float32, config))
    if not isinstance(config, dict):
        return config
    changed = {name: _in_float32(value) for name, value in config.items()}
    dtype = changed.get("dtype")
    if dtype in FLOATS:
        changed["dtype"] = "float32"
    elif isinstance(dtype, dict) and dtype.get("class_name") == "DTypePolicy":
        changed["dtype"] = {**dtype, "config": {"name": "float32"}}
    elif isinstance(dtype, dict) and "source_name" in dtype.get("config", {}):
        inner = {**dtype["config"], "source_name": "float32"}
        changed["dtype"] = {**dtype, "config": inner}
    return changed
