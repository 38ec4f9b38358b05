"""`fit` warns of images that the initialization cannot learn from."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_alexnet as ka
from keras_alexnet.models.alexnet import AlexNet
from keras_alexnet.models.input_checks import SMALLEST_SHARE
from keras_alexnet.models.input_checks import signal_share

MEAN = 115
WARNING = "will hardly learn from these images"


def pixels(count=8, size=67):
    """Patches of color of 0..255."""
    colors = np.random.default_rng(0).uniform(0, 255, (count, 5, 5, 3))
    patches = np.kron(colors, np.ones((1, 14, 14, 1)))
    return patches[:, :size, :size].astype("float32")


def network(variant="alexnet", **kwargs):
    shape = {} if "input_tensor" in kwargs else {"input_shape": (67, 67, 3)}
    keras.utils.set_random_seed(0)
    model = AlexNet(variant, classes=8, **shape, **kwargs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return 2

    def __getitem__(self, index):
        part = slice(4 * index, 4 * index + 4)
        return self.images[part], self.labels[part]


def as_numpy(images, labels):
    return {"x": images, "y": labels, "batch_size": 4}


def as_dataset(images, labels):
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    return {"x": data.batch(4), "shuffle": False}  # or Keras warns


def as_batches(images, labels):
    return {"x": Batches(images, labels)}


def as_tensor(images, labels):
    return {"x": tf.constant(images), "y": tf.constant(labels)}


@pytest.mark.parametrize("form", [as_numpy, as_dataset, as_batches, as_tensor])
def test_pixels_of_one_warn(form):
    model = network()
    with pytest.warns(UserWarning, match=WARNING) as record:
        model.fit(**form(pixels() / 255, np.arange(8)), verbose=0)
    messages = [str(w.message) for w in record if WARNING in str(w.message)]
    assert len(messages) == 1
    assert "\n" not in messages[0]
    assert "0..255 minus their mean" in messages[0]
    assert "alexnet" in messages[0]
    # It points at the line that called `fit`.
    assert [w.filename for w in record if WARNING in str(w.message)] == [
        __file__
    ]
    with warnings.catch_warnings():  # later calls have learned something
        warnings.simplefilter("error")
        model.fit(pixels() / 255, np.arange(8), verbose=0)


@pytest.mark.parametrize("form", [as_numpy, as_dataset, as_batches, as_tensor])
def test_pixels_of_255_minus_mean_do_not(form):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network().fit(**form(pixels() - MEAN, np.arange(8)), verbose=0)


@pytest.mark.parametrize("variant", ["caffe_alexnet", "single_tower_lrn"])
def test_other_variants_with_biases(variant):
    model = network(variant)
    assert signal_share(model, pixels() / 255) < SMALLEST_SHARE
    assert signal_share(model, pixels() - MEAN) > SMALLEST_SHARE


@pytest.mark.parametrize("scale", [1.0, 1 / 255, 1e-4])
def test_the_listing_of_an_article_never_warns(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network("single_tower").fit(pixels() * scale, np.arange(8), verbose=0)


def test_the_share_is_that_of_fc7():
    """0 where all images are one image; against NumPy otherwise."""
    model = network()
    images = pixels() - MEAN
    same = np.repeat(images[:1], 8, axis=0)
    assert signal_share(model, same) < 1e-6
    hidden = keras.Model(model.input, model.get_layer("fc7").output)
    values = hidden.predict(images, verbose=0).astype("float64")
    spread = np.sqrt(((values - values.mean(0)) ** 2).mean())
    expected = spread / np.sqrt((values**2).mean())
    np.testing.assert_allclose(signal_share(model, images), expected, rtol=1e-3)


def test_rescaling_to_one_in_front_warns_when_built():
    image = keras.Input((67, 67, 3))
    small = keras.layers.Rescaling(1 / 255)(image)
    with pytest.warns(UserWarning, match=WARNING) as record:
        network(input_tensor=small)
    assert len(record) == 1


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_subtracting_the_mean_in_front_does_not(data_format):
    keras.config.set_image_data_format(data_format)
    last = data_format == "channels_last"
    try:
        image = keras.Input((67, 67, 3) if last else (3, 67, 67))
        centered = keras.layers.Rescaling(1.0, offset=-MEAN)(image)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network(input_tensor=centered)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_images_and_labels_reach_fit_unchanged():
    """The check takes nothing away from the data, nor from its order."""
    seen = []

    model = network()
    train_step = model.train_step

    def recording(data):
        images, labels = data[:2]
        seen.append((images.numpy(), labels.numpy()))
        return train_step(data)

    model.train_step = recording
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    images, labels = pixels() - MEAN, np.array([3, 1, 4, 1, 5, 0, 2, 6])
    model.fit(**as_dataset(images, labels), verbose=0)
    np.testing.assert_array_equal(np.concatenate([s[0] for s in seen]), images)
    np.testing.assert_array_equal(np.concatenate([s[1] for s in seen]), labels)


def halves(images, taken=None):
    for start in (0, 4):
        if taken is not None:
            taken.append(start)
        yield images[start : start + 4], np.arange(start, start + 4)


def test_a_generator_is_not_read_for_it():
    taken, model = [], network()
    with pytest.warns(UserWarning, match=WARNING):
        batches = halves(pixels() / 255, taken)
        model.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
    assert taken == [0, 4]
    assert model.optimizer.iterations.numpy() == 2


def test_data_that_can_be_read_once_lose_nothing():
    """A set of tf.data whose source does not begin again."""
    taken, once = [], halves(pixels() / 255)

    def read():
        for batch in once:
            taken.append(len(batch[0]))
            yield batch

    signature = tf.TensorSpec((4, 67, 67, 3)), tf.TensorSpec((4,), "int64")
    data = tf.data.Dataset.from_generator(read, output_signature=signature)
    model = network()
    with pytest.warns(UserWarning, match=WARNING):
        model.fit(data, steps_per_epoch=2, shuffle=False, verbose=0)
    assert taken == [4, 4]
    assert model.optimizer.iterations.numpy() == 2


def test_a_py_dataset_is_asked_as_keras_asks_it():
    class Asked(Batches):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    plain = keras.Sequential(
        [keras.Input((67, 67, 3)), keras.layers.Flatten()]
        + [keras.layers.Dense(8, "softmax")]
    )
    plain.compile("sgd", "sparse_categorical_crossentropy")
    seen = []
    for model in (plain, network()):
        asked = []
        data = Asked(pixels() - MEAN, np.arange(8))
        model.fit(data, shuffle=False, verbose=0)
        seen.append(asked)
    assert seen[0] == seen[1]


def in_sequential(model):
    return keras.Sequential([keras.Input(model.input_shape[1:]), model])


def in_functional(model):
    inputs = keras.Input(model.input_shape[1:])
    x = keras.layers.Identity()(inputs)
    return keras.Model(inputs, keras.layers.Identity()(model(x)))


def within_within(model):
    return in_functional(in_sequential(model))


def taken_over(model):
    """Another model of the same layers."""
    return keras.Model(model.input, model.output)


def with_another_head(model):
    below = model.layers[-1].input
    return keras.Model(model.input, keras.layers.Dense(8, "softmax")(below))


WRAPPED = [in_sequential, in_functional, within_within]
WRAPPED += [taken_over, with_another_head]


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("form", [as_numpy, as_dataset])
def test_within_other_models(wrap, form):
    for scale, shift in ((1 / 255, 0), (1, -MEAN)):
        model = wrap(network())
        model.compile("sgd", "sparse_categorical_crossentropy")
        images = pixels() * scale + shift
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            model.fit(**form(images, np.arange(8)), verbose=0)
        found = [w for w in record if WARNING in str(w.message)]
        assert len(found) == (scale != 1)
        assert all(w.filename == __file__ for w in found)


RANGE = "its answers will be wrong"


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("asked", ["fit", "predict"])
def test_published_weights_within_other_models(wrap, asked):
    colors = pixels(size=32)
    for images, warns in ((colors / 255, True), (colors - MEAN, False)):
        network = AlexNet("cifar10_18pct", weights="cifar10")
        model = wrap(network)
        model.compile("sgd", "sparse_categorical_crossentropy")
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            if asked == "fit":
                model.fit(images, np.arange(8), verbose=0)
            else:
                model.predict(images, verbose=0)
        assert [RANGE in str(w.message) for w in record].count(True) == warns


def test_each_prediction_of_its_own_is_looked_at():
    model = AlexNet("cifar10_18pct", weights="cifar10")
    small = pixels(size=32) / 255
    data = tf.data.Dataset.from_tensors(small)
    for x in (small, small, data):
        with pytest.warns(UserWarning, match=RANGE):
            model.predict(x, verbose=0)


def test_what_stands_in_front_is_looked_through():
    """Pixels of 0..255, which the network itself makes what it expects."""

    def made():
        image = keras.Input((32, 32, 3))
        prepared = ka.preprocess_input(image, "cifar10_18pct")
        return AlexNet(
            "cifar10_18pct", weights="cifar10", input_tensor=prepared
        )

    model = made()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.predict(pixels(size=32), verbose=0)
        in_sequential(model).predict(pixels(size=32), verbose=0)
    with pytest.warns(UserWarning, match=RANGE):
        made().predict(pixels(size=32) - 1000, verbose=0)


def test_under_xla_nothing_is_told_from_within():
    model = in_sequential(network("single_tower_lrn"))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(pixels() / 255, np.arange(8), verbose=0)


def test_a_distributed_dataset_is_left_alone():
    data = as_dataset(pixels() - MEAN, np.arange(8))["x"]
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = network()
    distributed = strategy.experimental_distribute_dataset(data)
    model.fit(distributed, steps_per_epoch=2, shuffle=False, verbose=0)
    assert model.optimizer.iterations.numpy() == 2


def test_a_network_of_two_inputs_is_not_looked_at():
    """Its images are made of both."""
    pair = [keras.Input((67, 67, 3)), keras.Input((67, 67, 3))]
    mixed = keras.layers.Average()(pair)
    model = AlexNet("alexnet", classes=8, input_tensor=mixed)
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = pixels(4) - MEAN
    model.fit([images, images], np.arange(4), verbose=0)
    assert model.predict([images, images], verbose=0).shape == (4, 8)
