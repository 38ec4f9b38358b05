#!/usr/bin/env bash
# Write the pictures of img/ anew. The fashion_*.png come out of the run folder
# of `keras-alexnet train`; give it as an argument to copy them.
set -euo pipefail
cd "$(dirname "$0")/.."
for ending in png svg; do
  keras-alexnet plot alexnet --to-file "img/alexnet.$ending"
  keras-alexnet plot alexnet --figure2 --to-file "img/figure2.$ending"
done
keras-alexnet plot single_tower --to-file img/single_tower.png
if [ $# -gt 0 ]; then
  cp "$1/curves.png" img/fashion_curves.png
  cp "$1/confusion_matrix.png" img/fashion_confusion_matrix.png
fi
