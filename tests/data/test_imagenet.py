"""The 1,000 classes: against Keras' own list, which has a known checksum."""

import hashlib
import inspect
import json

import numpy as np
import pytest
from keras.src.applications import imagenet_utils

import keras_alexnet as ka
from keras_alexnet.data import imagenet


def keras_class_index():
    """What Keras downloads as imagenet_class_index.json, made of our list."""
    names = [name.partition(" (")[0] for name in imagenet.class_names()]
    pairs = zip(imagenet.synsets(), names, strict=True)
    return {
        str(place): [synset, name.replace(" ", "_")]
        for place, (synset, name) in enumerate(pairs)
    }


def test_the_list_is_that_of_keras_byte_for_byte():
    text = json.dumps(keras_class_index())
    checksum = hashlib.md5(text.encode()).hexdigest()
    # Keras checks its download by this.
    assert checksum in inspect.getsource(imagenet_utils.decode_predictions)
    assert checksum == "c2c37ea517e94d9795004a39431a14cb"


def test_well_known_classes_stand_where_torchvision_and_caffe_have_them():
    for place, synset, name in (
        (0, "n01440764", "tench"),
        (281, "n02123045", "tabby"),
        (285, "n02124075", "Egyptian cat"),
        (954, "n07753592", "banana"),
        (999, "n15075141", "toilet tissue"),
    ):
        assert imagenet.synsets()[place] == synset
        assert imagenet.class_names()[place] == name
    assert list(imagenet.synsets()) == sorted(set(imagenet.synsets()))
    assert len(imagenet.synsets()) == 1000


def test_no_two_classes_have_one_name():
    names = imagenet.class_names()
    assert len(set(names)) == len(names) == 1000
    assert names[134] == "crane (bird)"
    assert names[517] == "crane (machine)"


@pytest.mark.parametrize("top", [1, 5, 12])
def test_predictions_are_decoded_as_keras_does(monkeypatch, top):
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", keras_class_index())
    scores = np.random.default_rng(0).random((7, 1000), "float32")
    theirs = imagenet_utils.decode_predictions(scores, top)
    assert ka.decode_predictions(scores, top) == theirs


@pytest.mark.parametrize("shape", [(1000,), (2, 10), (2, 1000, 1), (0,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(images, 1000\)") as error:
        ka.decode_predictions(np.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize("top", [0, -1, 1001, "5"])
def test_a_top_without_classes_is_refused(top):
    with pytest.raises(ValueError, match="`top` must be an integer from 1"):
        ka.decode_predictions(np.eye(1000)[:1], top)


def test_classes_are_found_by_every_clear_spelling():
    places = imagenet.places(imagenet.class_names())
    for spelling in ("n02124075", "Egyptian cat", "Egyptian_cat"):
        assert places[spelling] == 285
    assert places["crane (machine)"] == places["n03126707"] == 517
    assert "crane" not in places  # which of the two?
    # A network's own names come first, whatever ImageNet calls so.
    places = imagenet.places(["daisy", "crane", "n02124075"])
    assert places["daisy"] == places["n11939491"] == 0
    assert places["crane"] == 1
    assert places["Egyptian cat"] == 2
    assert "tench" not in places


def test_which_networks_are_of_imagenet():
    assert imagenet.are_imagenet(imagenet.class_names())
    assert imagenet.are_imagenet(imagenet.synsets()[::-1])
    assert not imagenet.are_imagenet(imagenet.synsets()[:999])
    assert not imagenet.are_imagenet(["class 0"] * 1000)
    twice = [*imagenet.synsets()[:999], "tench"]  # n01440764 is the tench
    assert not imagenet.are_imagenet(twice)
