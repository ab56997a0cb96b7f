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
