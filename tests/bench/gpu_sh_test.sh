#!/usr/bin/env bash
# bench/gpu.sh without a GPU: its options, and the result file that bench/gpu/result.py joins, with a
# stand-in for nvidia-smi. First argument: the project's folder.
set -uo pipefail
root=$1 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# refuses TEXT ARGUMENT...: exit 2, and the message holds TEXT
refuses() {
  local text=$1 said status
  shift
  said=$(bash "$root/bench/gpu.sh" "$@" 2>&1)
  status=$?
  if [ $status -ne 2 ] || [[ $said != *"$text"* ]]; then
    echo "gpu.sh $*: wanted exit 2 and \"$text\"; got $status and: $said"
    failed=1
  fi
}
refuses 'no part "everything"' --part everything
refuses 'no part ""' --part
refuses "unknown option --fast" --fast
refuses "--out wants a folder" --part bench --out
refuses "--only wants a regular expression" --only
refuses '--seconds wants 1 to 999999; got "0"' --seconds 0
refuses '--seconds wants 1 to 999999; got "a day"' --seconds "a day"
bash "$root/bench/gpu.sh" --help | grep -q -- "--part build|test|sanitize|bench|peers" || {
  echo "gpu.sh --help does not name its parts"
  failed=1
}

mkdir -p "$work/bin" "$work/parts"
cat >"$work/bin/nvidia-smi" <<'SMI'
#!/bin/sh
echo "NVIDIA Test 9, 1.2, 1980 MHz, 2619 MHz, 75.1 W, 30, 0x0000000000000000"
SMI
chmod +x "$work/bin/nvidia-smi"
echo '{"name": "device_cases_test", "status": "passed", "exit": 0, "seconds": 1, "output": ""}' \
  >"$work/parts/test.jsonl"
echo '{"cell": "subtype:80:32", "best": "torch graph", "over_best": {"ratio": 1.44, "interval": [1.4, 1.5]}}' \
  >"$work/parts/peers.jsonl"
echo '{"cell": "memory:a", "text": "memory:a: 0.80x of the peak bytes"}' >>"$work/parts/peers.jsonl"
table=$(PATH="$work/bin:$PATH" GLIOGRAD_COMMIT=abc python3 "$root/bench/gpu/result.py" "$work/parts" "$work/out")
file=$(echo "$work"/out/gpu-nvidia-test-9-*.json)
for text in "device_cases_test" "passed" "1.44x of torch graph (1.40 to 1.50)" "0.80x of the peak bytes" "$file"; do
  [[ $table == *"$text"* ]] || {
    echo "the table lacks \"$text\": $table"
    failed=1
  }
done
python3 - "$file" <<'PY' || failed=1
import json, sys
result = json.load(open(sys.argv[1]))
assert result["device"]["name"] == "NVIDIA Test 9" and result["device"]["power.draw"] == "75.1 W", result
assert result["commit"] == "abc" and len(result["parts"]["test"]) == 1, result
assert list(result["parts"]) == ["test", "peers"], result
PY

# A part's time: a project of stand-ins, whose programs take as long as their file says, or fail.
project=$work/project
mkdir -p "$project/bench/peers" "$project/build/gpu"
cp -r "$root/bench/gpu.sh" "$root/bench/gpu" "$project/bench"
cat >"$project/build/gpu/gpu_bench_step" <<'FAKE'
#!/bin/sh
echo "step $*" >>"${0%/*}/ran"
echo '{"ms": 0.5}'
case $* in
  "--model subtype --size 80 --batch 64 --dtype bf16") exec sleep "$(cat "${0%/*}/takes" 2>/dev/null || echo 0)" ;;
  *" f32") exit 9 ;;
esac
FAKE
for name in folds augment kernels ladder; do
  # shellcheck disable=SC2016  # that script's words
  printf '#!/bin/sh\necho "%s $*" >>"${0%%/*}/ran"\n' $name >"$project/build/gpu/gpu_bench_$name"
done
chmod +x "$project"/build/gpu/gpu_bench_*
for name in step folds augment memory; do
  echo "import sys, time
time.sleep(30 if '$name' == 'step' and 'quick' not in sys.argv else 0)
print('{\"cell\": \"$name\", \"text\": \"of $name\"}')" >"$project/bench/peers/gpu_$name.py"
done
# calls EXIT TEXT ARGUMENT...: what the project's gpu.sh says holds TEXT
calls() {
  local wanted=$1 text=$2 status
  shift 2
  begin=$SECONDS
  said=$(cd / && PATH="$work/bin:$PATH" bash "$project/bench/gpu.sh" --out "$project/out" "$@" 2>&1)
  status=$?
  if [ $status -ne "$wanted" ] || [[ $said != *"$text"* ]]; then
    echo "gpu.sh $*: wanted exit $wanted and \"$text\"; got $status and: $said"
    failed=1
  fi
}
# holds EXPRESSION: of the result's parts
holds() {
  python3 - "$1" "$(echo "$project"/out/gpu-*.json)" <<'PY' || { echo "not so: $1"; failed=1; }
import json, sys
parts = json.load(open(sys.argv[2]))["parts"]
status = {part: {row["name"]: row["status"] for row in rows if "status" in row}
          for part, rows in parts.items()}
bench, peers = status.get("bench", {}), status.get("peers", {})
sys.exit(0 if eval(sys.argv[1]) else str(status))
PY
}
only="bench/gpu.sh --part bench --only '^folds\$' runs it"
echo 30 >"$project/build/gpu/takes"
calls 3 "folds: not run: no time left; $only" --part bench --seconds 2
[ $((SECONDS - begin)) -lt 20 ] || { echo "a part of 2 seconds took $((SECONDS - begin))"; failed=1; }
[[ $said == *"bench    folds                                not run: no time left"* ]] || {
  echo "the table does not name what was not run: $said"
  failed=1
}
[ "$(wc -l <"$project/build/gpu/ran")" -eq 2 ] || { echo "not two programs ran"; failed=1; }
holds 'bench["step subtype 80 32 bf16"] == "passed"'
holds 'bench["step subtype 80 64 bf16"] == "cut short: no time left"'
holds 'sum(s == "not run: no time left" for s in bench.values()) == len(bench) - 2 and len(bench) > 30'
holds '"ms" in parts["bench"][1]["output"]'
holds 'list(bench)[6:10] == ["folds", "augment light", "augment full", "kernels bf16"]'
# What the record says to run is added to it, and takes the place of its own line alone.
run=$(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).read().splitlines()[6])["run"])' \
  "$project/build/gpu/parts/bench.jsonl")
eval "calls 0 'folds: exit 0' ${run#bench/gpu.sh} --seconds 5"
holds 'bench["folds"] == "passed" and bench["ladder"] == "not run: no time left"'
echo 0 >"$project/build/gpu/takes"
calls 1 "step subtype 80 32 f32: exit 9" --part bench --seconds 100
holds '{n for n, s in bench.items() if s != "passed"} == {"step subtype 80 32 f32"}'
# Peers have shares: one that ends in its own leaves the others theirs, and is no failure.
calls 3 "step: cut short: no time left" --part peers --seconds 20
holds '[r["cell"] for r in parts["peers"] if "cell" in r] == ["folds", "augment", "memory"]'
holds 'peers == {"step": "cut short: no time left", "folds": "passed", "augment": "passed", "memory": "passed"}'
PEERS_OPTIONS=quick calls 0 "of step" --part peers --only step
holds 'set(peers.values()) == {"passed"} and len(peers) == 4 and parts["peers"][-2]["cell"] == "step"'

# bench/compare: what is slower beyond noise fails, what is not does not.
compare() {
  local wanted=$1 text=$2 said status
  shift 2
  said=$("$root/bench/compare" "$@" 2>&1)
  status=$?
  if [ $status -ne "$wanted" ] || [[ $said != *"$text"* ]]; then
    echo "compare $*: wanted exit $wanted and \"$text\"; got $status and: $said"
    failed=1
  fi
}
python3 - "$work" <<'PY'
import json, sys
def write(name, device, rounds, kernel, torch):
    lines = "\n".join(json.dumps({"ms": ms}) for ms in rounds)
    kernels = json.dumps({"kernels": [{"kernel": "convert", "ms": kernel, "of_copy": 0.9, "row": "x"}]})
    json.dump({"device": {"name": device}, "parts": {
        "bench": [{"name": "step", "output": "noise\n" + lines}, {"name": "kernels", "output": kernels}],
        "peers": [{"cell": "a:1", "ms": {"ours bf16": [1, 1, 1], "torch eager": torch}}]}},
        open(f"{sys.argv[1]}/{name}.json", "w"))
write("a", "GPU", [1.0, 1.1, 1.2, 1.1, 1.0], [1, 1, 1], [4, 4, 4])
write("same", "GPU", [1.1, 1.2, 1.15, 1.1, 1.2], [1, 1.01, 1.02], [9, 9, 9])
write("slow", "GPU", [1.3, 1.4, 1.4, 1.5, 1.3], [1, 1, 1], [4, 4, 4])
write("other", "GPU 2", [1, 1], [1, 1, 1], [4, 4, 4])
write("zero", "GPU", [1, 1], [0, 1, 1], [4, 4, 4])
write("null", "GPU", [1, 1], [1, 1, 1], [None, 4, 4])
PY
compare 0 "4 compared, 0 slower beyond noise, 0 gone" "$work/a.json" "$work/same.json"
compare 1 "step  slower" "$work/a.json" "$work/slow.json"
compare 2 "GPU and GPU 2; --any-device" "$work/a.json" "$work/other.json"
compare 0 "4 compared" "$work/a.json" "$work/other.json" --any-device
compare 2 "zero.json: kernels: convert: not three times above 0" "$work/a.json" "$work/zero.json"
compare 2 "null.json: step a:1, torch eager: not three" "$work/null.json" "$work/a.json"
compare 2 "not a result file" "$work/a.json" "$root/README.md"
compare 2 "No such file" "$work/a.json" "$work/none.json"
exit $failed
