"""Training steps on a GPU: this program and PyTorch in turn, cell by cell, as ratios.

    bench/gpu.sh --part peers
    python3 bench/peers/gpu_step.py --ours build/gpu/gpu_bench_step --cells subtype:80:32,resnet18:224:128
    python3 bench/peers/gpu_step.py --cells curves --modes eager,graph-compiled

PyTorch's step is forward, softmax cross-entropy, backward and fused AdamW, channels-last, under bf16
autocast, cuDNN choosing by timing, TF32 allowed: eager, with torch.compile in its modes, and as one
CUDA graph, of the eager step or of the compiled one. torch_step.py says how.
With --preset light or full both draw each batch from a set of bytes on the GPU, gather, augment,
standardize and cast it inside the step; PyTorch by the pipeline of --pipelines that makes the cell's
batches fastest (all are timed first; augmentation.py says what they are). With off ours still draws
and gathers, PyTorch repeats one batch that lies there in bf16.
Each engine is a process of its own; they take turns. A round times --steps steps between two events
of the device, and checks that the loss is sound and that every weight changed.
A cell's ratio is the median time of PyTorch's fastest mode over that of our faster type; its interval
lies between the ratios of their rounds' opposite quartiles. Those two then each work for
--energy-seconds more: joules an image, by NVML, and ours over theirs. One JSON object a cell goes to
standard output, a line for people to standard error.
"""
import argparse
import json
import sys

import turns
from torch_device import MODES, missing

TABLE = ("subtype:80:32,subtype:80:64,subtype:128:32,subtype:128:64,resnet18:128:128,"
         "resnet18:224:128")
CURVES = ",".join([f"subtype:80:{2 ** i}" for i in range(10)]
                  + [f"subtype:{size}:32" for size in (64, 96, 128, 160, 192, 224)])


def options(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/gpu/gpu_bench_step",
                        help="the program that serves our step; none: PyTorch alone")
    parser.add_argument("--cells", default="table",
                        help="table, curves (batch 1 to 512, size 64 to 224), or MODEL:SIZE:BATCH,...")
    parser.add_argument("--modes", default="eager,default,reduce-overhead,graph,graph-compiled",
                        help="also max-autotune and max-autotune-no-cudagraphs, which take over a "
                        "minute a cell; known: " + ", ".join(MODES))
    parser.add_argument("--presets", default="light,off", help="augmentation: off, light, full")
    parser.add_argument("--pipelines", default="gather,affine,torchvision")
    parser.add_argument("--ours-dtypes", default="bf16,f16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--energy-seconds", type=float, default=1,
                        help="of the round that tells energy; 0: none")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda",
                        help="of PyTorch; cpu: to try this program")
    return parser.parse_args(argv)


def cells_of(text):
    return {"table": TABLE, "curves": CURVES}.get(text, text).split(",")


def fastest_pipeline(engine, args, cell, preset, result, errors):
    """Times each pipeline alone; the fastest one's name."""
    model, size, batch = cell.split(":")
    times = {}
    for pipeline in args.pipelines.split(","):
        try:
            engine.ask(turns.request("setup", size=size, batch=batch, preset=preset,
                                     pipeline=pipeline, mask="no" if model == "resnet18" else "yes"))
            rounds = [engine.ask(f"round {args.steps}")["ms"] for _ in range(3)]
            times[pipeline] = turns.quartiles(rounds)
        except turns.EngineError as error:
            errors["pipeline " + pipeline] = str(error)[:300]
    result["pipelines_ms"] = times
    if not times:
        raise turns.EngineError("no pipeline could be timed")
    return turns.fastest(list(times), times)


def start(args):
    """The engines of all cells: each PyTorch mode, each of our types, the pipelines."""
    engines = {"torch " + mode: turns.python_engine("torch_step.py", args.device)
               for mode in args.modes.split(",")}
    if args.ours != "none":
        for dtype in args.ours_dtypes.split(","):
            try:
                engines["ours " + dtype] = turns.Engine([args.ours, "serve"])
            except turns.EngineError as error:
                print(f"gpu_step: {error}", file=sys.stderr)
    return engines, turns.python_engine("torch_augment.py", args.device)


def measure(args, engines, pipelines, cell, preset):
    model, size, batch = cell.split(":")
    result, errors, ready = {"bench": "step", "cell": f"{cell}:{preset}"}, {}, {}
    options = {"model": model, "size": size, "batch": batch, "preset": preset}
    extra = {}
    if preset != "off":
        try:
            extra["pipeline"] = result["pipeline"] = fastest_pipeline(pipelines, args, cell, preset,
                                                                      result, errors)
        except turns.EngineError as error:
            errors["pipelines"] = str(error)[:300]
    for name, engine in engines.items():
        kind, what = name.split(" ", 1)
        try:
            if kind == "ours":
                engine.setup(**options, dtype=what, mode="graph")
            else:
                engine.setup(**options, mode=what, **extra)
            ready[name] = engine
        except turns.EngineError as error:  # one mode that fails is a line of the result
            errors[name] = str(error)[:300]
    values = turns.take_turns(ready, args.rounds, f"round {args.steps}", errors)
    result["settings"] = next((e.facts["settings"] for e in ready.values()
                               if "settings" in e.facts), "")
    result["peak_bytes"] = {n: ready[n].facts.get("peak_bytes", 0) for n in values}
    result["held_bytes"] = {n: ready[n].facts.get("held_bytes", 0) for n in values}
    turns.compared(result, values, {"over_eager": "torch eager"})

    def again(name, count):  # ours has its slices drawn for so many steps from the start
        if name.startswith("ours"):
            ready[name].setup(**options, dtype=name.split(" ")[1], mode="graph",
                              most_steps=max(8, count))
    turns.measure_energy(ready, result, args.energy_seconds, errors, again)
    result["errors"] = errors
    return result


def line(result):
    if "over_best" not in result:
        return f"{result['cell']}: nothing to compare; {result['errors']}"
    text = f"{turns.ratio_text(result['over_best'])} of {result['best']}" + turns.energy_text(result)
    if "over_eager" in result:
        text += f", {turns.ratio_text(result['over_eager'])} of eager"
    return f"{result['cell']}: {text}"


def main(argv=None):
    args = options(argv)
    if missing(args.device):
        print(f"SKIPPED: gpu_step: {missing(args.device)}", file=sys.stderr)
        return 77
    engines, pipelines = start(args)
    timed = 0
    try:
        for cell in cells_of(args.cells):
            for preset in args.presets.split(","):
                result = measure(args, engines, pipelines, cell, preset)
                timed += len(result["ms"]) > 0
                print(json.dumps(result), flush=True)
                print(line(result), file=sys.stderr)
    finally:
        for engine in [*engines.values(), pipelines]:
            engine.close()
    return 0 if timed else 1  # timing nothing is no result


if __name__ == "__main__":
    sys.exit(main())
