"""Joins what the parts of bench/gpu.sh found to one result file a GPU, and prints a short table.

    python3 bench/gpu/result.py build/gpu/parts bench/results
"""
import datetime
import json
import os
import re
import subprocess
import sys

import measurements

FIELDS = ["name", "driver_version", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu",
          "clocks_throttle_reasons.active"]


def output_of(*command, seconds=4):
    """Empty where there is no such program, or it fails or hangs: bench/gpu.sh has its time."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True,
                              timeout=seconds).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu():
    row = output_of("nvidia-smi", "--query-gpu=" + ",".join(FIELDS), "--format=csv,noheader")
    values = [value.strip() for value in row.splitlines()[0].split(",")] if row else []
    return dict(zip(FIELDS, values))


def known(rows):
    """Without the lines on programs that no time was left for, where another call ran them since or
    before; of several such lines the last one."""
    unfinished = lambda row: "no time left" in row.get("status", "")
    last = {row["name"]: i for i, row in enumerate(rows) if unfinished(row)}
    done = {row["name"] for row in rows if "status" in row and not unfinished(row)}
    return [row for i, row in enumerate(rows)
            if not unfinished(row) or (last[row["name"]] == i and row["name"] not in done)]


def main():
    folder, out = sys.argv[1:3]
    device = gpu()
    if not device:
        print("gpu.sh: no GPU: no result file", file=sys.stderr)
        return 0
    nvcc = re.search(r"release ([\d.]+)", output_of("nvcc", "--version"))
    result = {"device": device, "date": datetime.date.today().isoformat(),
              "commit": os.environ.get("GLIOGRAD_COMMIT") or output_of("git", "rev-parse", "HEAD"),
              "toolkit": nvcc.group(1) if nvcc else "",
              "torch": output_of("python3", "-c", "import torch; print(torch.__version__)", seconds=10),
              "parts": {}}
    for part in ["build", "test", "sanitize", "bench", "peers"]:
        path = os.path.join(folder, part + ".jsonl")
        if os.path.exists(path):
            with open(path) as lines:
                result["parts"][part] = known([json.loads(line) for line in lines])
    name = re.sub(r"[^a-z0-9]+", "-", device["name"].lower()).strip("-")
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, f"gpu-{name}-{result['date']}.json")
    with open(path, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    for part, rows in result["parts"].items():
        for row in rows:
            if part == "peers" and "over_best" in row:
                r = row["over_best"]
                print(f"peers  {row['cell']:<22} {r['ratio']:.2f}x of {row['best']} "
                      f"({r['interval'][0]:.2f} to {r['interval'][1]:.2f})")
            elif part == "peers" and "text" in row:
                print(f"peers  {row['text']}")
            elif "status" in row:
                print(f"{part:<8} {row['name']:<36} {row['status']}"
                      + (f"; {row['run']}" if "run" in row else ""))
    for row in result["parts"].get("bench", []):
        for name, times in measurements.of_bench(row).items():
            print(f"ms       {name:<56} {times[1]:9.4f} ({times[0]:.4f} to {times[2]:.4f})")
        for record in measurements.records(row.get("output", "")):
            for kernel in record.get("kernels", []):
                if kernel.get("of_copy") is not None:
                    print(f"copy     {kernel['kernel']:<36} {100 * kernel['of_copy']:5.0f} % of a copy's "
                          f"bandwidth, {kernel['row']}")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
