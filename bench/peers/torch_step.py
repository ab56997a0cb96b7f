"""PyTorch's training step as an engine that takes turns (turns.py):

    python3 bench/peers/torch_step.py serve [cpu]
    setup --model subtype --size 80 --batch 32 --mode graph [--preset light] [--pipeline gather]
    round N          times N steps: {"ms": of one, "loss": of the last, "joules_per_image"}
    largest --model subtype --size 80 --mode default [--limit N]     the largest batch whose step fits

A step is forward, softmax cross-entropy, backward and fused AdamW, channels-last, bf16 autocast.
--preset off: on one bf16 batch that lies on the device. Otherwise each step first draws its slices
and augments them by that pipeline (augmentation.py) from a set of bytes on the device. In the modes
of torch.compile augmentation, forward and loss are compiled as one function; "graph" and
"graph-compiled" put the whole step, draws and optimizer too, into one CUDA graph. Where the network
runs eagerly, a pipeline that can be compiled is.
"""
import sys

import augmentation
import subtype_net
from torch_device import MODES, serve

CLASSES = {"resnet18": 1000, "subtype": 2, "subtype-large": 2}
SLICES = 256


def make_network(torch, model):
    if model not in CLASSES:
        raise ValueError(f"no model {model}; there are {', '.join(CLASSES)}")
    if model == "resnet18":
        import torchvision
        return torchvision.models.resnet18(num_classes=CLASSES[model])
    return subtype_net.make(torch, model, 4, CLASSES[model])


class Step:
    def __init__(self, device, model, size, batch, mode, preset="off", pipeline="gather",
                 dynamic=False):
        if mode not in MODES:
            raise ValueError(f"no mode {mode}; there are {', '.join(MODES)}")
        torch = device.torch
        self.device, self.mode, self.batch = device, mode, batch
        torch.manual_seed(1)
        net = make_network(torch, model)
        self.net = net.to(device.name).to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3, fused=True,
                                           capturable=device.gpu and mode.startswith("graph"))
        self.mask = model != "resnet18"
        self.feed(size, preset, pipeline)
        self.loss_of = device.compiled(self.loss_eagerly, mode, dynamic)
        self.loss = None
        self.run = device.replayed(self.step, mode, lambda: self.optimizer.zero_grad(True))
        self.facts = {"missing": getattr(self.source, "missing", "all")}
        if self.source is not None:
            self.check_images()

    def feed(self, size, preset, pipeline):
        """What a batch is made of: numbers drawn anew each step, or a batch that stays."""
        torch, device = self.device.torch, self.device
        half = torch.bfloat16
        if preset == "off":
            self.source = None
            channels = 4 if self.mask else 3
            self.images = torch.randn(self.batch, channels, size, size, device=device.name).to(
                half).contiguous(memory_format=torch.channels_last)
            self.labels = torch.arange(self.batch, device=device.name) % 2
            return
        data = augmentation.NoiseSet(torch, device.name, SLICES, size)
        self.source = augmentation.make(torch, pipeline, data, size, self.mask, preset, half)
        self.uniforms = torch.rand(self.batch, self.source.columns, device=device.name)
        self.draw_images = self.source.images
        if self.mode.startswith("graph") and pipeline not in augmentation.GRAPHABLE:
            raise ValueError(f"{pipeline} draws on the host: a graph would repeat one draw")
        if device.gpu and self.mode in ("eager", "graph") and pipeline in augmentation.COMPILABLE:
            self.draw_images = device.torch.compile(self.source.images, dynamic=False)

    def check_images(self):
        """Two draws must differ, and hold something."""
        torch = self.device.torch
        images = []
        for _ in range(2):
            self.uniforms.uniform_()
            rows = self.source.rows(self.uniforms)
            images.append(self.draw_images(self.uniforms, rows).float().clone())
        if not all(x.isfinite().all() and x.var() > 0.01 for x in images):
            raise RuntimeError("the images of a batch are not what they should be")
        if torch.equal(*images):
            raise RuntimeError("two draws of a batch are the same")

    def batch_of(self, uniforms):
        if self.source is None:
            return self.images, self.labels
        rows = self.source.rows(uniforms)
        return self.draw_images(uniforms, rows), self.source.data.labels[rows]

    def loss_eagerly(self, images, labels, uniforms):
        torch = self.device.torch
        if images is None:
            images, labels = self.batch_of(uniforms)
        with torch.autocast(self.device.name, dtype=torch.bfloat16):
            return torch.nn.functional.cross_entropy(self.net(images), labels)

    def step(self):
        torch = self.device.torch
        torch.compiler.cudagraph_mark_step_begin()
        self.optimizer.zero_grad(set_to_none=True)
        if self.source is None:
            loss = self.loss_of(self.images, self.labels, None)
        else:
            self.uniforms.uniform_()
            if isinstance(self.source, augmentation.Torchvision):  # draws on the host: not compiled
                loss = self.loss_of(*self.batch_of(self.uniforms), None)
            else:
                loss = self.loss_of(None, None, self.uniforms)
        loss.backward()
        self.optimizer.step()
        self.loss = loss.detach()

    def round(self, steps):
        """Milliseconds a step. Errors: RuntimeError where nothing was learned or drawn."""
        torch = self.device.torch
        weights = [p.detach().clone() for p in self.net.parameters()]
        drawn = None if self.source is None else self.uniforms.clone()

        def work():
            for _ in range(steps):
                self.run()
        self.device.meter.start()
        ms = self.device.ms(work)
        joules = self.device.meter.joules_per_image(steps * self.batch)
        loss = self.loss.item()
        if not 0 < loss < 100:
            raise RuntimeError(f"the loss is {loss}")
        for before, after in zip(weights, self.net.parameters()):
            if not after.isfinite().all() or torch.equal(before, after.detach()):
                raise RuntimeError("weights did not change, or are not finite")
        if drawn is not None and torch.equal(drawn, self.uniforms):
            raise RuntimeError("the draws did not change")
        return {"ms": ms / steps, "loss": loss, "joules_per_image": joules}


class Answers:
    """The engine: one step at a time."""

    def __init__(self, device):
        self.device, self.one = device, None

    def make(self, options, batch, dynamic=False):
        self.one = None
        self.device.fresh()
        self.one = Step(self.device, options.get("model", "subtype"), int(options["size"]), batch,
                        options.get("mode", "eager"), options.get("preset", "off"),
                        options.get("pipeline", "gather"), dynamic)
        for _ in range(4):
            self.one.run()
        self.device.wait()
        return self.one

    def setup(self, options):
        one = self.make(options, int(options["batch"]))
        return {**self.device.facts(), **one.facts, "peak_bytes": self.device.peak_bytes(),
                "held_bytes": self.device.held_bytes()}

    def round(self, options):
        if self.one is None:
            raise ValueError("round: setup comes first")
        return self.one.round(int(options[""][0]))

    def largest(self, options):
        """torch.compile is asked for dynamic shapes here: one compilation serves every batch."""
        limit = int(options.get("limit", 1 << 20))
        good, bad, why = 0, int(options.get("batch", 32)), ""

        def fits(batch):
            nonlocal why
            try:
                loss = self.make(options, batch, dynamic=True).loss.item()
                if 0 < loss < 100:
                    return True
                raise ValueError(f"the loss is {loss}")
            except self.device.torch.OutOfMemoryError as error:
                why = str(error)[:200]
            except RuntimeError as error:  # cuDNN and index limits speak otherwise
                why = f"{type(error).__name__}: {error}"[:200]
            return False
        while bad <= limit and fits(bad):
            good, bad = bad, 2 * bad
        while bad <= limit and bad - good > max(1, good // 32):
            middle = good + (bad - good) // 2
            if fits(middle):
                good = middle
            else:
                bad = middle
        self.one = None
        self.device.fresh()
        if good == 0:
            raise RuntimeError("no batch fits: " + why)
        return {"largest_batch": good, "refused": why}


if __name__ == "__main__":
    sys.exit(serve(__doc__, Answers, "setup", "round", "largest"))
