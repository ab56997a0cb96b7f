"""Training steps on a GPU: this program and PyTorch in turn, cell by cell, as ratios.

    bench/gpu.sh --part peers
    python3 bench/peers/gpu_step.py --ours build/gpu/gpu_bench_step --cells subtype:80:32,resnet18:224:128

PyTorch's step is forward, softmax cross-entropy, backward and fused AdamW on one batch that lies on
the GPU, channels-last, under bf16 autocast, cuDNN choosing by timing, TF32 allowed: eager, with
torch.compile in its modes, and as one CUDA graph of the whole eager step. Ours draws each batch from
a set on the GPU, gathers, augments (--preset) and casts it before the same step, which PyTorch's
does not: its augmentation is left out of these cells, so our lead is larger than a ratio here says.
A round times --steps steps of each engine between two events of the device; engines take turns.
A cell's ratio is the median time of PyTorch's fastest mode over that of our faster type; its
interval lies between the ratios of their rounds' opposite quartiles. One JSON object a cell goes to standard output.
"""
import argparse
import json
import statistics
import subprocess
import sys

import subtype_net

COMPILED = ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", default="build/gpu/gpu_bench_step")
    parser.add_argument("--cells", default="subtype:80:32,subtype:80:64,subtype:128:32,subtype:128:64,"
                        "resnet18:128:128,resnet18:224:128", help="MODEL:SIZE:BATCH,...")
    parser.add_argument("--modes", default="eager,graph,default,reduce-overhead",
                        help="also max-autotune and max-autotune-no-cudagraphs, which take over a minute a cell")
    parser.add_argument("--preset", default="light", help="our augmentation: off, light, full")
    parser.add_argument("--ours-dtypes", default="bf16,f16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    return parser.parse_args()


class Ours:
    """gpu_bench_step serve: a request a line, an answer a line."""

    def __init__(self, program, model, size, batch, dtype, preset):
        self.process = subprocess.Popen([program, "serve"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.facts = self.ask(f"setup --model {model} --size {size} --batch {batch} --dtype {dtype}"
                              f" --preset {preset} --mode graph")

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the program ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def round(self, steps):
        return self.ask(f"round {steps}")["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Torch:
    def __init__(self, torch, mode, model, size, batch):
        torch.manual_seed(1)
        self.torch = torch
        channels, classes = (3, 1000) if model == "resnet18" else (4, 2)
        if model == "resnet18":
            import torchvision
            net = torchvision.models.resnet18(num_classes=classes)
        else:
            net = subtype_net.make(torch, model, channels, classes)
        self.net = net.cuda().to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3, fused=True,
                                           capturable=mode == "graph")
        self.images = torch.randn(batch, channels, size, size, device="cuda").contiguous(
            memory_format=torch.channels_last)
        self.labels = torch.randint(0, 2, (batch,), device="cuda")
        torch.cuda.reset_peak_memory_stats()
        self.forward = torch.compile(self.net, mode=mode) if mode in COMPILED else self.net
        self.loss = None
        self.run = self.step
        if mode == "graph":
            self.capture()
        for _ in range(8):
            self.run()
        torch.cuda.synchronize()
        self.peak_bytes = torch.cuda.max_memory_allocated()

    def step(self):
        torch = self.torch
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(self.forward(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        self.loss = loss.detach()

    def capture(self):
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.step()
        self.run = graph.replay
        self.keep = graph

    def round(self, steps):
        torch = self.torch
        before = next(self.net.parameters()).detach().clone()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(steps):
            self.run()
        end.record()
        torch.cuda.synchronize()
        if not torch.isfinite(self.loss):
            raise RuntimeError("PyTorch's loss is not finite")
        if torch.equal(before, next(self.net.parameters()).detach()):
            raise RuntimeError("PyTorch's weights did not change")
        return begin.elapsed_time(end) / steps


def quartiles(values):
    if len(values) == 1:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def measure(torch, args, cell):
    model, size, batch = cell.split(":")
    engines, result, errors = {}, {"cell": cell, "preset": args.preset}, {}
    for dtype in args.ours_dtypes.split(","):
        try:
            engines["ours " + dtype] = Ours(args.ours, model, size, batch, dtype, args.preset)
        except RuntimeError as error:
            errors["ours " + dtype] = str(error)[:300]
    for mode in args.modes.split(","):
        try:
            torch._dynamo.reset()
            engines["torch " + mode] = Torch(torch, mode, model, int(size), int(batch))
        except Exception as error:  # one mode that fails is a line of the result
            errors["torch " + mode] = str(error)[:300]
    times = {name: [] for name in engines}
    for _ in range(args.rounds):
        for name, engine in list(engines.items()):
            try:
                times[name].append(engine.round(args.steps))
            except Exception as error:
                errors[name] = str(error)[:300]
                del engines[name], times[name]
    result["ms"] = {name: quartiles(rounds) for name, rounds in times.items()}
    result["peak_bytes"] = {name: e.facts["peak_bytes"] if isinstance(e, Ours) else e.peak_bytes
                            for name, e in engines.items()}
    for engine in engines.values():
        if isinstance(engine, Ours):
            engine.close()
    result["errors"] = errors
    ours = [n for n in times if n.startswith("ours")]
    theirs = [n for n in times if n.startswith("torch")]
    if ours and theirs:
        fastest = min(ours, key=lambda n: result["ms"][n][1])
        best = min(theirs, key=lambda n: result["ms"][n][1])
        result["ours"], result["best"] = fastest, best
        for name, peer in (("over_best", best), ("over_eager", "torch eager")):
            if peer in times:
                a, b = result["ms"][peer], result["ms"][fastest]
                result[name] = {"ratio": a[1] / b[1], "interval": [a[0] / b[2], a[2] / b[0]]}
    return result


def main():
    args = options()
    import torch
    if not torch.cuda.is_available():
        print("SKIPPED: gpu_step: no GPU", file=sys.stderr)
        return 77
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    for cell in args.cells.split(","):
        print(json.dumps(measure(torch, args, cell)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
