"""One way from a photo to a network's input, whoever asks."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_alexnet as ka
from keras_alexnet.export.export_model import export_model
from keras_alexnet.runs.network import Network
from keras_alexnet.web.demo import Demo

SIZES = [(48, 64), (32, 32), (90, 33)]


@pytest.fixture(scope="module")
def network():
    return ka.open_trained("cifar10")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        pixels = generator.integers(0, 256, (*size, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(map(str, folder.iterdir()))


def expected(path):
    """The paper's way (Section 2), by Pillow and NumPy alone."""
    with Image.open(path) as image:
        width, height = image.size
        short = min(width, height)
        size = (int(32 * width / short), int(32 * height / short))
        small = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    top, left = (round((side - 32) / 2) for side in small.shape[:2])
    return small[top : top + 32, left : left + 32]


def forms(path):
    picture = Image.open(path)
    with open(path, "rb") as file:
        data = file.read()
    return {"path": path, "bytes": data, "pillow": picture}


def test_an_image_in_any_form(network, photos):
    prepare = ka.preprocessor(network)
    for path in photos:
        crop = expected(path)
        wanted = ka.preprocess_input(crop[np.newaxis], "cifar10_18pct")
        pixels = np.asarray(Image.open(path))
        for form in (*forms(path).values(), pixels, pixels[np.newaxis]):
            np.testing.assert_array_equal(prepare.crops(form), [crop])
            found = prepare(form)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, atol=1e-5)
    mixed = [*photos, pixels, Image.open(photos[0])]
    assert prepare(mixed).shape == (5, 32, 32, 3)
    np.testing.assert_array_equal(prepare(mixed)[2:4], prepare([photos[2]] * 2))


def test_of_a_model_of_a_path_and_of_a_run_it_is_the_same(network, photos):
    model = ka.AlexNet("cifar10_18pct", classes=10, weights="cifar10")
    for source in (model, "cifar10"):
        np.testing.assert_array_equal(
            ka.preprocessor(source)(photos), ka.preprocessor(network)(photos)
        )
    answers = model.predict_on_batch(ka.preprocessor(model)(photos[0]))[0]
    ((name, probability), *_) = ka.predict(network, photos[0])[0]
    assert network.class_names[int(np.argmax(answers))] == name
    assert probability == pytest.approx(float(answers.max()), abs=1e-6)


def test_all_who_look_at_a_photo_agree(network, photos, tmp_path):
    """Predictions, Grad-CAM, the demo, features: to the last bit."""
    demo = Demo(network)
    for path in photos:
        tops = [ka.predict(network, form)[0] for form in forms(path).values()]
        pixels = np.asarray(Image.open(path))
        tops.append(ka.predict(network, pixels)[0])
        with open(path, "rb") as file:
            tops.append(demo.answer(file.read())["top"])
        assert all(top == tops[0] for top in tops[1:])
        name, probability = tops[0][0]
        heats = [ka.grad_cam(network, form) for form in forms(path).values()]
        for heat in heats:
            assert (heat.class_name, heat.probability) == (name, probability)
            np.testing.assert_array_equal(heat.values, heats[0].values)
        layers = [
            ka.features(network, form, "fc10").values
            for form in (path, Image.open(path), pixels)
        ]
        for values in layers:
            assert values.max() == np.float32(probability)
            np.testing.assert_array_equal(values, layers[0])


def test_an_exported_network_agrees(network, photos, tmp_path):
    export_model(network, tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serve"]
    prepare = ka.preprocessor(network)
    for path in photos:
        (found,) = serve(tf.constant(prepare(path))).values()
        wanted = dict(ka.predict(network, path, top=10)[0])
        wanted = np.array([wanted[name] for name in network.class_names])
        assert np.abs(found[0] - wanted).max() <= 1e-6 * wanted.max()


def test_gray_images(photos):
    gray = Image.open(photos[0]).convert("L")
    model = ka.open_trained("cifar10")
    prepare = ka.preprocessor(model)
    np.testing.assert_array_equal(
        prepare.crops(np.asarray(gray)), prepare.crops(gray.convert("RGB"))
    )
    assert prepare.crops(np.asarray(gray)[..., np.newaxis]).shape[-1] == 3


def test_images_that_can_be_gone_through_once(network, photos):
    pixels = np.stack([expected(path) for path in photos])
    wanted = ka.predict(network, photos)
    assert ka.predict(network, iter(photos)) == wanted
    assert ka.predict(network, (Image.open(p) for p in photos)) == wanted
    maps = ka.features(network, photos, "conv3").values
    for images in (map(str, photos), map(Image.open, photos)):
        found = ka.features(network, images, "conv3").values
        np.testing.assert_array_equal(found, maps)
    prepare = ka.preprocessor(network)
    for kind in (list, iter, tf.constant, np.array):
        np.testing.assert_array_equal(prepare.crops(kind(pixels)), pixels)
    objects = np.array(photos, object)
    assert ka.predict(network, objects) == wanted


def test_a_model_in_memory_a_file_and_an_alias_are_one_network(
    photos, tmp_path
):
    model = ka.AlexNet("cifar10_18pct", weights="cifar10")
    model.save(tmp_path / "net.keras")
    networks = (model, tmp_path / "net.keras", "cifar10", Network.of(model))
    top = [ka.predict(each, photos, ten_crops=True) for each in networks]
    assert top[0] == top[1] == top[2] == top[3]
    heat = [ka.grad_cam(each, photos[0]).values for each in networks]
    maps = [ka.heat_map(each, photos[2]).values for each in networks]
    fed = [ka.features(each, photos, "fc10").values for each in networks]
    examples = ka.Examples(photos, [0, 1, 2], model.class_names)
    right = [ka.evaluate(each, examples).confusion for each in networks]
    for found in (heat, maps, fed, right):
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])
    with pytest.raises(ValueError, match="A model has no test images"):
        ka.evaluate(model)


def test_where_one_image_is_expected_several_are_refused(network, photos):
    pixels = np.stack([expected(path) for path in photos])
    for ask in (ka.grad_cam, ka.heat_map):
        for images in (photos, pixels):
            with pytest.raises(ValueError, match="Received"):
                ask(network, images)


WRONG = {
    "nothing at all": (None, "Received: NoneType"),
    "a number alone": (3, "Received: int"),
    "lists of lists": ([[1, 2], [3, 4]], "Received: list"),
    "an image of four channels": (np.zeros((9, 9, 4), "uint8"), r"\(9, 9, 4"),
    "floats": (np.zeros((9, 9, 3)), "uint8 array"),
    "four channels": ([np.zeros((9, 9, 4), "uint8")], "uint8 array"),
    "nothing": ([], "no images"),
    "a number": ([3], "Received: int"),
    "bytes of no image": (b"abc", "An image: is not an image"),
    "no such file": ("missing.png", "there is no such file"),
    "an empty array": ([np.zeros((0, 9), "uint8")], "uint8 array"),
}


@pytest.mark.parametrize(("images", "text"), WRONG.values(), ids=WRONG)
def test_what_is_no_image_is_refused(network, images, text):
    with pytest.raises(ValueError, match=text):
        ka.preprocessor(network)(images)


@pytest.mark.parametrize(
    ("crop", "given", "resized"),
    [(227, None, 256), (224, None, 256), (32, None, 32), (227, 300, 300)],
)
def test_how_large_images_become_before_the_crop(crop, given, resized):
    """Section 2, Caffe and torchvision: 256, where nobody says otherwise."""
    shape = (crop, crop, 3)
    model = ka.AlexNet("cifar10_18pct", input_shape=shape, classes=2)
    model.resize_pixels, model.checks_range = given, True
    sizes = ka.preprocessor(model)
    assert (sizes.resize_pixels, sizes.crop_pixels) == (resized, crop)
    pixels = np.zeros((600, 400, 3), "uint8")
    assert sizes(pixels).shape == (1, *shape)


def test_a_model_of_others_has_no_known_way():
    import keras

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="not known how the images"):
        ka.preprocessor(model)
    buffer = io.BytesIO()
    with pytest.raises(ValueError, match="must be a run"):
        ka.preprocessor(buffer)
