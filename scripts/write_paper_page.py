"""Write docs/paper.md: what `keras-alexnet paper` prints, and the results.

`python scripts/write_paper_page.py`
"""

import json
import pathlib
import statistics

import keras_alexnet as ka
from keras_alexnet.paper.authors_log import LOG
from keras_alexnet.paper.authors_log import LogTable
from keras_alexnet.paper.experiments import EXPERIMENTS

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "paper"

TEXT = """# The paper, checked and reproduced

<!-- Written by scripts/write_paper_page.py. -->

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep
Convolutional Neural Networks", NIPS 2012, statement by statement: what it
prints and what this package computes from its own tables, layers and recipes
when the command runs. Nothing on the right is copied. "differs" is known to be
so, for the reason given; "BROKEN" would be a mistake of this package, and the
command then ends with exit code 1.

```sh
keras-alexnet paper                       # this table; --format json, markdown
keras-alexnet paper differences           # the text against the code that won
keras-alexnet paper log                   # the authors' own log
keras-alexnet paper run figure1 --data cifar10/   # an experiment, resumable
```

The experiments: `figure1`, ReLU against tanh; `section3`, one change at a time;
`local`, the 13 % and the 11 % net; `flowers`, the authors' ablations; `start`,
the initial values.

## Statements

{statements}

## The text and the code that won

{differences}

Each but the third, which `alexnet` has already, can be turned alone, such as
`Recipe("mine", variations=("alpha_over_n",))`. All together make of the recipe
`paper` what `alexnet_2012` trains; a test holds that.

## The authors' log

{log}

## Experiments

`keras-alexnet paper run NAME --data DIR` trains all that an experiment
compares; what is finished is kept, what was stopped goes on. `--quick` tries
two epochs of 512 images. Photos that `prepare-data` has prepared are read
faster. We had CIFAR-10 only as JPEG copies of its images, which are a little
blurred: errors are not quite those of the original files. To prepare
those, for `--data cifar10`:

```python
names = "airplane automobile bird cat deer dog frog horse ship truck".split()
train, test = (
    ka.Examples(images, labels[:, 0], tuple(names))
    for images, labels in keras.datasets.cifar10.load_data()
)
ka.prepare_data({{"train": train, "test": test}}, "cifar10", resize_pixels=32)
```

**The 18 % net of CIFAR-10**, trained to the end of its own recipe
(`keras-alexnet train --recipe cifar10_18pct --data cifar10/`, seed 0): test
error **19.75 %** (1,975 of 10,000), where its authors say 18 %. 140 epochs,
rate .001, divided by ten after 120 and 130; no crops, no flips. The images
were JPEG copies of CIFAR-10's, for training and for testing; whether that
explains the 1.75 points was not tried. One core of an Intel Xeon at 2.3 GHz,
2 h 35 min with other work beside it (1,200 images/s alone). It is shipped,
0.4 MB:

```python
model = ka.AlexNet("cifar10_18pct", weights="cifar10")
```

![Learning curves of the 18 % net](../img/cifar10_18pct_curves.png)

Log, counts and confusion matrix: `benchmarks/cifar10_18pct`.

{experiments}

## Figures 3 and 4

From a run on flower photos (`keras-alexnet train --recipe flowers`, accuracy
0.8166, `benchmarks/flowers`), the paper's being of ImageNet. Photos: Flickr's,
CC BY, from TensorFlow's flower_photos; `https://www.flickr.com/photo.gne?id=`
and the number that a name begins with leads to the photo and who took it.

**Figure 3**, conv1's kernels, one tower above the other (`keras-alexnet kernels
runs/flowers`). In the paper "the kernels on GPU 1 are largely color-agnostic,
while the kernels on GPU 2 are largely color-specific", in every run. Here they
are not: both towers have color scores of 0.68; [inside.md](inside.md) says how
it is measured and what was tried.

![conv1's kernels, tower A and tower B](../img/flower_kernels.png)

**Figure 4, left**: photos of the test part with their classes by probability
(`keras-alexnet predict`).

![Eight photos with bars for their five classes](../img/flower_top5.png)

**Figure 4, right**: photos of the test part and the six of the training part
whose 4,096 values of fc7 are nearest by Euclidean distance (`keras-alexnet
features`, then `similar`). They agree in what they show rather than in their
pixels; where they do not (a tulip bed and roses, a dandelion and bark), the
network has taken texture and color for the class.

![Five photos and the six nearest to each](../img/flower_nearest.png)

All three: `scripts/make_pictures.sh flowers runs/flowers flower_photos_256`,
which has the commands and the names of the photos.
"""


# The ways of the experiment `flowers` that the log has, and against what.
IN_LOG = {
    "half of it": ("145-half", "145-2010"),
    "no normalization": ("148", "145"),
    "pooling without overlap": ("147", "145"),
}


def beside_the_log(results):
    """The authors' points of top-1 error, and ours on flowers."""
    errors = {}
    for row in results["trainings"]:
        errors.setdefault(row["arm"], []).append(row["top1_error_percent"])
    first = next(iter(errors.values()))
    lines = [
        "The same changes in the authors' log:",
        "",
        "| points of top-1 error more | log, ImageNet | flowers, by seed |",
        "| :-- | --: | --: |",
    ]
    for arm, (config, other) in IN_LOG.items():
        log = LOG[config].top1 - LOG[other].top1
        ours = [a - b for a, b in zip(errors[arm], first, strict=True)]
        by_seed = ", ".join(f"{points:+.2f}" for points in ours)
        mean = statistics.mean(ours)
        lines.append(f"| {arm} | {log:+.2f} | {by_seed}; mean {mean:+.2f} |")
    return "\n".join(lines)


def experiments():
    """The tables of all experiments that were run, with their pictures."""
    parts = []
    for path in sorted(RESULTS.glob("*/results.md")):
        name = path.parent.name
        parts.append(f"### `{name}`\n\n{path.read_text().strip()}")
        picture = path.with_name("results.png")
        if picture.exists():
            place = f"../benchmarks/paper/{name}/results.png"
            parts.append(f"![{name}: the table above as a picture]({place})")
            data = EXPERIMENTS[name].data.lower().replace("-", "")
            command = f"keras-alexnet paper run {name} --data {data}/"
            parts.append(f"```sh\n{command}\n```")
        if name == "flowers":
            results = json.loads(path.with_suffix(".json").read_text())
            parts.append(beside_the_log(results))
        notes = path.with_name("notes.md")
        if notes.exists():
            parts.append(notes.read_text().strip())
    return "\n\n".join(parts)


def main():
    text = TEXT.format(
        statements=ka.check_paper().to_markdown(),
        differences=ka.paper_differences().to_markdown(),
        log=LogTable().to_markdown(),
        experiments=experiments(),
    )
    (ROOT / "docs" / "paper.md").write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
