"""This project and PyTorch in turn, on the same machine in one run: the ratios of throughput.

    ./run bench peers
    .deps/torch/bin/python bench/peers/compare.py --folds-data lgg.h5 --out bench/results/peers.json

Two comparisons, each in rounds, ours and theirs one after the other in every round:
step   bench_training and subtype_net.py: whole training steps of SubtypeNet in f32, batch 32, on one
       batch in memory; PyTorch eager and compiled, the faster one of the round counts.
folds  `gliograd crossval` and folds.py: the same folds, epochs, batch and window on a prepared set,
       without augmentation and with the light one. Ours is the time of the whole command, start,
       reading and run folder included; PyTorch's clock starts when it is loaded and has its data.
A ratio is ours over theirs within one round; above 1 ours is faster. It is given for wall time and
for CPU time of all threads, which other work on the machine disturbs less. On a busy machine threads
that spin while they wait spoil both sides: --wait passive (OMP_WAIT_POLICY) is set for both.

No AUC is looked at: folds.py prints none, our output is dropped, the ledger is a temporary file, and
the target is one that the study does not report.
"""
import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = lambda text: [int(part) for part in text.split(",")]
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "bench"),
                        help="holds gliograd and bench_training")
    parser.add_argument("--only", choices=["step", "folds"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="subtype", choices=["subtype", "subtype-large"])
    parser.add_argument("--sizes", type=numbers, default=[80, 128])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20, help="timed steps in a round")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--folds-data", help="a prepared set; without it the folds are left out")
    parser.add_argument("--folds-threads", type=int, default=2)
    parser.add_argument("--target", default="neoplasm_histologic_grade=2")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--presets", type=lambda text: text.split(","), default=["off", "light"])
    parser.add_argument("--wait", choices=["passive", "active"], default="passive")
    parser.add_argument("--out", help="JSON with every round; default bench/results/peers-DATE.json")
    return parser.parse_args()


def run(command, args):
    """(standard output, wall seconds, CPU seconds, peak bytes) of a program that must succeed."""
    environment = dict(os.environ, OMP_WAIT_POLICY=args.wait.upper())
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdout=out, stderr=errors, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        if child.returncode != 0:
            errors.seek(0)
            sys.exit(f"{shlex.join(command)}: exit {child.returncode}\n"
                     + errors.read().decode(errors="replace")[-2000:])
        out.seek(0)
        return (out.read().decode(), seconds, usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024)


def step_round(args, size, threads):
    common = ["--model", args.model, "--size", str(size), "--batch", str(args.batch), "--threads",
              str(threads), "--warmup", str(args.warmup), "--steps", str(args.steps)]
    ours = [os.path.join(args.build, "bench_training"), *common, "--data", "no", "--rounds", "1",
            "--json"]
    theirs = [sys.executable, os.path.join(ROOT, "bench", "peers", "subtype_net.py"), *common,
              "--rounds", "1", "--mode", "best"]
    a = json.loads(run(ours, args)[0])
    b = json.loads(run(theirs, args)[0])
    timed = [mode for mode in b["modes"].values() if "error" not in mode]
    best = {key: max(mode[key] for mode in timed)
            for key in ("images_per_second", "images_per_cpu_second")}
    return {"ours": {key: a[key] for key in best}, "theirs": best, "modes": b["modes"],
            "ratio": a["images_per_second"] / best["images_per_second"],
            "cpu_ratio": a["images_per_cpu_second"] / best["images_per_cpu_second"],
            "versions": {"pytorch": b["version"], "onednn": a["onednn"],
                         "allocator": b["allocator"]},
            "commands": [shlex.join(ours), shlex.join(theirs)]}


def folds_round(args, preset, folder):
    run_folder = os.path.join(folder, "run")
    ours = [os.path.join(args.build, "gliograd"), "crossval", "--data", args.folds_data, "--target",
            args.target, "--out", run_folder, "--epochs", str(args.epochs), "--batch",
            str(args.batch), "--preset", preset, "--threads", str(args.folds_threads), "--seed", "1",
            "--ledger", os.path.join(folder, "looks.csv"), "--no-progress"]
    _, seconds, cpu_seconds, peak = run(ours, args)
    folds_csv = os.path.join(run_folder, "folds.csv")
    theirs = [sys.executable, os.path.join(ROOT, "bench", "peers", "folds.py"), "--data",
              args.folds_data, "--target", args.target, "--epochs", str(args.epochs), "--batch",
              str(args.batch), "--augment", preset, "--threads", str(args.folds_threads),
              "--folds-csv", folds_csv]
    b = json.loads(run(theirs, args)[0])
    return {"ours": {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak},
            "theirs": {"seconds": b["seconds"], "cpu_seconds": b["cpu_seconds"],
                       "folds": b["folds"], "patients": b["patients"]},
            "ratio": b["seconds"] / seconds, "cpu_ratio": b["cpu_seconds"] / cpu_seconds,
            "commands": [shlex.join(ours), shlex.join(theirs)]}


def compare(name, rounds, one_round, result):
    """Runs the rounds of one comparison, prints a line, and adds it to the result."""
    records = []
    for _ in range(rounds):
        records.append(dict(one_round(), load_average=os.getloadavg()[0]))
    row = {"name": name, "rounds": records}
    for key in ("ratio", "cpu_ratio"):
        values = [record[key] for record in records]
        row[key] = {"median": statistics.median(values), "lowest": min(values),
                    "highest": max(values)}
    wall, cpu = row["ratio"], row["cpu_ratio"]
    print(f"{name:44} wall {wall['median']:.2f} ({wall['lowest']:.2f} to {wall['highest']:.2f})"
          f"   CPU {cpu['median']:.2f} ({cpu['lowest']:.2f} to {cpu['highest']:.2f})", flush=True)
    for record in records:  # said once, not in every round
        row["commands"] = [portable(command, result) for command in record.pop("commands")]
        result["versions"].update(record.pop("versions", {}))
    result["comparisons"].append(row)


def portable(command, result):
    """The command without the places of this machine."""
    for place, name in result["places"]:
        command = command.replace(place, name)
    return command


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True,
                          check=False).stdout.strip()


def cpu_name():
    with open("/proc/cpuinfo") as info:
        return next((line.split(":", 1)[1].strip() for line in info if "model name" in line),
                    "unknown")


def save(result, path):
    result = {key: value for key, value in result.items() if key != "places"}
    loads = [record["load_average"] for row in result["comparisons"] for record in row["rounds"]]
    if loads:
        result["load_average"] = {"lowest": min(loads), "highest": max(loads)}
        result["note"] = ("measured on a shared machine: other work ran beside it"
                          if max(loads) > max(2, 1.5 * result["cores"]) else
                          "no other work to speak of")
    temporary = path + ".part"
    with open(temporary, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    os.replace(temporary, path)


def main():
    args = options()
    date = datetime.date.today().isoformat()
    path = args.out or os.path.join(ROOT, "bench", "results", f"peers-{date}.json")
    with tempfile.TemporaryDirectory() as scratch:
        result = {"date": date, "cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)),
                  "commit": git("rev-parse", "--short=12", "HEAD")
                            + ("+changes" if git("status", "--porcelain", "-uno") else ""),
                  "wait_policy": args.wait,
                  "versions": {"python": sys.version.split()[0]}, "comparisons": [],
                  "places": [(scratch, "SCRATCH"), (sys.executable, "python"), (ROOT + "/", "")]}
        result["places"][:0] = [(place, os.path.basename(place)) for place in
                                (args.folds_data, args.out) if place]
        result["places"].append((args.build, "build/bench"))
        result["command"] = portable(shlex.join(["bench/peers/compare.py", *sys.argv[1:]]), result)
        print("ours over theirs, median of the rounds (lowest to highest); above 1 ours is faster")
        if args.only != "folds":
            for size in args.sizes:
                for threads in args.threads:
                    compare(f"{args.model} step, {size}x{size}, {threads} thread(s)", args.rounds,
                            lambda: step_round(args, size, threads), result)
                    save(result, path)
        if args.only != "step":
            if not args.folds_data:
                print("folds: left out, no --folds-data")
            for preset in args.presets if args.folds_data else []:
                count = iter(range(args.rounds))
                compare(f"folds, {args.epochs} epochs, augmentation {preset}", args.rounds,
                        lambda: folds_round(args, preset,
                                            tempfile.mkdtemp(prefix=f"{preset}-{next(count)}-",
                                                             dir=scratch)), result)
                save(result, path)
    print(f"every round: {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
