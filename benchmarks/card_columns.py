"""What JAX does on a card: networks of ours and plain Keras', candidates.

Each function prepares and gives back what is timed, which does not wait for
the card; `training` times itself.
"""

import functools
import pathlib
import shutil
import tempfile
import time

import jax
import keras
import numpy as np
from jax import numpy as jnp
from keras import ops

import keras_alexnet as ka
from benchmarks import keras_columns
from keras_alexnet.layers import jax_forms


def _type_of(precision):
    """Of values; how products of float32 are rounded is a setting of JAX's."""
    return "bfloat16" if precision == "bfloat16" else "float32"


def matrices(size, precision):
    """The card's rate: products of square matrices."""
    keys = jax.random.split(jax.random.key(0))
    shape, dtype = (size, size), _type_of(precision)
    a, b = (jax.random.normal(key, shape, dtype) for key in keys)
    multiply = jax.jit(jnp.matmul)
    return lambda: multiply(a, b)


def copying(gigabytes):
    """So much is read, and so much written."""
    source = jnp.ones(int(gigabytes * 1e9) // 4)
    # A bare copy may be done by giving the same memory back.
    negate = jax.jit(jnp.negative)
    return lambda: negate(source)


def sending(gigabytes):
    """From the host's memory, as NumPy has it, to the card."""
    source = np.ones(int(gigabytes * 1e9), "uint8")
    return lambda: jax.device_put(source)


def _network(variant, batch, pixels, precision, whose):
    """A model, its weights, images and labels, on the card."""
    model = keras_columns.network(variant, pixels, 1000, precision, whose)
    weights, others = (
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
        )
    )
    pictures, classes = jax.random.split(jax.random.key(0))
    x = 60 * jax.random.normal(pictures, (batch, pixels, pixels, 3))
    y = jax.random.randint(classes, (batch,), 0, 1000)
    return model, weights, others, x, y


def step(variant, batch, pixels, precision, whose, rate):
    """A training step as one function that is given its own memory again."""
    model, *values, x, y = _network(variant, batch, pixels, precision, whose)
    optimizer = ka.PaperSGD(rate)
    if whose == "plain":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4)
    optimizer.build(model.trainable_variables)
    values.append([variable.value for variable in optimizer.variables])

    def loss_of(weights, others, x, y):
        p, others = model.stateless_call(weights, others, x, training=True)
        losses = keras.losses.sparse_categorical_crossentropy(y, p)
        return losses.mean(), others

    @functools.partial(jax.jit, donate_argnums=0)
    def update(values, x, y):
        weights, others, momenta = values
        of_weights = jax.value_and_grad(loss_of, has_aux=True)
        (loss, others), gradients = of_weights(weights, others, x, y)
        weights, momenta = optimizer.stateless_apply(
            momenta, gradients, weights
        )
        return [weights, others, momenta], loss

    def one():
        values[:], loss = update(values, x, y)
        return values, loss

    return one


def inference(variant, batch, pixels, precision, whose):
    model, weights, others, x, _ = _network(
        variant, batch, pixels, precision, whose
    )

    @jax.jit
    def answer(weights, others, x):
        return model.stateless_call(weights, others, x, training=False)[0]

    return lambda: answer(weights, others, x)


# Candidates: forms of one operation, the first as Keras has it.


def _conv1(x, kernel):
    return ops.conv(x, kernel, 4, "valid", "channels_last")


def _conv1_on_blocks(x, kernel):
    return jax_forms.on_blocks(x, kernel, 4, "valid")


def _pool(x):
    return ops.max_pool(x, 3, 2, "valid", "channels_last")


def _pool_by_pixels(x):
    return jax_forms.max_pooling(x, 3, 2, "valid")


def _two_convolutions(x, kernel):
    pairs = zip(jnp.split(x, 2, -1), jnp.split(kernel, 2, -1), strict=True)
    return jnp.concatenate([_grouped(*pair) for pair in pairs], -1)


def _grouped(x, kernel):
    """Keras takes the number of groups from the kernel's channels."""
    return ops.conv(x, kernel, 1, "same", "channels_last")


# Operation -> its forms, the shapes of an image and of the kernel, and whether
# the gradient of the image is wanted.
CANDIDATES = {
    "conv1": (
        {"plain": _conv1, "on blocks of 4x4 pixels": _conv1_on_blocks},
        ((227, 227, 3), (11, 11, 3, 96)),
        False,
    ),
    "max pooling": (
        {"select-and-scatter": _pool, "each pixel asks": _pool_by_pixels},
        ((55, 55, 96),),
        True,
    ),
    "the towers of conv2": (
        {"two convolutions": _two_convolutions, "grouped": _grouped},
        ((27, 27, 96), (5, 5, 48, 256)),
        True,
    ),
}


def candidate(operation, form, batch, precision):
    """Forward and gradients; how far they are from those of the first form."""
    forms, (image, *kernels), of_image = CANDIDATES[operation]
    keys = jax.random.split(jax.random.key(0), 3)
    dtype = _type_of(precision)
    # As after a rectification, where many are equal.
    x = jax.nn.relu(jax.random.normal(keys[0], (batch, *image), dtype))
    given = [x, *(jax.random.normal(keys[1], k, dtype) for k in kernels)]

    def both(function):
        def run(upstream, *given):
            y, pull = jax.vjp(function, *given)
            return y, pull(upstream)[0 if of_image else 1 :]

        return jax.jit(run)

    first = next(iter(forms.values()))
    shape = jax.eval_shape(first, *given).shape
    given.insert(0, jax.random.normal(keys[2], shape, dtype))
    run = both(forms[form])
    pairs = zip(
        jax.tree.leaves(run(*given)),
        jax.tree.leaves(both(first)(*given)),
        strict=True,
    )
    deviation = max(_deviation(one, other) for one, other in pairs)

    def one():
        return run(*given)

    one.facts = {"deviation from the first": float(f"{deviation:.2g}")}
    return one


def _deviation(one, other):
    one, other = (x.astype("float32").ravel() for x in (one, other))
    return float(jnp.linalg.norm(one - other) / jnp.linalg.norm(other))


def training(seconds, cifar=None, epochs=None, images=50000):
    """A net of CIFAR-10 by its recipe, an epoch a compiled loop.

    Args:
        seconds: After which no further epoch begins but the first two.
        cifar: Folder or archive of the images; random ones otherwise.
        epochs: If not as many as the recipe has.
        images: How many random ones.
    """
    from benchmarks import section33

    end = time.monotonic() + seconds
    recipe = section33.recipe_of("cifar10_18pct:0", epochs)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if cifar:
            names, *parts = _cifar_images(cifar, folder / "data")
        else:
            names, *parts = _random_images(images)
        run = ka.Run.create(folder / "run", recipe, names)
        net, epoch_seconds = section33.Training(run, *parts), []
        while len(epoch_seconds) < recipe.epochs and (
            len(epoch_seconds) < 2 or time.monotonic() < end
        ):
            start = time.perf_counter()
            net.epoch(len(epoch_seconds))
            epoch_seconds.append(time.perf_counter() - start)
        whole = ka.RECIPES[recipe.name].epochs
        facts = {
            "epochs": f"{len(epoch_seconds)} of {whole}",
            "all epochs, s": round(sum(epoch_seconds), 1),
        }
        if cifar:
            for name, views in (("center", False), ("views", True)):
                error = net.errors(views)[1]
                facts[f"test error, {name}"] = f"{error:.2f} %"
    # The first one compiles.
    return {"seconds": epoch_seconds[1:] or epoch_seconds, "facts": facts}


def _random_images(count):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 32, 32, 3), "uint8")
    labels = generator.integers(0, 10, count).astype("int32")
    part = jnp.asarray(pixels), jnp.asarray(labels)
    return tuple("0123456789"), part, part


def _cifar_images(path, folder):
    from benchmarks import section33

    if pathlib.Path(path).is_file():
        shutil.unpack_archive(path, folder, filter="data")
        # The archive may have a folder of its own around them.
        path = folder
        while len(list(path.iterdir())) == 1:
            (path,) = path.iterdir()
    parts = ka.load_examples(path)
    return parts[0].class_names, *(
        (section33.pixels_of(part), jnp.asarray(part.labels, "int32"))
        for part in parts
    )
