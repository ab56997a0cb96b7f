"""Augmentation alone on a GPU: this program's kernel and PyTorch's pipelines in turn, as ratios.

    python3 bench/peers/gpu_augment.py --ours build/gpu/gpu_bench_augment
    python3 bench/peers/gpu_augment.py --presets full --cells 128:64 --pipelines gather,kornia

From a set of bytes on the GPU to a standardized batch in bf16 there, three channels: slices drawn, each
image augmented by its own draws. augmentation.py says what each pipeline does and leaves out,
torch_augment.py how it is run: compiled and as a CUDA graph where that is possible; --more-modes times
those two also in other modes. Where Kornia is not installed its engine is an error of the result, and
"affine" (the library calls Kornia makes, compiled as one) stands in.
A ratio is the median time of the other over ours, over_kornia that of Kornia or else of its stand-in;
its interval lies between the opposite quartiles. Ours and the best of the others then each work for
--energy-seconds more: joules an image, by NVML, and ours over theirs. One JSON object a cell and preset
goes to standard output.
"""
import argparse
import json
import sys

import augmentation
import turns
from torch_device import missing


def options(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/gpu/gpu_bench_augment",
                        help="the program that serves our augmentation; none: PyTorch alone")
    parser.add_argument("--cells", default="256:32", help="SIZE:BATCH,...")
    parser.add_argument("--presets", default="light,full")
    parser.add_argument("--pipelines", default=",".join(augmentation.PIPELINES))
    parser.add_argument("--more-modes", default="",
                        help="of gather and affine: default, reduce-overhead, max-autotune, ...")
    parser.add_argument("--ours-dtypes", default="bf16,f16,f32", help="bf16 counts against PyTorch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=50, help="of a round")
    parser.add_argument("--energy-seconds", type=float, default=1,
                        help="of the round that tells energy; 0: none")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda",
                        help="of PyTorch; cpu: to try this program")
    return parser.parse_args(argv)


def start(args):
    engines = {}
    for pipeline in args.pipelines.split(","):
        modes = [""] + ([m for m in args.more_modes.split(",") if m]
                        if pipeline in augmentation.GRAPHABLE else [])
        for mode in modes:
            engines[f"{pipeline} {mode}".strip()] = turns.python_engine("torch_augment.py", args.device)
    if args.ours != "none":
        for dtype in args.ours_dtypes.split(","):
            try:
                engines["ours " + dtype] = turns.Engine([args.ours, "serve"])
            except turns.EngineError as error:
                print(f"gpu_augment: {error}", file=sys.stderr)
    return engines


def measure(args, engines, cell, preset):
    size, batch = cell.split(":")
    result, errors, ready = {"bench": "augment", "cell": f"augment:{cell}:{preset}"}, {}, {}
    for name, engine in engines.items():
        first, _, second = name.partition(" ")
        try:
            if first == "ours":
                engine.setup(size=size, batch=batch, preset=preset, dtype=second)
            else:
                mode = {"mode": second} if second else {}
                engine.setup(size=size, batch=batch, preset=preset, pipeline=first, **mode)
            ready[name] = engine
        except turns.EngineError as error:
            errors[name] = str(error)[:300]
    values = turns.take_turns(ready, args.rounds, f"round {args.batches}", errors)
    result["leaves_out"] = {n: ready[n].facts["missing"] for n in values if "missing" in ready[n].facts}
    result["modes"] = {n: ready[n].facts["mode"] for n in values if "mode" in ready[n].facts}
    # f16 and f32 of ours are figures of their own; bf16 is what the others make.
    others = {n: v for n, v in values.items() if n.startswith("ours") and n != "ours bf16"}
    against = {"over_torchvision": "torchvision", "over_torchvision_each": "torchvision-each",
               "over_kornia": "kornia" if "kornia" in values else "affine"}
    turns.compared(result, {n: v for n, v in values.items() if n not in others}, against)
    result["ms"].update({n: turns.quartiles(v) for n, v in others.items()})
    result["images_per_second"] = {n: [1e3 * int(batch) / ms for ms in reversed(q)]
                                   for n, q in result["ms"].items()}
    turns.measure_energy(ready, result, args.energy_seconds, errors)
    result["errors"] = errors
    return result


def line(result):
    rates = ", ".join(f"{n} {q[1]:.0f}" for n, q in result["images_per_second"].items())
    text = f"{result['cell']}: images/s: {rates or 'none'}"
    if "over_best" in result:
        text += f"; {turns.ratio_text(result['over_best'])} of {result['best']}"
        text += turns.energy_text(result)
    return text


def main(argv=None):
    args = options(argv)
    if missing(args.device):
        print(f"SKIPPED: gpu_augment: {missing(args.device)}", file=sys.stderr)
        return 77
    engines, timed = start(args), 0
    try:
        for cell in args.cells.split(","):
            for preset in args.presets.split(","):
                result = measure(args, engines, cell, preset)
                timed += len(result["ms"]) > 0
                print(json.dumps(result), flush=True)
                print(line(result), file=sys.stderr)
    finally:
        for engine in engines.values():
            engine.close()
    return 0 if timed else 1


if __name__ == "__main__":
    sys.exit(main())
