"""`ka.Plan` and `keras-alexnet plan`: against sums done by hand."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import keras_alexnet as ka
from keras_alexnet.training.planning import PHOTOS_PER_CORE
from keras_alexnet.training.planning import SHARDS_PER_CORE

ROOT = pathlib.Path(__file__).parents[2]
PARAMETERS = 60_965_224
# Facts, section 3: multiply-adds of the two-tower net, conv1's among them.
FORWARD, CONV1 = 724_406_816, 105_415_200


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "keras_alexnet", "plan", *words],
        capture_output=True,
        text=True,
    )


def test_eight_gpus_of_one_machine():
    plan = ka.Plan(gpus=8, images_per_second_per_gpu=2000)
    assert plan.batch == 1024
    assert plan.rate == pytest.approx(0.08)
    assert plan.gflop_per_image == pytest.approx(
        2 * (3 * FORWARD - CONV1) / 1e9, rel=1e-3
    )
    # Around a ring of eight, every gradient passes 2 * 7 times in eighths.
    sent = 2 * 7 / 8 * PARAMETERS * 4
    assert plan.exchange_bytes == pytest.approx((sent, 0))
    assert plan.seconds == pytest.approx((128 / 2000, sent / 25e9))
    limits = plan.limits
    assert limits["GPUs"] == pytest.approx(16000)
    assert limits["GPUs and exchange"] == pytest.approx(
        1024 / (0.064 + sent / 25e9)
    )
    assert limits["disk"] == pytest.approx(2e9 / (256 * 256 * 3))
    # The disk gives 10,173 images/s, less than the GPUs take.
    assert plan.images_per_second == limits["disk"]
    # It takes 100.7 ms for a batch, 83.6 of them beside the exchange.
    left = 1024 / 10172.5 - sent / 25e9
    assert plan.first_limit == ("disk", pytest.approx(0.064 / left, 1e-3))


@pytest.mark.parametrize(
    "given, first",
    [
        ({"disk_gigabytes": 2.4}, "disk"),  # 12,207 images/s of 12,631
        ({"disk_gigabytes": 2.8}, "disk"),
        ({"disk_gigabytes": 6}, "exchange"),
        ({"disk_gigabytes": 9, "cores": 2}, "cores"),
        ({"disk_gigabytes": 9, "link_gigabytes": 1}, "exchange"),
        ({"disk_gigabytes": 0.5, "link_gigabytes": 5}, "disk"),
    ],
)
def test_faster_gpus_come_to_the_first_limit(given, first):
    plan = ka.Plan(8, 2000, **given)
    name, room = plan.first_limit
    assert name == first
    of_gpus = plan.images_per_second == plan.limits["GPUs and exchange"]
    assert of_gpus == (room >= 1 or name == "exchange")
    # At that rate they meet.
    there = ka.Plan(8, 2000 * room, **given)
    if name == "exchange":
        assert there.seconds[0] == pytest.approx(there.seconds[1])
    else:
        taken = there.limits["GPUs and exchange"]
        assert taken == pytest.approx(there.limits[name])


def test_several_machines_send_through_the_network():
    plan = ka.Plan(64, 500, machines=8, network_gigabits=100, disk_gigabytes=50)
    sent = 2 * 7 / 8 * PARAMETERS * 4
    assert plan.exchange_bytes == pytest.approx((sent, sent))
    exchanging = sent / 25e9 + sent / (100e9 / 8)
    assert plan.seconds == pytest.approx((128 / 500, exchanging))
    assert plan.images_per_second == pytest.approx(
        64 * 128 / (128 / 500 + exchanging)
    )
    name, room = plan.first_limit
    assert name == "exchange"
    assert room == pytest.approx(0.256 / exchanging)


def test_the_network_that_takes_a_tenth():
    told = dict(row[:2] for row in ka.Plan(64, 500, machines=8)._cells())
    gigabits = float(told["network for a tenth"].split()[0])
    plan = ka.Plan(64, 500, machines=8, network_gigabits=gigabits)
    between = plan.exchange_bytes[1] / (1e9 / 8 * gigabits)
    assert between == pytest.approx(sum(plan.seconds) / 10, rel=0.01)


def test_one_gpu_exchanges_nothing():
    plan = ka.Plan(1, 40)
    assert plan.seconds == (128 / 40, 0)
    assert plan.images_per_second == pytest.approx(40)
    assert "exchange" not in str(plan)
    assert plan.first_limit[0] in ("cores", "disk")


def test_the_rule_says_where_it_ends():
    assert "LARS" not in str(ka.Plan(8, 1000))
    assert "LARS" in str(ka.Plan(16, 1000))
    assert "beyond" not in str(ka.Plan(64, 1000))
    assert "beyond You et al." in str(ka.Plan(128, 1000))


def test_lars_bounds_a_layers_step():
    plan = ka.Plan(64, 2000)
    assert "0.064%" in str(plan)  # .001 times the rate of 8,192 / 128 * .01
    most = plan.lars_most_change
    assert plan.to_dict()["lars_most_change"] == most
    generator = np.random.default_rng(0)
    norm, moved = np.linalg.norm, []
    for size in (1e-6, 1e-3, 1.0, 1e3):  # of gradients, beside weights of 1
        w, g = generator.normal(size=(2, 1000))
        g *= size
        factor = 0.001 * norm(w) / (norm(g) + 0.0005 * norm(w))
        step = plan.rate * factor * (g + 0.0005 * w)
        moved.append(norm(step) / norm(w))
    assert max(moved) <= most * (1 + 1e-9)
    assert max(moved) == pytest.approx(most, rel=1e-2)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"gpus": 0}, "`gpus` must be a number from"),
        ({"gpus": 8, "machines": 3}, "divided evenly"),
        ({"gpus": 8, "cores": -1}, "`cores` must be a number from"),
        ({"gpus": 8, "disk_gigabytes": float("nan")}, "`disk_gigabytes`"),
        ({"gpus": 8, "link_gigabytes": 1e-320}, "`link_gigabytes`"),
    ],
)
def test_numbers_that_cannot_be(given, told):
    with pytest.raises(ValueError, match=told):
        ka.Plan(images_per_second_per_gpu=100, **given)


def test_the_command_prints_what_the_class_computes():
    words = ("--gpus", "8", "--images-per-second-per-gpu", "2000")
    done = command(*words, "--cores", "2", "--format", "json")
    assert done.returncode == 0, done.stderr
    plan = ka.Plan(8, 2000, cores=2)
    assert json.loads(done.stdout) == json.loads(json.dumps(plan.to_dict()))
    assert command(*words).stdout == f"{ka.Plan(8, 2000)}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--gpus", "8"),
        ("--gpus", "8", "--images-per-second-per-gpu", "fast"),
        ("--gpus", "8", "--images-per-second-per-gpu", "inf"),
        ("--gpus", "8", "--images-per-second-per-gpu", "1e308"),
        ("--gpus", "9", "--images-per-second-per-gpu", "1", "--machines", "2"),
    ],
)
def test_what_the_command_refuses(words):
    done = command(*words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_the_page_is_what_the_command_prints():
    page = ROOT / "docs" / "scaling.md"
    parts = re.findall(
        r"```sh\nkeras-alexnet plan ([^\n]*)\n```\n\n(.*?)\n(?=\n##|\Z)",
        page.read_text(),
        re.DOTALL,
    )
    assert len(parts) == 4
    for words, printed in parts:
        done = command(*words.split(), "--format", "markdown")
        assert done.stdout.strip() == printed.strip()


def test_its_rates_are_the_measured_ones():
    path = ROOT / "benchmarks" / "results" / "benchmarks-avx512-bfloat16.json"
    results = json.loads(path.read_text())
    columns = results["rows"]["feeding"]["columns"]
    for name, per_core in (
        ("keras_alexnet, from photos, first epoch", PHOTOS_PER_CORE),
        ("keras_alexnet, from shards, uint8", SHARDS_PER_CORE),
    ):
        measured = columns[name]["amount"] / columns[name]["median_seconds"]
        per_processor = measured / results["machine"]["processors"]
        assert per_core == pytest.approx(per_processor, rel=1e-3)


@pytest.mark.parametrize("kind", ["avx2", "avx512-bfloat16"])
def test_its_memory_is_what_was_measured(kind):
    path = ROOT / "benchmarks" / "results" / f"benchmarks-{kind}.json"
    rows = json.loads(path.read_text())["rows"]
    for batch in (32, 128):
        columns = rows[f"step-alexnet-{batch}-float32"]["columns"]
        peak = columns["keras_alexnet"]["peak_memory_bytes"]
        plan = ka.Plan(1, 100, batch_per_gpu=batch)
        assert peak == pytest.approx(plan.process_bytes, rel=0.1)
