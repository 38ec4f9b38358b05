"""A network as an ONNX file."""

import json
import pathlib

import keras
import numpy as np

from keras_alexnet.export.description import input_text

# Of the files of all backends: what tf2onnx writes by itself.
OPSET = 15
# Weights of more values are kept out of the conversion.
LARGE = 2**20


class _WithWeightsAsInputs(keras.Model):
    """A model whose large weights are given to it as inputs."""

    def __init__(self, model, large):
        super().__init__(name=model.name, dtype="float32")
        self.network = model
        self.places = {id(v): place for place, v in enumerate(large)}
        self.built = True

    def call(self, inputs):
        image, *large = inputs

        def values(variables):
            places = [self.places.get(id(v)) for v in variables]
            pairs = zip(variables, places, strict=True)
            return [v.value if p is None else large[p] for v, p in pairs]

        outputs, _ = self.network.stateless_call(
            values(self.network.trainable_variables),
            values(self.network.non_trainable_variables),
            image,
            training=False,
        )
        return outputs


def write_onnx(network, path):
    """Write an ONNX file, with the classes and the input's values as metadata.

    Args:
        network: A `Network`.
        path: Path of the file to write.
    """
    import onnx

    of_tensorflow = keras.backend.backend() == "tensorflow"
    write = _by_tf2onnx if of_tensorflow else _by_keras
    large = write(network.model, path)
    proto = onnx.load(path)
    # Where jax2onnx puts large weights; they belong into the one file.
    pathlib.Path(f"{path}.data").unlink(missing_ok=True)
    _put(proto.graph, large)
    names = json.dumps(network.class_names)
    metadata = {"class_names": names, "input": input_text(network)}
    onnx.helper.set_model_props(proto, metadata)
    onnx.save(proto, path)


def _by_tf2onnx(model, path):
    """Write the file; gives the weights that are inputs of it.

    tf2onnx copies constants again and again: with AlexNet's fc6 among them it
    took 73 s and 13.5 GB (docs/export.md). So the large weights are inputs of
    what it converts, and become constants in its file.
    """
    import tensorflow as tf

    variables = (*model.trainable_variables, *model.non_trainable_variables)
    large = [v for v in variables if np.prod(v.shape) > LARGE]
    specs = [tf.TensorSpec((None, *model.input_shape[1:]), name="image")]
    specs += [
        tf.TensorSpec(v.shape, v.dtype, name=f"large_{place}")
        for place, v in enumerate(large)
    ]
    _export(_WithWeightsAsInputs(model, large), path, [specs])
    return large


def _by_keras(model, path):
    """Write the file, which has all weights, as Keras does on the backend."""
    if None in model.input_shape[1:]:
        # Of an image of one pixel on PyTorch; on JAX nothing would run it.
        raise ValueError(
            "JAX and PyTorch need images of known size; make the network with "
            "an `input_shape` of whole numbers"
        )
    image = keras.KerasTensor((None, *model.input_shape[1:]), name="image")
    _export(model, path, [image])
    return []


def _export(model, path, signature):
    model.export(
        path,
        format="onnx",
        verbose=False,
        input_signature=signature,
        opset_version=OPSET,
    )


def _put(graph, large):
    """Make constants of inputs, and give axes and output readable names."""
    from onnx import numpy_helper

    image, *inputs = graph.input
    (output,) = graph.output
    names = {output.name: "output"}
    for value, variable in zip(inputs, large, strict=True):
        names[value.name] = variable.path
        constant = numpy_helper.from_array(variable.numpy(), variable.path)
        graph.initializer.append(constant)
        graph.input.remove(value)
    output.name = "output"
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    for value in (image, output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
