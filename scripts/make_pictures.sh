#!/usr/bin/env bash
# Write every picture in img/ anew (README's diagrams).
set -euo pipefail
cd "$(dirname "$0")/.."
for variant in alexnet single_tower; do
  keras-alexnet plot "$variant" --to-file "img/$variant.png"
done
keras-alexnet plot alexnet --figure2 --to-file img/alexnet_figure2.png
keras-alexnet plot single_tower --figure2 --to-file img/single_tower_figure2.png
