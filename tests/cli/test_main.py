"""The command line, as a user calls it."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import matplotlib.image
import numpy as np
import pytest

from keras_alexnet.cli.main import main


def run_command(*words):
    command = [sys.executable, "-m", "keras_alexnet", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def refusal(capsys, *words):
    """The sentence with which a command is refused."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:
        code = stop.code
    output = capsys.readouterr()
    assert code == 2
    assert "Traceback" not in output.err
    sentence = output.err.strip()
    assert sentence.startswith("keras-alexnet")
    assert "\n" not in sentence
    return sentence


def test_help_answers_without_loading_tensorflow():
    # Seconds are measured in benchmarks; here only what would cost them.
    code = (
        "import sys\nfrom keras_alexnet.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('loaded', {'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert "train" in result.stdout
    assert "loaded set()" in result.stdout


def test_what_is_not_there_is_told_of_without_keras(tmp_path):
    """So it takes a tenth of the time."""
    run, photo, folder = (str(tmp_path / n) for n in ("run", "a.jpg", "photos"))
    refused = [
        ["predict", run, photo],
        ["predict", str(tmp_path), photo],
        ["evaluate", "cifar10", "--data", folder],
        ["train", "--data", folder],
        ["fine-tune", "cifar10", "--data", folder],
        ["fine-tune", run, "--data", str(tmp_path)],
        ["report", run],
        ["report", str(tmp_path)],
        ["demo", run],
        ["gradcam", "cifar10", photo],
        ["heatmap", "cifar10", photo],
        ["activations", "cifar10", photo],
        ["features", "cifar10", photo],
        ["similar", "cifar10", folder, "--queries", photo],
        ["kernels", run],
        ["convert", f"{run}.pth", "out.keras"],
        ["export", run, "out.onnx"],
        ["plot", "alexnet", "--to-file", "alexnet.foo"],
        ["prepare-data", folder, "out"],
        ["check-data", folder],
    ]
    answered = [
        (["predict", "cifar10", photo], 1),
        (["paper", "log"], 0),
        (["paper", "differences"], 0),
    ]
    expected = [(words, 2) for words in refused] + answered
    code = (
        "import json, sys\nfrom keras_alexnet.cli.main import main\n"
        "for words, code in json.loads(sys.argv[1]):\n"
        "    assert main(words) == code, words\n"
        "    assert 'keras' not in sys.modules, words\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(expected)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    sentences = result.stderr.splitlines()
    assert len(sentences) == len(refused) + 2  # two lines of `predict`
    assert not list(tmp_path.iterdir())


def test_installed_command_prints_its_version():
    script = os.path.join(os.path.dirname(sys.executable), "keras-alexnet")
    if not os.path.exists(script):
        pytest.skip("the package is not installed in this environment")
    result = subprocess.run(
        [script, "--version"], capture_output=True, text=True
    )
    assert result.stdout == "0.1.0\n"


def test_variants(capsys):
    assert main(["variants"]) == 0
    text = capsys.readouterr().out
    assert "60,965,224" in text
    assert "single_tower_pad2" in text


def test_summary_formats(capsys):
    assert main(["summary", "alexnet", "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert "60965224" in json.dumps(facts)
    assert main(["summary", "alexnet", "--format", "markdown"]) == 0
    assert "|" in capsys.readouterr().out
    options = ["--input-size", "224", "--padding", "same/valid"]
    assert main(["summary", "alexnet", *options]) == 0
    text = capsys.readouterr().out
    assert "56x56" in text or "56, 56" in text


def test_plot(capsys, tmp_path):
    for options in ([], ["--figure2"]):
        file = tmp_path / f"picture{len(options)}.png"
        words = ["plot", "half", "--to-file", str(file), *options]
        assert main(words) == 0
        assert str(file) in capsys.readouterr().out
        assert matplotlib.image.imread(file).std() > 0.01


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["summary", "alexnot"], "invalid choice: 'alexnot'"),
        (["summary", "alexnet", "--padding", "sane"], "`padding` must be"),
        (["summary", "alexnet", "--input-size", "66"], "67x67"),
        (["summary", "alexnet", "--input-size", "x"], "not a whole number"),
        (["plot", "alexnet", "--input-size", "66"], "67x67"),
        (["plot", "lenet5", "--to-file", "picture.doc"], ".doc"),
        (["train", "--recipe", "fly"], "invalid choice"),
        (["train", "--epochs", "0"], "whole number"),
        (["train", "--seed", "-1"], "`seed`"),
        (["train", "--learning-rate", "nan"], "`learning_rate`"),
        (["train", "--data", ""], "needs --data"),
        (["train", "--run-dir", ""], "--run-dir is empty"),
        (["train", "--variant", "alexnet", "--crop-pixels", "66"], "67x67"),
        (["plot", "lenet5", "--to-file", "/proc/x/y.svg"], "cannot be written"),
        (["evaluate", "/etc/hostname"], "cannot be read"),
        (["train", "--learning-rate", "-1"], "`learning_rate`"),
        (["train", "--data", "/nowhere"], "no folder '/nowhere'"),
        (["train", "--recipe", "folder"], "needs --data"),
        (["train", "--crop-pixels", "99"], "must not be larger"),
        (["evaluate", "/nowhere"], "no file '/nowhere'"),
        (["predict", "/nowhere", "a.png"], "no file '/nowhere'"),
        (["predict", "/nowhere"], "IMAGES"),
        (["predict", "/", "a.png", "--to-file", "a.doc"], "does not end in"),
        (["evaluate", "/", "--confusion", "a.doc"], "does not end in"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    capsys, words, sentence, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(capsys, *words)


def test_train_evaluate_predict(tmp_path, class_folders, capsys):
    """One process each, as on a terminal."""
    photos = class_folders({"blue": 20, "red": 20})
    folder = tmp_path / "run"
    options = ["--data", photos, "--run-dir", folder, "--batch-size", 8]
    options += ["--variant", "cifar10_18pct", "--epochs", 2]
    options += ["--resize-pixels", 32, "--crop-pixels", 32]
    result = run_command("train", *options)
    assert result.returncode == 0, result.stderr
    assert "Test accuracy" in result.stdout
    assert main(["evaluate", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 8
    file = tmp_path / "photo.png"
    keras.utils.save_img(file, np.full((50, 60, 3), 128))
    words = ["predict", str(folder), str(file)]
    assert main([*words, "--format", "json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert {name for name, _ in answer["top"]} == {"blue", "red"}
    assert main(words) == 0
    assert "%" in capsys.readouterr().out
    # A file that is missing, one that is no image, and other classes.
    (tmp_path / "text.png").write_text("text")
    bad = [str(tmp_path / name) for name in ("missing.png", "text.png")]
    assert main([*words, *bad]) == 1
    output = capsys.readouterr()
    assert "%" in output.out
    assert "missing.png: there is no such file" in output.err
    assert "text.png: is not an image" in output.err
    others = class_folders({"blue": 1, "green": 1}, "others")
    sentence = refusal(capsys, "evaluate", folder, "--data", others)
    assert "missing red; unknown green" in sentence


def test_a_terminal_sees_one_sentence_and_nothing_of_tensorflow(tmp_path):
    result = run_command("evaluate", tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("keras-alexnet: ")
    assert result.stderr.count("\n") == 1


def test_interrupting_is_not_an_error_with_a_traceback(tmp_path):
    folder = tmp_path / "run"
    # A shell's background jobs ignore Ctrl-C, and so would their children.
    script = (
        "import signal, sys\nfrom keras_alexnet.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.exit(main(['train', '--run-dir', sys.argv[1]]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not (folder / "recipe.json").exists():
                assert time.monotonic() < deadline
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("seconds", [0.15, 0.4, 1.5])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_while_it_starts_is_one_sentence(
    tmp_path, seconds, number, code
):
    """Among our own imports, and among TensorFlow's."""
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from keras_alexnet.__main__ import main\n"
        "print(flush=True)\n"
        "sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "train", "--run-dir", tmp_path / "run"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            process.stdout.readline()
            time.sleep(seconds)
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code
    assert errors == "keras-alexnet: interrupted\n"


@pytest.mark.parametrize(("times", "code"), [(1, 0), (2, -signal.SIGTERM)])
def test_handlers_at_the_exit_survive_one_signal(times, code):
    script = (
        "import atexit, sys, time\n"
        "from keras_alexnet.__main__ import main\n"
        "def flush():\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(1.5)\n"
        "    print('flushed')\n"
        "atexit.register(flush)\n"
        "sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, "variants"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while "begun" not in process.stdout.readline():
            assert process.poll() is None
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")
    assert output == ("flushed\n" if times == 1 else "")
