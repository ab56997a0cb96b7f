#!/usr/bin/env bash
# A debugger stops in a kernel on the emulator at one CUDA thread, and stays with that thread when it
# steps over a barrier, where the emulator goes on with all others. gdb_test.sh PROGRAM
set -euo pipefail
if ! command -v gdb >/dev/null; then
  echo "SKIPPED: gdb steps through a kernel: there is no gdb"
  exit 77
fi
source=$(dirname "$0")/../../kernels/gpu/reduce.cuh
barrier=$(($(grep -n 'if (row >= half) continue;' "$source" | cut -d: -f1) - 1))
# tbreak, since -O2 spreads the line over several addresses, which would stop the steps.
said=$(gdb -q -batch -nx -ex "tbreak reduce.cuh:$barrier if threadIdx.x == 5" -ex run -ex next \
  -ex 'printf "thread %d of block %d in row %d\n", threadIdx.x, blockIdx.x, row' -ex next -ex next \
  -ex 'printf "still thread %d, half %d\n", threadIdx.x, half' -ex backtrace -ex kill \
  --args "$1" -tc="GPU pools: averages of windows*" 2>&1)
# The command that the tour gives a reader.
command=$(grep -m 1 '^    gdb ' "$(dirname "$0")/../../TOUR.md")
command=${command/gdb -q/gdb -q -batch -nx}
shown=$(eval "${command/build\/check\/tests_simt/\"\$1\"}" 2>&1 </dev/null || true)
grep -q 'hit Breakpoint.*images_kernel' <<<"$shown" || { echo "the tour's command: $shown"; exit 1; }
for wanted in "hit Temporary breakpoint" "global_values_kernel" "thread 5 of block" "still thread 5, half"; do
  grep -qF "$wanted" <<<"$said" || { echo "gdb did not say \"$wanted\":"; echo "$said"; exit 1; }
done
