#!/usr/bin/env bash
# Write pictures of img/ anew:
#   scripts/make_pictures.sh diagrams              # the networks
#   scripts/make_pictures.sh terminal              # trains, 5 minutes
#   scripts/make_pictures.sh fashion RUN           # of `keras-alexnet train`
#   scripts/make_pictures.sh cifar10 RUN           # of --recipe cifar10_18pct
#   scripts/make_pictures.sh flowers RUN PHOTOS    # of --recipe flowers, and
#                                                  # flower_photos_256
# All stand on white or, the terminal, on black, so that they can be read on
# dark pages too, and in colors that the color-blind can tell apart.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
img=$here/../img

diagrams() {
  for ending in png svg; do
    keras-alexnet plot alexnet --to-file "$img/alexnet.$ending"
    keras-alexnet plot alexnet --figure2 --to-file "$img/figure2.$ending"
  done
  keras-alexnet plot single_tower --to-file "$img/single_tower.png"
}

terminal() {
  python "$here/draw_terminal.py" "$img/terminal.svg" "keras-alexnet train" \
    "ls -C -w 92 runs/fashion"
}

fashion() {
  cp "$1/curves.png" "$img/fashion_curves.png"
  cp "$1/confusion_matrix.png" "$img/fashion_confusion_matrix.png"
}

cifar10() {
  cp "$1/curves.png" "$img/cifar10_18pct_curves.png"
}

smaller() { # and with fewer colors: a sheet of photos is large
  python - "$1" <<'PYTHON'
import sys

from PIL import Image

image = Image.open(sys.argv[1]).convert("RGB")
size = 1100, round(1100 * image.height / image.width)
image.resize(size, Image.Resampling.LANCZOS).quantize(256).save(
    sys.argv[1], optimize=True
)
PYTHON
}

flowers() {
  local run photos
  run=$(realpath "$1") photos=$(realpath "$2")
  cp "$run/curves.png" "$img/flowers_curves.png"
  keras-alexnet kernels "$run" --to-file "$img/flower_kernels.png"
  (
    cd "$photos/val" # the names of the files are those of the photos
    keras-alexnet predict "$run" --to-file "$img/flower_top5.png" \
      daisy/10437929963_bc13eebe0c.jpg daisy/1374193928_a52320eafa.jpg \
      dandelion/1241011700_261ae180ca.jpg dandelion/14002252932_64d5cbdac7.jpg \
      roses/14166797345_d2ab9da518.jpg roses/14573732424_1bb91e2e42_n.jpg \
      sunflowers/14460075029_5cd715bb72_m.jpg tulips/13197345653_0f685b3c97_n.jpg
    features=$(mktemp -d)/train.npz
    keras-alexnet features "$run" ../train --to-file "$features"
    keras-alexnet similar "$run" "$features" --top 6 \
      --to-file "$img/flower_nearest.png" --queries \
      daisy/1150395827_6f94a5c6e4_n.jpg dandelion/14002252932_64d5cbdac7.jpg \
      roses/10503217854_e66a804309.jpg sunflowers/12471791574_bb1be83df4.jpg \
      tulips/122450705_9885fff3c4_n.jpg
  )
  smaller "$img/flower_top5.png"
  smaller "$img/flower_nearest.png"
}

case ${1:-} in
  diagrams | terminal | fashion | cifar10 | flowers) "$@" ;;
  *) sed -n '2,8s/^# //p' "$0" >&2 && exit 2 ;;
esac
