"""The description of a model in Keras' files, read without building it."""

import collections
import json
import re

from keras_alexnet.untrusted_files import shown

MOST_CONFIG_BYTES = 2**22  # an AlexNet's has 40,000


def parse_config(text):
    """The config of a model, without any code in it."""
    if len(text) > MOST_CONFIG_BYTES:
        raise ValueError("its config.json is too long")
    config = json.loads(text)
    if type(config) is not dict:
        raise ValueError("its config.json is no dictionary")
    values = [config]
    while values:
        value = values.pop()
        if type(value) is dict:
            if value.get("class_name") in ("Lambda", "__lambda__"):
                inner = value.get("config")
                name = inner.get("name") if type(inner) is dict else ""
                raise ValueError(
                    f"its model has a Lambda layer, {shown(name)}, whose code "
                    "is not run, so that its results would be others; save "
                    "the weights alone"
                )
            if "layers" in value:
                _check_layers(value["layers"])
            values.extend(value.values())
        elif type(value) is list:
            values.extend(value)
    return config


def _check_layers(layers):
    if type(layers) is not list or not all(
        type(layer) is dict
        and type(layer.get("class_name")) is str
        and type(layer.get("config")) in (dict, list)
        and (type(layer["config"]) is list or _is_named(layer["config"]))
        for layer in layers
    ):
        raise ValueError("its config.json has layers that are none")


def _is_named(config):
    """Keras names every layer; one without a name is only not named."""
    return type(config.get("name", "")) is str


def layers_of(config):
    """The configs of the layers of a model; `None` of a layer."""
    inner = config.get("config")
    if type(inner) is list:  # a Sequential of Keras 1
        _check_layers(inner)
        return inner
    return inner.get("layers") if type(inner) is dict else None


def layer_paths(config, path):
    """Name and group of each layer, as keras.src.saving.saving_lib has them."""
    counts = collections.Counter()
    for layer in layers_of(config) or []:
        kind = _snake_case(layer["class_name"])
        group = f"{path}/{kind}_{counts[kind]}" if counts[kind] else ""
        group = group or f"{path}/{kind}"
        counts[kind] += 1
        if layers_of(layer):
            yield from layer_paths(layer, f"{group}/layers")
        elif type(layer["config"]) is dict:
            yield layer["config"].get("name", group.strip("/")), group


def _snake_case(name):
    """keras.src.utils.naming.to_snake_case."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
