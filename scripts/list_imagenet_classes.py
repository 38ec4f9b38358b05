"""Write the list of ImageNet's classes, with its notice.

    pip download --no-deps tensorflow_datasets==4.9.10
    unzip tensorflow_datasets-*.whl && apt-get install wordnet-base
    python scripts/list_imagenet_classes.py

The synsets of ILSVRC-2012 come from TensorFlow Datasets, in the order of their
ids, which is that of Caffe's and torchvision's outputs; the names are the first
words of WordNet 3.0 for them, whose offsets the ids are.
"""

import pathlib

IDS = pathlib.Path("tensorflow_datasets/datasets/imagenet2012/labels.txt")
WORDNET = pathlib.Path("/usr/share/wordnet/data.noun")
LICENSE = pathlib.Path("/usr/share/doc/wordnet-base/copyright")
ASSETS = pathlib.Path(__file__).parents[1] / "keras_alexnet" / "assets"
# Two names stand for two classes each; what WordNet says they are.
TOLD_APART = {
    "n02012849": "crane (bird)",
    "n03126707": "crane (machine)",
    "n03710637": "maillot (tights)",
    "n03710721": "maillot (tank suit)",
}
NOTICE = """\
The list imagenet_classes.txt was put together from two sources.

1. The 1,000 synset ids of ILSVRC-2012: TensorFlow Datasets 4.9.10,
   tensorflow_datasets/datasets/imagenet2012/labels.txt, Copyright The
   TensorFlow Datasets Authors, Apache License 2.0 (see LICENSE).
2. Their names: the first word of each synset in WordNet 3.0. Changed here:
   underscores are spaces, and "crane" and "maillot", which are two classes
   each, are told apart in parentheses. WordNet's license, as in Debian's
   package wordnet-base:

"""


def wordnet_names():
    """Synset id -> its first word."""
    lines = WORDNET.read_text().splitlines()
    fields = [line.split() for line in lines if line[0] != " "]
    return {f"n{field[0]}": field[4].replace("_", " ") for field in fields}


def main():
    """Write both files."""
    names = wordnet_names() | TOLD_APART
    lines = [
        f"{synset} {names[synset]}\n" for synset in IDS.read_text().split()
    ]
    (ASSETS / "imagenet_classes.txt").write_text("".join(lines))
    text = LICENSE.read_text()
    license_text = text[text.index(" This software") : text.index("Files: deb")]
    lines = [line.strip() for line in license_text.splitlines()]
    paragraphs = "\n".join("" if line == "." else line for line in lines)
    notice = NOTICE + paragraphs.strip() + "\n"
    (ASSETS / "imagenet_classes-NOTICE.txt").write_text(notice)


if __name__ == "__main__":
    main()
