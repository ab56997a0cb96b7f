"""Memory of a training step on a GPU: its peak, and the largest batch that fits; ours and PyTorch's.

    python3 bench/peers/gpu_memory.py --ours build/gpu/gpu_bench_step --cells subtype:80:64,resnet18:224:128

Engines follow one another, each in a process of its own that is alone on the GPU. peak_bytes: the most
that lay in tensors of a step at the cell's batch, weights, optimizer and the set of bytes too, without
CUDA's own. largest_batch: doubled from the cell's batch until a step fails, then halved in to 1 in 32;
torch.compile is asked for dynamic shapes there. Both sides augment as in gpu_step.py (--preset).
Ratios are ours over PyTorch's best mode: of the peak below 1, of the largest batch above 1 is better.
They come from one run each: what is allocated does not vary, so they have no interval.
"""
import argparse
import json
import sys

import turns
from torch_device import missing


def options(argv):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/gpu/gpu_bench_step",
                        help="the program that serves our step; none: PyTorch alone")
    parser.add_argument("--cells", default="subtype:80:32,subtype:128:64,resnet18:224:128",
                        help="MODEL:SIZE:BATCH,...")
    parser.add_argument("--modes", default="eager,default,graph-compiled",
                        help="of PyTorch; the last one's graph is left out of the largest batch")
    parser.add_argument("--preset", default="light")
    parser.add_argument("--limit", type=int, default=1 << 20, help="the largest batch to try")
    parser.add_argument("--largest", choices=["yes", "no"], default="yes")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda",
                        help="of PyTorch; cpu: to try this program")
    return parser.parse_args(argv)


def measure(args, cell):
    model, size, batch = cell.split(":")
    result = {"bench": "memory", "cell": "memory:" + cell, "peak_bytes": {}, "largest_batch": {},
              "refused": {}, "errors": {}}
    names = ["torch " + mode for mode in args.modes.split(",")]
    if args.ours != "none":
        names.insert(0, "ours bf16")
    for name in names:
        kind, what = name.split(" ")
        own = {"model": model, "size": size, "batch": batch, "preset": args.preset,
               **({"dtype": what} if kind == "ours" else {"mode": what})}
        engine = None
        try:
            engine = (turns.Engine([args.ours, "serve"]) if kind == "ours"
                      else turns.python_engine("torch_step.py", args.device))
            engine.setup(**own)
            engine.ask("round 8")  # what is measured trains
            result["peak_bytes"][name] = engine.facts["peak_bytes"]
            if args.largest == "yes" and not what.startswith("graph"):
                found = engine.ask(turns.request("largest", **own, limit=args.limit))
                result["largest_batch"][name] = found["largest_batch"]
                result["refused"][name] = found.get("refused", "")[:300]
        except turns.EngineError as error:
            result["errors"][name] = str(error)[:300]
        finally:
            if engine:
                engine.close()
    compared(result)
    return result


def compared(result):
    """Ours over the best of the others, where both are known."""
    said = []
    for key, best, words in (("peak_bytes", min, "of the peak bytes"),
                             ("largest_batch", max, "of the largest batch")):
        found = result[key]
        theirs = [value for name, value in found.items() if not name.startswith("ours")]
        if "ours bf16" in found and theirs and best(theirs) > 0:
            result[key + "_ratio"] = found["ours bf16"] / best(theirs)
            said.append(f"{result[key + '_ratio']:.2f}x {words}")
    result["text"] = f"{result['cell']}: {', '.join(said) or 'nothing to compare'}"


def main(argv=None):
    args = options(argv)
    if missing(args.device):
        print(f"SKIPPED: gpu_memory: {missing(args.device)}", file=sys.stderr)
        return 77
    known = 0
    for cell in args.cells.split(","):
        result = measure(args, cell)
        known += len(result["peak_bytes"]) > 0
        print(json.dumps(result), flush=True)
        print(result["text"], file=sys.stderr)
    return 0 if known else 1


if __name__ == "__main__":
    sys.exit(main())
