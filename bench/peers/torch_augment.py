"""PyTorch's augmentation alone as an engine that takes turns (turns.py):

    python3 bench/peers/torch_augment.py serve [cpu]
    setup --size 256 --batch 32 --preset light --pipeline gather [--mode default] [--mask no]
          [--dtype bf16]
    round N          times N batches: {"ms": of one, "joules_per_image"}

From a set of bytes on the device to a standardized batch there, channels-last (augmentation.py). Without
--mode what can be compiled is, and what draws on the device is replayed as a CUDA graph, with its
draws.
"""
import sys

import augmentation
from torch_device import MODES, serve

SLICES = 256


class Answers:
    def __init__(self, device):
        self.device, self.run, self.batch = device, None, None

    def setup(self, options):
        torch, device = self.device.torch, self.device
        self.run = self.batch = None
        device.fresh()
        torch.manual_seed(1)
        size, count = int(options["size"]), int(options["batch"])
        pipeline = options.get("pipeline", "gather")
        dtype = {"bf16": torch.bfloat16, "f16": torch.float16,
                 "f32": torch.float32}[options.get("dtype", "bf16")]
        data = augmentation.NoiseSet(torch, device.name, SLICES, size)
        source = augmentation.make(torch, pipeline, data, size, options.get("mask", "no") == "yes",
                                   options.get("preset", "light"), dtype)
        mode = options.get("mode") or self.usual_mode(pipeline)
        if mode not in MODES:
            raise ValueError(f"no mode {mode}; there are {', '.join(MODES)}")
        if mode.startswith("graph") and pipeline not in augmentation.GRAPHABLE:
            raise ValueError(f"{pipeline} draws on the host: a graph would repeat one draw")
        self.uniforms = torch.rand(count, source.columns, device=device.name)
        images_of = device.compiled(lambda u: source.images(u, source.rows(u)), mode)

        def one():
            torch.compiler.cudagraph_mark_step_begin()
            self.uniforms.uniform_()
            self.batch = images_of(self.uniforms)
        self.run = device.replayed(one, mode)
        for _ in range(4):
            self.run()
        device.wait()
        self.check(options)
        return {**device.facts(), "pipeline": pipeline, "mode": mode, "missing": source.missing,
                "peak_bytes": device.peak_bytes(),
                "bytes": self.batch.numel() * (1 + self.batch.element_size())}

    def usual_mode(self, pipeline):
        if pipeline not in augmentation.COMPILABLE:
            return "eager"
        return "graph-compiled" if self.device.gpu and pipeline in augmentation.GRAPHABLE else "default"

    def check(self, options):
        """The batch has the shape that was asked for, is finite, not flat, and changes."""
        torch = self.device.torch
        before = self.batch.float().clone()
        self.run()
        self.device.wait()
        after = self.batch.float()
        wanted = (int(options["batch"]), 4 if options.get("mask", "no") == "yes" else 3,
                  int(options["size"]), int(options["size"]))
        if tuple(after.shape) != wanted:
            raise RuntimeError(f"a batch of {tuple(after.shape)}, not {wanted}")
        if not (after.isfinite().all() and after.var() > 0.01):
            raise RuntimeError("the images of a batch are not finite, or flat")
        if torch.equal(before, after):
            raise RuntimeError("two batches are the same")

    def round(self, options):
        if self.run is None:
            raise ValueError("round: setup comes first")
        count = int(options[""][0])
        before = self.batch.float().clone()

        def work():
            for _ in range(count):
                self.run()
        self.device.meter.start()
        ms = self.device.ms(work)
        joules = self.device.meter.joules_per_image(count * len(before))
        after = self.batch.float()
        if not (after.isfinite().all() and after.var() > 0.01):
            raise RuntimeError("the images of a batch are not finite, or flat")
        if self.device.torch.equal(before, after):
            raise RuntimeError("two batches are the same")
        return {"ms": ms / count, "joules_per_image": joules}


if __name__ == "__main__":
    sys.exit(serve(__doc__, Answers, "setup", "round"))
