#!/usr/bin/env bash
# The study of docs/plan.md: prepares the sets, pretrains, runs every arm for the seeds asked for, one seed
# of every arm first, and keeps what is small of each finished run under docs/results/ARM-S/.
# A run that was stopped is taken up; a finished one is not run again.
# Usage: GLIOGRAD_DATA=FOLDER [ARMS='NAME...'] bench/study.sh WORK_FOLDER [SEED...]
# (default: every arm, seeds 1 2 3)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=${1:?usage: bench/study.sh WORK_FOLDER [SEED...]}
shift
seeds=("$@")
[ ${#seeds[@]} -gt 0 ] || seeds=(1 2 3)
data=${GLIOGRAD_DATA:?set GLIOGRAD_DATA to the folder that holds lgg, gbm and natural}
target=COCCluster=2
ledger=$root/docs/looks.csv
mkdir -p "$work"

gliograd() { "${GLIOGRAD_BIN:-$root/build/release/gliograd}" "$@"; }

wants() {  # wants PATTERN: whether one of the arms asked for matches; all do where none is named
  local name
  for name in ${ARMS:-$1}; do
    # shellcheck disable=SC2254  # a pattern, not a text
    case $name in $1) return 0 ;; esac
  done
  return 1
}

prepare() {  # prepare KIND FOLDER FILE [OPTION...]
  local file=$work/$3
  [ -e "$file" ] || gliograd prepare "$1" "$data/$2" --out "$file" "${@:4}"
}

pretrain() {  # pretrain NAME OPTION...
  local name=$1
  shift
  [ -e "$work/$name/model.h5" ] || gliograd pretrain --out "$work/$name" \
    --mask none --epochs 60 --batch 16 --dropout 0 --intra-threads 1 "$@"
  keep "$work/$name" "pretrain-$name" metrics.json history.csv config.toml
}

keep() {  # keep RUN NAME FILE...
  local run=$1 kept=$root/docs/results/$2
  shift 2
  mkdir -p "$kept"
  for file in "$@"; do cp "$run/$file" "$kept/$file"; done
  # A path of one machine says nothing on another.
  sed -i -E "s#'($work|${ledger%/*})/#'#" "$kept/config.toml"
}

arm() {  # arm NAME SEED OPTION...
  local run=$work/$1-$2 name=$1-$2 seed=$2
  wants "$1" || return 0
  shift 2
  if [ ! -e "$run/metrics.json" ]; then
    gliograd crossval --data "$work/lgg.h5" --target "$target" --out "$run" --ledger "$ledger" \
      --seed "$seed" "$@"
    sed -i "s#,$work/#,#" "$ledger"
  fi
  keep "$run" "$name" config.toml folds.csv predictions.csv metrics.json
}

prepare lgg lgg lgg.h5
prepare gbm gbm gbm.h5 --crop window --slices all
prepare images natural photographs.h5
! wants '*-glioblastoma' || pretrain glioblastoma --data "$work/gbm.h5" --task tumor \
  --holdout-from source=tcga_gbm --window 80 --preset full
! wants '*-photographs' || pretrain photographs --data "$work/photographs.h5" --task category \
  --window 128 --preset light
from_glioblastoma=(--init "$work/glioblastoma/model.h5" --assume-disjoint)
from_photographs=(--init "$work/photographs/model.h5")

for seed in "${seeds[@]}"; do
  arm default-random "$seed"
  arm default-glioblastoma "$seed" "${from_glioblastoma[@]}"
  arm default-photographs "$seed" "${from_photographs[@]}"
  arm paper-random "$seed" --input paper
  arm paper-glioblastoma "$seed" --input paper "${from_glioblastoma[@]}"
  arm paper-photographs "$seed" --input paper "${from_photographs[@]}"
  arm mask-only "$seed" --sequences none
  arm image-without-mask "$seed" --mask none
  arm fused "$seed" --fuse shape,age
  arm fused-sites "$seed" --fuse shape,age --split site  # the best of the above
done
