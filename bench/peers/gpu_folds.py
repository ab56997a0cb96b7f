"""Ten-fold cross-validation of SubtypeNet on one GPU: this program and PyTorch in turn, as ratios.

    python3 bench/peers/gpu_folds.py --ours build/gpu/gpu_bench_folds
    python3 bench/peers/gpu_folds.py --ways loop,processes5 --epochs 5 --rounds 3

Ours: all folds at once, and one after another (bench/gpu/folds_engine.hpp). PyTorch (torch_folds.py):
loop, one fold after another; streams, a CUDA graph a fold, each on a stream of its own; vmap, one step
for the stacked weights of all folds (vmap-f32 the same in TF32); processesN, the loop in N processes
that share the folds, processesN-mps the same under NVIDIA's multi-process service, which is started for
them and ended again where its program is there. All of PyTorch's steps are compiled and lie in CUDA
graphs (--mode), and are made before the clock starts; a round is a whole cross-validation from new
weights to scores, ours too. The fastest counts.
A ratio is the median time of the other over ours, its interval lies between the opposite quartiles.
over_one_after_another holds ours against itself. Rounds of half a second or more also tell joules an
image, by NVML; joules_over_best is ours over the best of the others. One JSON object goes to standard
output.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import turns
from torch_device import Meter, energy_counter, missing

WAYS = "loop,streams,vmap,vmap-f32,processes5,processes10,processes5-mps,processes10-mps"
MPS = "nvidia-cuda-mps-control"


def options(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/gpu/gpu_bench_folds",
                        help="the program that serves our folds; none: PyTorch alone")
    parser.add_argument("--ways", default=WAYS)
    parser.add_argument("--mode", default="", help="of PyTorch's steps; default graph-compiled")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--patients", type=int, default=110)
    parser.add_argument("--slices", type=int, default=12, help="of a patient")
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--at-once", default="10,1", help="our folds at once, each timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda",
                        help="of PyTorch; cpu: to try this program")
    return parser.parse_args(argv)


class Asking:
    """An engine with a request of its own: several can stand for one program."""

    def __init__(self, engine, request):
        self.engine, self.request = engine, request

    def ask(self, _):
        return self.engine.ask(self.request)


class Processes:
    """Loops in several processes that share the folds; a round ends when the last of them has."""

    def __init__(self, count, device, environment=None):
        self.engines = [turns.python_engine("torch_folds.py", device, environment=environment)
                        for _ in range(count)]
        self.meter = Meter(energy_counter() if device == "cuda" else None)

    def setup(self, **options):
        for engine in self.engines:
            engine.send(turns.request("setup", **options))
        self.facts = self.receive()[0]

    def receive(self):
        """Of all, so that no answer is left for the next request."""
        answers, failed = [], None
        for engine in self.engines:
            try:
                answers.append(engine.receive())
            except turns.EngineError as error:
                failed = error
        if failed:
            raise failed
        return answers

    def round(self, folds):
        self.meter.start()
        begin = time.perf_counter()
        for i, engine in enumerate(self.engines):
            engine.send("round " + " ".join(str(f) for f in range(i, folds, len(self.engines))))
        answers = self.receive()
        ms = 1e3 * (time.perf_counter() - begin)
        # The counter is the GPU's: what one process tells holds the others' work too.
        joules = self.meter.joules_per_image(sum(answer["nominal_images"] for answer in answers))
        return {"ms": ms, "patients": sum(answer["patients"] for answer in answers),
                "joules_per_image": joules}

    def close(self):
        for engine in self.engines:
            engine.close()


class Group:
    """Processes as take_turns wants them."""

    def __init__(self, processes, folds):
        self.processes, self.folds = processes, folds

    def ask(self, _):
        return self.processes.round(self.folds)


class Service:
    """NVIDIA's multi-process service, for those processes alone that get `environment`."""

    def __init__(self):
        self.folder, self.environment = None, None

    def start(self):
        if self.environment is None:
            if not shutil.which(MPS):
                raise turns.EngineError(f"no {MPS}")
            self.folder = tempfile.mkdtemp()
            environment = {"CUDA_MPS_PIPE_DIRECTORY": self.folder, "CUDA_MPS_LOG_DIRECTORY": self.folder}
            started = subprocess.run([MPS, "-d"], env={**os.environ, **environment},
                                     capture_output=True, text=True)
            if started.returncode != 0:
                raise turns.EngineError(f"{MPS}: {(started.stderr or started.stdout).strip()[:200]}")
            self.environment = environment
        return self.environment

    def stop(self):
        if self.environment:
            subprocess.run([MPS], input="quit\n", text=True, capture_output=True, timeout=60,
                           env={**os.environ, **self.environment})
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def measure(args, opened, service):
    shape = {"folds": args.folds, "epochs": args.epochs, "patients": args.patients,
             "slices": args.slices, "size": args.size, "batch": args.batch}
    result = {"bench": "folds", "cell": f"folds:{args.folds}:{args.epochs}", **shape}
    ready, errors, facts = {}, {}, {}
    if args.ours != "none":
        try:
            ours = turns.Engine([args.ours, "serve"])
            opened.append(ours)
            facts["ours"] = ours.setup(**shape, dtype="bf16")
            for count in args.at_once.split(","):
                ready[f"ours {count} at once"] = Asking(ours, f"round {count}")
        except turns.EngineError as error:
            errors["ours"] = str(error)[:300]
    mode = {"mode": args.mode} if args.mode else {}
    for way in args.ways.split(","):
        try:
            several = re.fullmatch(r"processes(\d+)(-mps)?", way)
            if several:
                environment = service.start() if several[2] else None
                engine = Processes(min(int(several[1]), args.folds), args.device, environment)
                opened.append(engine)
                engine.setup(**shape, way="loop", **mode)
                ready[way] = Group(engine, args.folds)
            else:
                engine = turns.python_engine("torch_folds.py", args.device)
                opened.append(engine)
                kind, _, dtype = way.partition("-")
                engine.setup(**shape, way=kind, **({"dtype": dtype} if dtype else {}), **mode)
                ready[way] = Asking(engine, "round")
            facts[way] = engine.facts
        except turns.EngineError as error:
            errors[way] = str(error)[:300]
    joules = {}
    values = turns.take_turns(ready, args.rounds, "", errors, joules=joules)
    result["facts"] = {name: fact for name, fact in facts.items()}
    turns.compared(result, values, {"over_one_after_another": "ours 1 at once", "over_loop": "loop"})
    turns.compared_energy(result, joules)
    result["errors"] = errors
    return result


def line(result):
    text = ", ".join(f"{n} {q[1] / 1e3:.2f} s" for n, q in result["ms"].items())
    if "over_best" in result:
        text += f"; {turns.ratio_text(result['over_best'])} of {result['best']}"
        text += turns.energy_text(result)
    if "over_one_after_another" in result:
        text += f"; {turns.ratio_text(result['over_one_after_another'])} of one after another"
    return f"{result['cell']}: {text or result['errors']}"


def main(argv=None):
    args = options(argv)
    if missing(args.device):
        print(f"SKIPPED: gpu_folds: {missing(args.device)}", file=sys.stderr)
        return 77
    # Where time is over (`timeout` ends the engines too) the service is ended all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    opened, service = [], Service()
    try:
        result = measure(args, opened, service)
    finally:
        for engine in opened:
            engine.close()
        service.stop()
    print(json.dumps(result), flush=True)
    print(line(result), file=sys.stderr)
    return 0 if result["ms"] else 1


if __name__ == "__main__":
    sys.exit(main())
