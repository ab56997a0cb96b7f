#!/usr/bin/env python3
"""Runs a command and prints the most memory that it and all its child processes held at once.

    bench/peak_memory.py gliograd prepare lgg lgg-mri-segmentation/kaggle_3m --out lgg.h5

/usr/bin/time knows the largest single process alone, and a sum of resident sets counts a shared page
once a process. So this adds up proportional set sizes (/proc/PID/smaps_rollup), every 20 ms: a page
that n processes share counts 1/n in each. A peak shorter than that may be missed. Linux only; needs
nothing but Python.
"""

import os
import subprocess
import sys
import time

INTERVAL_SECONDS = 0.02


def family(first):
    """The process and all that descend from it, by one pass over /proc."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        children.setdefault(parent, []).append(int(name))
    pids = [first]
    for pid in pids:  # grows while it is walked
        pids += children.get(pid, [])
    return pids


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0  # it has ended


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if len(sys.argv) > 1 else 2
    start = time.monotonic()
    try:
        process = subprocess.Popen(sys.argv[1:])
    except OSError as error:
        sys.exit(f"peak_memory: {sys.argv[1]}: {error.strerror}")
    peak = {}  # by the number of processes there were
    samples = 0
    while process.poll() is None:
        sizes = [pss_kib(pid) for pid in family(process.pid)]
        samples += 1
        count = sum(size > 0 for size in sizes)
        if count == 0:
            continue  # not started yet, or ended
        peak[count] = max(peak.get(count, 0), sum(sizes))
        time.sleep(INTERVAL_SECONDS)
    if not peak:
        sys.exit("peak_memory: the command ended before it could be looked at")
    print(
        f"peak {max(peak.values()) / 1024:.0f} MiB ("
        + ", ".join(f"with {n} processes {peak[n] / 1024:.0f}" for n in sorted(peak))
        + f"); {time.monotonic() - start:.1f} s, {samples} samples",
        file=sys.stderr,
    )
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
