"""Training-step throughput of gliograd's networks in PyTorch on the CPU: the opponent in bench/.

    python3 -m venv .deps/torch && .deps/torch/bin/pip install torch numpy
    .deps/torch/bin/python bench/peers/subtype_net.py --batch 32 --size 80 --threads 1

A step is forward, softmax cross-entropy, backward and one AdamW update, on images that lie in
memory. Settings that make PyTorch fastest are used: channels-last, gradients set to None, the fused
optimizer, and tcmalloc in place of the C library's allocator where it is installed (apt-get install
libtcmalloc-minimal4; the program starts itself again with LD_PRELOAD set, --allocator default
leaves it out). --mode best times eager and torch.compile in turn and reports both; the faster one
counts. One JSON object goes to standard output.
"""
import argparse
import glob
import json
import os
import platform
import statistics
import sys
import time

TCMALLOC = ["/usr/lib/*/libtcmalloc_minimal.so.4", "/usr/lib/*/libtcmalloc.so.4",
            "/usr/lib/libtcmalloc_minimal.so.4"]


def with_tcmalloc():
    """Starts this program again with tcmalloc in front; comes back where that is not possible."""
    if "tcmalloc" in os.environ.get("LD_PRELOAD", ""):
        return
    for pattern in TCMALLOC:
        for path in glob.glob(pattern):
            os.environ["LD_PRELOAD"] = path
            os.execv(sys.executable, [sys.executable] + sys.argv)


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["subtype", "subtype-large"], default="subtype")
    parser.add_argument("--widths", default=None, help="16-32-64-96; subtype-large 32-64-128-256")
    parser.add_argument("--depth", type=int, default=None, help="convolutions or blocks a stage")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=80, help="height and width in pixels")
    parser.add_argument("--channels", type=int, default=4)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32", help="bf16: autocast")
    parser.add_argument("--mode", choices=["eager", "compile", "best"], default="best")
    parser.add_argument("--allocator", choices=["auto", "default"], default="auto")
    parser.add_argument("--warmup", type=int, default=5, help="steps before each round")
    parser.add_argument("--steps", type=int, default=20, help="timed steps a round")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def convolution_norm(nn, cin, cout, kernel=3, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(cout))


def subtype(torch, channels, classes, widths=(16, 32, 64, 96), depth=1, dropout=0.0):
    """Stages of depth x (3x3 convolution, batch norm, ReLU) and a 2x2 max pool; pooled; linear."""
    nn = torch.nn
    layers = []
    for width in widths:
        for _ in range(depth):
            layers += [convolution_norm(nn, channels, width), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
               nn.Linear(channels, classes)]
    return nn.Sequential(*layers)


def subtype_large(torch, channels, classes, widths=(32, 64, 128, 256), depth=2, dropout=0.0):
    """3x3 stem, stages of basic residual blocks, stride 2 from the second stage on."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, cin, cout, stride):
            super().__init__()
            self.inner = nn.Sequential(convolution_norm(nn, cin, cout, 3, stride),
                                       nn.ReLU(inplace=True), convolution_norm(nn, cout, cout))
            same = cin == cout and stride == 1
            self.shortcut = nn.Identity() if same else convolution_norm(nn, cin, cout, 1, stride)

        def forward(self, x):
            return torch.relu_(self.inner(x) + self.shortcut(x))

    layers = [convolution_norm(nn, channels, widths[0]), nn.ReLU(inplace=True)]
    channels = widths[0]
    for stage, width in enumerate(widths):
        for block in range(depth):
            layers.append(Block(channels, width, 2 if stage > 0 and block == 0 else 1))
            channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
               nn.Linear(channels, classes)]
    return nn.Sequential(*layers)


def make(torch, name, channels, classes, widths=None, depth=None, dropout=0.0):
    chosen = {}
    if widths:
        chosen["widths"] = tuple(int(width) for width in widths.split("-"))
    if depth:
        chosen["depth"] = depth
    builder = subtype if name == "subtype" else subtype_large
    return builder(torch, channels, classes, dropout=dropout, **chosen)


def train_step(torch, net, optimizer, bf16):
    """A function (images, labels) -> loss that makes one whole step."""
    def step(images, labels):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = net(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss
    return step


def measure(torch, args, mode):
    """Images a second of each round, by wall time and by the CPU time of all threads."""
    torch.manual_seed(1)
    net = make(torch, args.model, args.channels, args.classes, args.widths, args.depth)
    net = net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    images = torch.randn(args.batch, args.channels, args.size, args.size)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, args.classes, (args.batch,))
    step = train_step(torch, torch.compile(net) if mode == "compile" else net, optimizer,
                      args.dtype == "bf16")
    rates = []
    for _ in range(args.rounds):
        for _ in range(args.warmup):
            step(images, labels)
        begin, cpu = time.perf_counter(), time.process_time()
        for _ in range(args.steps):
            loss = step(images, labels)
        count = args.steps * args.batch
        rates.append((count / (time.perf_counter() - begin), count / (time.process_time() - cpu)))
    if not torch.isfinite(loss):
        sys.exit("the loss is not finite")
    return rates


def cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def main():
    args = options()
    if args.allocator == "auto":
        with_tcmalloc()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    torch.set_num_threads(args.threads)
    modes = ["eager", "compile"] if args.mode == "best" else [args.mode]
    results = {}
    for mode in modes:
        try:
            rates = measure(torch, args, mode)
        except Exception as error:  # torch.compile wants a compiler; eager must work
            if mode == "eager":
                raise
            results[mode] = {"error": str(error).splitlines()[0]}
            continue
        wall, cpu = zip(*rates)
        results[mode] = {"images_per_second": statistics.median(wall), "lowest": min(wall),
                         "highest": max(wall), "images_per_cpu_second": statistics.median(cpu)}
    timed = {mode: r for mode, r in results.items() if "error" not in r}
    if not timed:
        sys.exit(f"nothing was timed: {results}")
    best = max(timed, key=lambda mode: timed[mode]["images_per_second"])
    print(json.dumps({
        "peer": "pytorch", "version": str(torch.__version__), "cpu": cpu_name(),
        "model": args.model, "batch": args.batch, "size": args.size, "channels": args.channels,
        "dtype": args.dtype, "threads": args.threads, "rounds": args.rounds, "steps": args.steps,
        "allocator": "tcmalloc" if "tcmalloc" in os.environ.get("LD_PRELOAD", "") else "default",
        "modes": results, "best_mode": best,
        "images_per_second": timed[best]["images_per_second"],
    }))


if __name__ == "__main__":
    main()
