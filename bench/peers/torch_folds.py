"""PyTorch's cross-validation of SubtypeNet on one GPU as an engine that takes turns (turns.py):

    python3 bench/peers/torch_folds.py serve [cpu]
    setup --way loop --folds 10 --epochs 30 --size 80 --batch 32 [--mode graph-compiled]
          [--dtype bf16]
    round FOLD FOLD ...     trains and scores these folds (none named: all): {"ms": of all,
                            "joules_per_image": of their training slices, once an epoch, ...}

--way loop: one fold after another, in one network whose weights and optimizer are set back, so that a
step is compiled and captured once. streams: a network a fold, each replayed on a stream of its own,
in turn. vmap: torch.func.vmap over the stacked weights of all folds, one step for all; products in
bf16, or with --dtype f32 in TF32.
A fold is what ours is: a set of bytes of the real one's size (110 patients, 12 slices each, windows 48
pixels wider than the cut), ceil(slices / batch) steps an epoch of slices drawn and augmented on the
device (pipeline gather, preset light), dropout 0.3, fused AdamW with weight decay, one epoch's warm-up
and a cosine; then the test patients' mean probabilities. All is made before the first round is timed;
no network is compiled or captured inside a round. Images are noise: their scores mean nothing, and are
checked to be sound and to differ.
"""
import math
import sys
import time

import augmentation
import subtype_net
from torch_device import MODES, serve


class Plan:
    """Who is in which fold, and how long all train."""

    def __init__(self, torch, device, options):
        self.torch, self.device = torch, device
        number = lambda name, usual: int(options.get(name, usual))
        self.folds, self.epochs = number("folds", 10), number("epochs", 30)
        self.batch, self.size = number("batch", 32), number("size", 80)
        self.patients, slices = number("patients", 110), number("slices", 12)
        if not 2 <= self.folds <= self.patients:
            raise ValueError(f"folds must be 2 to {self.patients}, the patients; got {self.folds}")
        self.data = augmentation.NoiseSet(torch, device.name, self.patients * slices, self.size)
        self.patient = torch.arange(self.patients * slices) // slices
        self.data.labels = (self.patient // self.folds % 2).to(device.name)
        half = torch.bfloat16
        self.source = augmentation.Plain(torch, self.data, self.size, True,
                                         options.get("preset", "light"), "gather", half)
        self.plain = augmentation.Plain(torch, self.data, self.size, True, "off", "gather", half)
        self.training = [torch.nonzero(self.patient % self.folds != f).view(-1)
                         for f in range(self.folds)]
        self.most = max(len(rows) for rows in self.training)
        self.steps = self.epochs * math.ceil(self.most / self.batch)
        warm = max(1, self.steps // self.epochs)
        self.rates = torch.tensor([2e-3 * min(1, (s + 1) / warm)
                                   * (0.5 + 0.5 * math.cos(math.pi * max(0, s - warm)
                                                           / max(1, self.steps - warm)))
                                   for s in range(self.steps)] + [0.0]).to(device.name)

    def network(self, seed):
        self.torch.manual_seed(seed)
        net = subtype_net.make(self.torch, "subtype", 4, 2, dropout=0.3)
        return net.to(self.device.name).to(memory_format=self.torch.channels_last).train()

    def table(self, fold):
        """[most] training slices of a fold, the first ones again where it has fewer."""
        rows = self.training[fold]
        return rows.repeat(2)[:self.most].to(self.device.name)

    def scores(self, fold, probabilities):
        """{patient: mean probability} of the test patients; probabilities: rows -> [n]."""
        rows = self.torch.nonzero(self.patient % self.folds == fold).view(-1)
        with self.torch.no_grad():
            found = self.torch.cat([probabilities(part.to(self.device.name)).float()
                                    for part in rows.split(256)]).cpu()
        sums = self.torch.zeros(self.patients).index_add(0, self.patient[rows], found)
        counts = self.torch.bincount(self.patient[rows], minlength=self.patients)
        return {int(p): (sums[p] / counts[p]).item() for p in self.torch.nonzero(counts).view(-1)}

    def cut(self, rows):
        return self.plain.images(rows[:, None].float(), rows)  # off draws nothing


class Schedule:
    """The optimizer of some weights, its rates read from a table on the device."""

    def __init__(self, plan, parameters, capturable):
        torch = plan.torch
        self.plan, self.parameters = plan, list(parameters)
        self.rate = torch.zeros((), device=plan.device.name)
        self.at = torch.zeros(1, dtype=torch.int64, device=plan.device.name)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.rate, weight_decay=1e-2,
                                           fused=True, capturable=capturable)

    def update(self):
        self.rate.copy_(self.plan.rates[self.at][0])
        self.optimizer.step()
        self.at.add_(1).clamp_(max=self.plan.steps)

    def restart(self):
        self.at.zero_()
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()


class Single:
    """One network, for one fold at a time."""

    def __init__(self, plan, mode, stream=None):
        torch, device = plan.torch, plan.device
        self.plan, self.net = plan, plan.network(1)
        self.schedule = Schedule(plan, self.net.parameters(), device.gpu)
        self.table = plan.table(0)
        self.uniforms = torch.rand(plan.batch, plan.source.columns, device=device.name)
        self.loss_of = device.compiled(self.loss_eagerly, mode)
        self.run = device.replayed(self.step, mode,
                                   lambda: self.schedule.optimizer.zero_grad(True), stream)
        for _ in range(3):
            self.run()

    def loss_eagerly(self, uniforms):
        torch, plan = self.plan.torch, self.plan
        rows = self.table[(uniforms[:, -1] * plan.most).long().clamp(max=plan.most - 1)]
        with torch.autocast(plan.device.name, dtype=torch.bfloat16):
            logits = self.net(plan.source.images(uniforms, rows))
            return torch.nn.functional.cross_entropy(logits, plan.data.labels[rows])

    def step(self):
        self.plan.torch.compiler.cudagraph_mark_step_begin()
        self.schedule.optimizer.zero_grad(set_to_none=True)
        self.uniforms.uniform_()
        loss = self.loss_of(self.uniforms)
        loss.backward()
        self.schedule.update()
        self.loss = loss.detach()

    def begin(self, fold):
        """New weights, in the same memory."""
        self.fold = fold
        fresh = self.plan.network(1000 + fold).state_dict()
        with self.plan.torch.no_grad():
            for name, value in self.net.state_dict().items():
                value.copy_(fresh[name])
        self.before = [p.detach().clone() for p in self.net.parameters()]
        self.schedule.restart()
        self.table.copy_(self.plan.table(fold))

    def finish(self):
        check(self.plan.torch, self.loss, self.before, list(self.net.parameters()),
              self.schedule.at, self.plan.steps)
        self.net.eval()

        def probabilities(rows):
            with self.plan.torch.autocast(self.plan.device.name, dtype=self.plan.torch.bfloat16):
                return self.net(self.plan.cut(rows)).float().softmax(1)[:, 1]
        scores = self.plan.scores(self.fold, probabilities)
        self.net.train()
        return scores


class Stacked:
    """All folds in one network of stacked weights: torch.func.vmap."""

    def __init__(self, plan, mode, dtype):
        torch, device, folds = plan.torch, plan.device, plan.folds
        self.plan, self.dtype = plan, dtype
        self.base = plan.network(1)
        nets = [plan.network(1000 + f) for f in range(folds)]
        self.parameters, self.buffers = torch.func.stack_module_state(nets)
        self.biases = [name + ".bias" for name, module in self.base.named_modules()
                       if isinstance(module, torch.nn.Linear)]
        self.first = [{name: value.detach().clone() for name, value in part.items()}
                      for part in (self.parameters, self.buffers)]
        self.schedule = Schedule(plan, self.parameters.values(), device.gpu)
        self.tables = torch.stack([plan.table(f) for f in range(folds)])
        self.uniforms = torch.rand(folds * plan.batch, plan.source.columns, device=device.name)
        self.loss_of = device.compiled(self.loss_eagerly, mode)
        self.run = device.replayed(self.step, mode, lambda: self.schedule.optimizer.zero_grad(True))
        for _ in range(3):
            self.run()

    def loss_eagerly(self, uniforms):
        torch, plan = self.plan.torch, self.plan
        place = (uniforms[:, -1] * plan.most).long().clamp(max=plan.most - 1)
        rows = self.tables.gather(1, place.view(plan.folds, -1)).view(-1)
        images = plan.source.images(uniforms, rows)
        images = images.view(plan.folds, plan.batch, *images.shape[1:])
        labels = plan.data.labels[rows].view(plan.folds, plan.batch)

        def one(parameters, buffers, x, y):
            # What autocast does outside of vmap, which it does not reach into: products in bf16.
            x = x.to(self.dtype)
            cast = {name: value.to(x.dtype) if value.dim() > 1 or name in self.biases else value
                    for name, value in parameters.items()}
            logits = torch.func.functional_call(self.base, (cast, buffers), (x,))
            return torch.nn.functional.cross_entropy(logits.float(), y)
        losses = torch.func.vmap(one, randomness="different")(self.parameters, self.buffers,
                                                              images, labels)
        return losses.sum()

    step = Single.step

    def begin(self):
        with self.plan.torch.no_grad():
            for part, first in zip((self.parameters, self.buffers), self.first):
                for name, value in part.items():
                    value.copy_(first[name])
        self.before = [v.detach().clone() for v in self.parameters.values()]
        self.schedule.restart()

    def state(self, fold):
        """(parameters, buffers) of one fold's network."""
        return tuple({name: value[fold] for name, value in part.items()}
                     for part in (self.parameters, self.buffers))

    def finish(self):
        torch, plan = self.plan.torch, self.plan
        check(torch, self.loss / plan.folds, self.before, list(self.parameters.values()),
              self.schedule.at, plan.steps)
        self.base.eval()
        scores = {}
        for fold in range(plan.folds):
            state = self.state(fold)

            def probabilities(rows):
                with torch.autocast(plan.device.name, dtype=torch.bfloat16):
                    logits = torch.func.functional_call(self.base, state, (plan.cut(rows),))
                return logits.float().softmax(1)[:, 1]
            scores.update(plan.scores(fold, probabilities))
        self.base.train()
        return scores


def check(torch, loss, before, after, at, steps):
    """What was trained: all steps taken, a sound loss, every fold's every weight changed."""
    if at.item() != steps:
        raise RuntimeError(f"{at.item()} of {steps} steps were taken")
    if not 0 < loss.item() < 100:
        raise RuntimeError(f"the loss is {loss.item()}")
    for old, new in zip(before, after):
        if not new.isfinite().all() or torch.equal(old, new.detach()):
            raise RuntimeError("weights did not change, or are not finite")


class Answers:
    def __init__(self, device):
        self.device, self.plan, self.networks = device, None, []

    def setup(self, options):
        torch, device = self.device.torch, self.device
        self.plan, self.networks = None, []
        device.fresh()
        torch._dynamo.config.recompile_limit = 256  # a network a stream
        mode = options.get("mode", "graph-compiled" if device.gpu else "eager")
        if mode not in MODES:
            raise ValueError(f"no mode {mode}; there are {', '.join(MODES)}")
        way = options.get("way", "loop")
        plan = Plan(torch, device, options)
        if way == "loop":
            networks = [Single(plan, mode)]
        elif way == "streams":
            if not device.gpu:
                raise ValueError("streams: no streams on a CPU")
            self.streams = [torch.cuda.Stream() for _ in range(plan.folds)]
            networks = [Single(plan, mode, stream) for stream in self.streams]
        elif way == "vmap":
            # A CPU has no batch norm of stacked f32 weights on bf16.
            usual = "bf16" if device.gpu else "f32"
            dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.get("dtype", usual)]
            networks = [Stacked(plan, mode, dtype)]
        else:
            raise ValueError(f"no way {way}; there are loop, streams, vmap")
        self.way, self.networks, self.plan = way, networks, plan
        self.round({"": ["0"] if way == "loop" else []})  # as a round is, but for its time
        return {**device.facts(), "way": way, "mode": mode, "steps": plan.steps,
                "slices": plan.data.slices, "peak_bytes": device.peak_bytes()}

    def round(self, options):
        if self.plan is None:
            raise ValueError("round: setup comes first")
        plan, torch = self.plan, self.device.torch
        folds = [int(word) for word in options[""]] or list(range(plan.folds))
        self.device.wait()
        self.device.meter.start()
        begin = time.perf_counter()
        scores = {}
        if self.way == "loop":
            for fold in folds:
                self.networks[0].begin(fold)
                for _ in range(plan.steps):
                    self.networks[0].run()
                scores.update(self.networks[0].finish())
        elif self.way == "streams":
            chosen = [(self.networks[f], self.streams[f]) for f in folds]
            for fold, (network, _) in zip(folds, chosen):
                network.begin(fold)
            self.device.wait()
            for _ in range(plan.steps):
                for network, stream in chosen:
                    with torch.cuda.stream(stream):
                        network.run()
            self.device.wait()
            for network, _ in chosen:
                scores.update(network.finish())
        else:
            self.networks[0].begin()
            for _ in range(plan.steps):
                self.networks[0].run()
            scores = self.networks[0].finish()
        self.device.wait()
        ms = 1e3 * (time.perf_counter() - begin)
        # As ours counts them: without those that fill an epoch's last batch.
        nominal = plan.epochs * sum(len(plan.training[fold]) for fold in folds)
        joules = self.device.meter.joules_per_image(nominal)
        values = set(scores.values())
        if not all(0 < v < 1 for v in values) or len(values) < 2:
            raise RuntimeError(f"the scores are {sorted(values)[:5]}")
        return {"ms": ms, "patients": len(scores), "images": len(folds) * plan.steps * plan.batch,
                "nominal_images": nominal, "joules_per_image": joules}


if __name__ == "__main__":
    sys.exit(serve(__doc__, Answers, "setup", "round"))
