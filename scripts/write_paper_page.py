"""Write docs/paper.md: what `keras-alexnet paper` prints, and the results.

`python scripts/write_paper_page.py`
"""

import pathlib

import keras_alexnet as ka
from keras_alexnet.paper import LogTable

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

## Statements

{statements}

## The text and the code that won

{differences}

One of them can be turned at a time, such as
`Recipe("mine", variations=("alpha_over_n",))`. All together make of the recipe
`paper` what `alexnet_2012` trains; a test holds that.

## The authors' log

{log}

## Experiments

`keras-alexnet paper run NAME --data DIR` trains all that an experiment
compares; what is finished is kept, what was stopped goes on. `--quick` tries
two epochs of 512 images. Photos that `prepare-data` has prepared are read
faster. CIFAR-10 was there as JPEG copies of its images, which are a little
blurred: errors are not quite those of the original files.

**The 18 % net of CIFAR-10**, trained to the end of its own recipe
(`keras-alexnet train --recipe cifar10_18pct --data cifar10/`, seed 0): test
error **19.75 %** (1,975 of 10,000), where its authors say 18 %. 140 epochs,
rate .001, divided by ten after 120 and 130; no crops, no flips. The images
were JPEG copies of CIFAR-10's, for training and for testing; whether that is
what the 1.75 points are was not tried. One core of an Intel Xeon at 2.3 GHz,
2 h 35 min with other work beside it (1,200 images/s alone). It is shipped,
0.4 MB:

```python
model = ka.AlexNet("cifar10_18pct", weights="cifar10")
```

![Learning curves of the 18 % net](../img/cifar10_18pct_curves.png)

Log, counts and confusion matrix: `benchmarks/cifar10_18pct`.

{experiments}
"""


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
