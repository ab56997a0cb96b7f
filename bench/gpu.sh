#!/usr/bin/env bash
# All that wants a GPU, on a machine with one: builds, tests, sanitizes, times, compares. Needs no
# network and no library of files: a C++20 compiler, CMake, Ninja, the CUDA toolkit with cuDNN 9 (pip's
# will do) and, for `peers`, PyTorch and torchvision in python3.
#
#   bench/gpu.sh [--part build|test|sanitize|bench|peers]... [--only REGEX] [--out FOLDER]
#
# --only runs those of a part's programs whose names match, beside what earlier calls found.
# Parts can run in several calls; the build is kept in build/gpu, what each part found in
# build/gpu/parts. The last thing done is the result file, bench/results/gpu-NAME-DATE.json (or in
# FOLDER), of all parts so far, and a short table. Exit 1 where a part failed; the others are run all
# the same. PEERS_OPTIONS goes to bench/peers/gpu_step.py: PEERS_OPTIONS="--cells subtype:80:32". The
# peers are step, augment, folds, memory and, only where asked for, curves; alone (--only step) one is
# given the part's whole time.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  echo "gpu.sh: $1; see --help" >&2
  exit 2
}
parts=() out=bench/results only=
while [ $# -gt 0 ]; do
  case $1 in
    --part)
      case ${2:-} in
        build | test | sanitize | bench | peers) parts+=("$2") ;;
        *) usage "no part \"${2:-}\": there are build, test, sanitize, bench, peers" ;;
      esac
      shift 2 ;;
    --out)
      [ -n "${2:-}" ] || usage "--out wants a folder"
      out=$2
      shift 2 ;;
    --only)
      [ -n "${2:-}" ] || usage "--only wants a regular expression"
      only=$2
      shift 2 ;;
    --help) sed -n '2,16s/^# \?//p' "$0"; exit 0 ;;
    *) usage "unknown option $1" ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(build test sanitize bench peers)
build=build/gpu found=build/gpu/parts failed=0
mkdir -p $found

# note FILE NAME STATUS SECONDS LOG: a line of the part's record, with the log's end
note() {
  python3 - "$@" <<'PY'
import json, sys
file, name, status, seconds, log = sys.argv[1:6]
text = open(log, errors="replace").read()
words = {0: "passed", 77: "skipped", 124: "ran out of time"}
with open(file, "a") as out:
    out.write(json.dumps({"name": name, "status": words.get(int(status), "failed"), "exit": int(status),
                          "seconds": float(seconds), "output": text[-20000:]}) + "\n")
PY
}
# run FILE NAME LIMIT_SECONDS COMMAND...
run() {
  local file=$1 name=$2 limit=$3 log begin status
  shift 3
  [[ -z $only || $name =~ $only ]] || return 0
  log=$(mktemp) begin=$SECONDS
  timeout "$limit" "$@" >"$log" 2>&1
  status=$?
  echo "$name: exit $status, $((SECONDS - begin)) s"
  [ $status -eq 0 ] || [ $status -eq 77 ] || { failed=1; tail -n 25 "$log"; }
  note "$file" "$name" $status $((SECONDS - begin)) "$log"
  rm -f "$log"
}

part_build() {
  run $found/build.jsonl configure 120 cmake --preset gpu
  run $found/build.jsonl compile 400 cmake --build --preset gpu
}
part_test() {
  local program
  for program in $build/device_*_test; do
    run $found/test.jsonl "$(basename "$program")" 150 "$program"
  done
}
part_sanitize() {
  local tool
  for tool in memcheck racecheck initcheck synccheck; do
    run $found/sanitize.jsonl $tool 110 compute-sanitizer --tool $tool --error-exitcode 9 \
      $build/device_kernels_test
  done
}
part_bench() {
  local cell dtype preset model batch
  for cell in "subtype 80 32 f32" "subtype 80 32 tf32" "subtype 80 32 bf16" "subtype 80 32 f16" "subtype 128 32 bf16" \
    "subtype 128 64 bf16" "subtype 128 64 f16" "subtype-large 128 32 bf16" "subtype-large 128 32 f16" \
    "resnet18 224 128 bf16" "resnet18 224 128 f16" "resnet18 128 128 bf16" "resnet18 128 128 f16"; do
    set -- $cell
    run $found/bench.jsonl "step $cell" 60 \
      $build/gpu_bench_step --model "$1" --size "$2" --batch "$3" --dtype "$4"
  done
  for dtype in bf16 f16 f32; do
    run $found/bench.jsonl "kernels $dtype" 60 $build/gpu_bench_kernels --dtype $dtype
  done
  for preset in light full; do
    run $found/bench.jsonl "augment $preset" 30 $build/gpu_bench_augment --preset $preset
  done
  run $found/bench.jsonl "folds" 200 $build/gpu_bench_folds --rounds 3 --at-once 1,2,4,8,10
  for model in "subtype --size 80" "subtype --size 128" "resnet18 --size 224"; do
    run $found/bench.jsonl "largest $model" 90 \
      $build/gpu_bench_step serve <<<"largest --model $model --dtype bf16"
  done
  run $found/bench.jsonl "energy subtype 80 32" 60 \
    $build/gpu_bench_step --rounds 3 --steps 2500 --most-steps 2500
  run $found/bench.jsonl "energy resnet18 224 128" 60 \
    $build/gpu_bench_step --model resnet18 --size 224 --batch 128 --dtype f16 --rounds 3 --steps 150
  run $found/bench.jsonl ladder 120 $build/gpu_bench_ladder
  for batch in 1 2 4 8 16 64 128 256 512; do
    run $found/bench.jsonl "curve subtype 80 $batch" 30 \
      $build/gpu_bench_step --batch $batch --rounds 3 --slices 512 --most-steps 64
  done
  for cell in 64 96 160 224; do
    run $found/bench.jsonl "curve subtype $cell 32" 30 $build/gpu_bench_step --size $cell --rounds 3
  done
}
# peers NAME LIMIT_SECONDS COMMAND...: its rows are kept as they come. Alone it may take 450 seconds.
peers() {
  local name=$1 limit=$2 status
  shift 2
  [[ -z $only || $name =~ $only ]] || return 0
  [ -z "$only" ] || limit=450
  timeout "$limit" python3 "$@" >>$found/peers.jsonl
  status=$?
  [ $status -ne 124 ] || echo "peers $name: ran out of time; --only $name gives it more"
  [ $status -eq 0 ] || [ $status -eq 77 ] || failed=1
}
part_peers() {
  peers step 200 bench/peers/gpu_step.py ${PEERS_OPTIONS:-}
  peers augment 60 bench/peers/gpu_augment.py
  peers folds 120 bench/peers/gpu_folds.py
  peers memory 70 bench/peers/gpu_memory.py
  # Long enough to be asked for: the curves of both.
  [[ -z $only || ! curves =~ $only ]] || peers curves 450 bench/peers/gpu_step.py --cells curves \
    --presets light --modes eager,graph-compiled --rounds 3
}

for part in "${parts[@]}"; do
  [ -n "$only" ] || rm -f $found/"$part".jsonl
  "part_$part"
done
python3 bench/gpu/result.py $found "$out" || failed=1
exit $failed
