#!/usr/bin/env bash
# All that wants a GPU, on a machine with one: builds, tests, sanitizes, times, compares. Needs no
# network and no library of files: a C++20 compiler, CMake, Ninja, the CUDA toolkit with cuDNN 9 (pip's
# will do) and, for `peers`, PyTorch and torchvision in python3.
#
#   bench/gpu.sh [--part build|test|sanitize|bench|peers]... [--only REGEX] [--seconds N] [--out FOLDER]
#
# --only runs those of a part's programs whose names match, beside what earlier calls found.
# A part ends after --seconds, 450 unless told otherwise; it and the result file together after 8
# minutes. Its programs go in the order of their weight, each for its own limit at most. Those that no
# time was left for are named, with the --only that runs them, here and in the result file.
# Parts can run in several calls; the build is kept in build/gpu, what each part found in
# build/gpu/parts. The last thing done is the result file, bench/results/gpu-NAME-DATE.json (or in
# FOLDER), of all parts so far, and a short table.
# Exit 1 where a program failed, the others are run all the same; 3 where none failed, but some were
# not run, or cut short, for want of time; 2 for wrong options.
# The peers are step, folds, augment, memory and, only where asked for, curves: each has a share of the
# part's time, or all of it where it is the only one (--only step). PEERS_OPTIONS goes to
# bench/peers/gpu_step.py: PEERS_OPTIONS="--cells subtype:80:32".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

usage() {
  echo "gpu.sh: $1; see --help" >&2
  exit 2
}
parts=() out=bench/results only='' seconds=450
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
    --seconds)
      [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || usage "--seconds wants 1 to 999999; got \"${2:-}\""
      seconds=$2
      shift 2 ;;
    --help) sed -n '2,/^set/s/^# \?//p' "$0"; exit 0 ;;
    *) usage "unknown option $1" ;;
  esac
done
[ ${#parts[@]} -gt 0 ] || parts=(build test sanitize bench peers)
build=build/gpu found=build/gpu/parts failed=0 unfinished=0
part='' ends=0
mkdir -p $found

# note NAME STATUS EXIT SECONDS LOG: a line of the part's record, with the log's end
note() {
  python3 - "$found/$part.jsonl" "$part" "$@" <<'PY'
import json, sys
file, part, name, status, code, seconds, log = sys.argv[1:]
row = {"name": name, "status": status, "exit": int(code), "seconds": float(seconds)}
if "no time left" in status:
    row["run"] = f"bench/gpu.sh --part {part} --only '^{name}$'"
if log:
    row["output"] = open(log, errors="replace").read()[-20000:]
with open(file, "a") as out:
    out.write(json.dumps(row) + "\n")
PY
}
wanted() { [[ -z $only || $1 =~ $only ]]; }
# left_of LIMIT: seconds of the part that are left, at most so many
left_of() {
  local left=$((ends - SECONDS))
  echo $((left < 0 ? 0 : left < $1 ? left : $1))
}
# no_time NAME STATUS EXIT SECONDS LOG: not the program's failure, but no pass either
no_time() {
  unfinished=1
  echo "$1: $2; bench/gpu.sh --part $part --only '^$1\$' runs it"
  note "$@"
}
# ended EXIT BEGAN GIVEN: what `timeout` made of it; one that had to be killed ran out of time too
ended() {
  if [ "$1" -eq 137 ] && [ $((SECONDS - $2)) -ge "$3" ]; then echo 124; else echo "$1"; fi
}
# run NAME LIMIT_SECONDS COMMAND...
run() {
  local name=$1 limit=$2 given log begin status word
  shift 2
  wanted "$name" || return 0
  given=$(left_of "$limit")
  [ "$given" -gt 0 ] || { no_time "$name" "not run: no time left" 124 0 ""; return 0; }
  log=$(mktemp) begin=$SECONDS
  timeout -k 5 "$given" "$@" >"$log" 2>&1
  status=$(ended $? $begin "$given")
  echo "$name: exit $status, $((SECONDS - begin)) s"
  case $status in
    0) word=passed ;;
    77) word=skipped ;;
    124) word="ran out of time" ;;
    *) word=failed ;;
  esac
  if [ "$status" -eq 124 ] && [ "$given" -lt "$limit" ]; then
    no_time "$name" "cut short: no time left" 124 $((SECONDS - begin)) "$log"
  else
    [ "$status" -eq 0 ] || [ "$status" -eq 77 ] || { failed=1; tail -n 25 "$log"; }
    note "$name" "$word" "$status" $((SECONDS - begin)) "$log"
  fi
  rm -f "$log"
}

part_build() {
  run configure 120 cmake --preset gpu
  run compile 400 cmake --build --preset gpu
}
part_test() {
  local program
  for program in "$build"/device_*_test; do
    run "$(basename "$program")" 150 "$program"
  done
}
part_sanitize() {
  local tool
  for tool in memcheck racecheck initcheck synccheck; do
    run $tool 110 compute-sanitizer --tool $tool --error-exitcode 9 $build/device_kernels_test
  done
}
# steps "MODEL SIZE BATCH DTYPE"...
steps() {
  local cell
  for cell in "$@"; do
    # shellcheck disable=SC2086  # four words
    set -- $cell
    run "step $cell" 60 $build/gpu_bench_step --model "$1" --size "$2" --batch "$3" --dtype "$4"
  done
}
part_bench() {
  local dtype preset model batch size
  steps "subtype 80 32 bf16" "subtype 80 64 bf16" "subtype 128 32 bf16" "subtype 128 64 bf16" \
    "resnet18 224 128 bf16" "resnet18 128 128 bf16"
  run folds 200 $build/gpu_bench_folds --rounds 3 --at-once 1,2,4,8,10
  for preset in light full; do
    run "augment $preset" 30 $build/gpu_bench_augment --preset $preset
  done
  run "kernels bf16" 60 $build/gpu_bench_kernels --dtype bf16
  steps "subtype 80 32 f16" "subtype 128 64 f16" "resnet18 224 128 f16" "resnet18 128 128 f16" \
    "subtype-large 128 32 bf16" "subtype-large 128 32 f16" "subtype 80 32 tf32" "subtype 80 32 f32"
  for model in "subtype --size 80" "subtype --size 128" "resnet18 --size 224"; do
    run "largest $model" 90 $build/gpu_bench_step serve <<<"largest --model $model --dtype bf16"
  done
  run "energy subtype 80 32" 60 $build/gpu_bench_step --rounds 3 --steps 2500 --most-steps 2500
  run "energy resnet18 224 128" 60 \
    $build/gpu_bench_step --model resnet18 --size 224 --batch 128 --dtype f16 --rounds 3 --steps 150
  run ladder 120 $build/gpu_bench_ladder
  for dtype in f16 f32; do
    run "kernels $dtype" 60 $build/gpu_bench_kernels --dtype $dtype
  done
  for batch in 1 2 4 8 16 64 128 256 512; do
    run "curve subtype 80 $batch" 30 \
      $build/gpu_bench_step --batch $batch --rounds 3 --slices 512 --most-steps 64
  done
  for size in 64 96 160 224; do
    run "curve subtype $size 32" 30 $build/gpu_bench_step --size $size --rounds 3
  done
}
# peers NAME SHARE COMMAND...: its rows are kept as they come, then a line on itself. Shares are of 450;
# the only one has them all. How far it comes in its share is no failure.
peers() {
  local name=$1 share=$2 given begin status
  shift 2
  wanted "$name" || return 0
  [ "$(matching)" -gt 1 ] || share=450
  share=$((share * seconds / 450))
  given=$(left_of $((share > 0 ? share : 1))) begin=$SECONDS
  [ "$given" -gt 0 ] || { no_time "$name" "not run: no time left" 124 0 ""; return 0; }
  timeout -k 5 "$given" python3 "$@" >>$found/peers.jsonl
  status=$(ended $? $begin "$given")
  echo "$name: exit $status, $((SECONDS - begin)) s"
  case $status in
    0) note "$name" passed 0 $((SECONDS - begin)) "" ;;
    77) note "$name" skipped 77 $((SECONDS - begin)) "" ;;
    124) no_time "$name" "cut short: no time left" 124 $((SECONDS - begin)) "" ;;
    *) failed=1; note "$name" failed "$status" $((SECONDS - begin)) "" ;;
  esac
}
# How many peers this call runs.
matching() {
  local name count=0
  for name in step folds augment memory; do
    wanted $name && count=$((count + 1))
  done
  echo $count
}
part_peers() {
  # shellcheck disable=SC2086  # options are words
  peers step 200 bench/peers/gpu_step.py ${PEERS_OPTIONS:-}
  peers folds 120 bench/peers/gpu_folds.py
  peers augment 60 bench/peers/gpu_augment.py
  peers memory 70 bench/peers/gpu_memory.py
  # Long enough to be asked for: the curves of both.
  [[ -z $only || ! curves =~ $only ]] || peers curves 450 bench/peers/gpu_step.py \
    --cells curves --presets light --modes eager,graph-compiled --rounds 3
}

for part in "${parts[@]}"; do
  [ -n "$only" ] || rm -f $found/"$part".jsonl
  ends=$((SECONDS + seconds))
  "part_$part"
done
python3 bench/gpu/result.py $found "$out" || failed=1
[ $failed -eq 0 ] || exit 1
[ $unfinished -eq 0 ] || exit 3
