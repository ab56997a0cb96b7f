"""Writes the fixtures that tests/models/pytorch_parity_test.cpp reads: what PyTorch computes with
the same weights and inputs. A person runs it when the fixtures should change; tests need no Python.

    python3 -m venv .venv && .venv/bin/pip install torch numpy h5py
    .venv/bin/python tests/oracle/make_fixtures.py tests/oracle/fixtures

Layouts are those of gliograd: images NHWC, convolution weights [out, kh, kw, in/groups]. Inputs are
multiples of 1/32, so that f32 and f64 hold the same numbers. All results are f64 unless said.
"""
import copy
import pathlib
import sys

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

STEPS = 20
EMA_DECAY = 0.8
BATCH, BATCHES, SIZE, CHANNELS, EXTRA, CLASSES = 8, 4, 16, 3, 2, 3


class SubtypeNet(nn.Module):
    """Stages of (3x3 convolution, batch norm, ReLU) and a 2x2 max pool, pooled, joined with the
    extra features, one linear layer. Modules carry gliograd's names."""

    def __init__(self, widths=(4, 6, 8), depth=1):
        super().__init__()
        self.names = []
        self.plan = []
        channels = CHANNELS
        for s, width in enumerate(widths, 1):
            for d in range(1, depth + 1):
                conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                norm = nn.BatchNorm2d(width)
                self.add_module(f"stage{s}_conv{d}", conv)
                self.add_module(f"stage{s}_norm{d}", norm)
                self.names += [(f"stage{s}.conv{d}.weight", conv, "weight"),
                               (f"stage{s}.norm{d}.gamma", norm, "weight"),
                               (f"stage{s}.norm{d}.beta", norm, "bias")]
                self.plan.append((conv, norm, d == depth))
                channels = width
        self.head = nn.Linear(channels + EXTRA, CLASSES)
        self.names += [("head.weight", self.head, "weight"), ("head.bias", self.head, "bias")]

    def maps(self, x):
        for conv, norm, last in self.plan:
            x = F.relu(norm(conv(x)))
            if last:
                x = F.max_pool2d(x, 2)
        return x

    def forward(self, x, extra):
        return self.head(torch.cat([self.maps(x).mean((2, 3)), extra], 1))


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(cout)
        self.shortcut = None
        if cin != cout or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False),
                                          nn.BatchNorm2d(cout))

    def named(self, prefix):
        pairs = [("conv1", self.conv1), ("norm1", self.norm1), ("conv2", self.conv2),
                 ("norm2", self.norm2)]
        if self.shortcut is not None:
            pairs += [("shortcut.conv", self.shortcut[0]), ("shortcut.norm", self.shortcut[1])]
        return [(f"{prefix}.{name}", module) for name, module in pairs]

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResidualNet(nn.Module):
    """The network called subtype-large, with other widths."""

    def __init__(self, widths=(4, 6), blocks=2):
        super().__init__()
        self.stem = nn.Conv2d(CHANNELS, widths[0], 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        named = [("stem.conv", self.stem), ("stem.norm", self.stem_norm)]
        self.blocks = nn.ModuleList()
        channels = widths[0]
        for s, width in enumerate(widths, 1):
            for b in range(1, blocks + 1):
                block = Block(channels, width, 2 if s > 1 and b == 1 else 1)
                named += block.named(f"stage{s}.block{b}")
                self.blocks.append(block)
                channels = width
        self.head = nn.Linear(channels + EXTRA, CLASSES)
        self.names = []
        for name, module in named:
            if isinstance(module, nn.Conv2d):
                self.names.append((name + ".weight", module, "weight"))
            else:
                self.names += [(name + ".gamma", module, "weight"), (name + ".beta", module, "bias")]
        self.names += [("head.weight", self.head, "weight"), ("head.bias", self.head, "bias")]

    def forward(self, x, extra):
        x = F.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(torch.cat([x.mean((2, 3)), extra], 1))


def to_ours(t):
    """OIHW -> OHWI; everything else as it is; flat f64."""
    t = t.detach().to(torch.float64)
    return (t.permute(0, 2, 3, 1) if t.dim() == 4 else t).contiguous().numpy().ravel()


def nhwc(t):
    return t.detach().to(torch.float64).permute(0, 2, 3, 1).contiguous().numpy()


def parameters(net):
    return np.concatenate([to_ours(getattr(m, a)) for _, m, a in net.names])


def gradients(net):
    return np.concatenate([to_ours(getattr(m, a).grad) for _, m, a in net.names])


def buffers(net):
    norms = [m for _, m, a in net.names if isinstance(m, nn.BatchNorm2d) and a == "weight"]
    return np.concatenate([to_ours(t) for m in norms for t in (m.running_mean, m.running_var)])


def spread_affine(net, generator):
    """Batch norms and the head's bias start away from 1 and 0, so that a mix-up shows. Values keep
    f32 precision, so that both precisions start alike."""
    with torch.no_grad():
        for p in net.parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn(p.shape, generator=generator))


OPTIMIZERS = {
    # name: (class, options, clip by global norm, weight decay of what decays)
    "sgd": (torch.optim.SGD, dict(lr=0.05), 0, 0),
    "momentum": (torch.optim.SGD, dict(lr=0.02, momentum=0.9), 0, 0.01),
    "nesterov": (torch.optim.SGD, dict(lr=0.02, momentum=0.9, nesterov=True), 0, 0.01),
    "nesterov_clipped": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True), 0.25, 0),
    "adam": (torch.optim.Adam, dict(lr=0.003, betas=(0.9, 0.999), eps=1e-8), 0, 0),
    "adam_l2": (torch.optim.Adam, dict(lr=0.003, betas=(0.9, 0.999), eps=1e-8), 0, 0.02),
    "adamw": (torch.optim.AdamW, dict(lr=0.003, betas=(0.9, 0.99), eps=1e-8), 0, 0.1),
    "adamw_clipped": (torch.optim.AdamW, dict(lr=0.003, betas=(0.9, 0.99), eps=1e-8), 0.25, 0.1),
}


def train(net, x, extra, labels, spec, channels_last):
    """STEPS steps; returns {step: (parameters, buffers)}, the losses, and the exponential moving
    average of the weights."""
    kind, options, clip, decay = spec
    decaying = [getattr(m, a) for _, m, a in net.names if getattr(m, a).dim() > 1]
    rest = [getattr(m, a) for _, m, a in net.names if getattr(m, a).dim() == 1]
    optimizer = kind([dict(params=decaying, weight_decay=decay),
                      dict(params=rest, weight_decay=0.0)], **options)
    if channels_last:
        net.to(memory_format=torch.channels_last)
    kept, losses = {}, []
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
    net.train()
    for step in range(1, STEPS + 1):
        batch = (step - 1) % BATCHES
        rows = slice(batch * BATCH, (batch + 1) * BATCH)
        images = x[rows]
        if channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(net(images, extra[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        if clip > 0:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        average.update_parameters(net)
        losses.append(loss.item())
        if step in (5, STEPS):
            kept[step] = (parameters(net), buffers(net))
    averaged = copy.deepcopy(net)
    averaged.load_state_dict(average.module.state_dict())
    return kept, losses, parameters(averaged)


def distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def write_network(file, net, x, extra, labels):
    """Initial weights, then forward (both modes), loss and gradients of the first batch, in f64."""
    file.create_dataset("names", data=np.array([n for n, _, _ in net.names], dtype="S48"))
    file["initial"] = parameters(net)
    net = copy.deepcopy(net).double()
    rows = slice(0, BATCH)
    x, extra, labels = x[rows].double(), extra[rows].double(), labels[rows]
    net.train()
    logits = net(x, extra)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    file["logits_train"] = logits.detach().numpy()
    file["loss"] = np.array([loss.item()])
    file["gradients"] = gradients(net)
    file["buffers"] = buffers(net)
    net.eval()
    file["logits_eval"] = net(x, extra).detach().numpy()


def make_network_fixture(path):
    generator = torch.Generator().manual_seed(20200318)
    total = BATCH * BATCHES
    raw = torch.randint(-80, 81, (total, SIZE, SIZE, CHANNELS), generator=generator)
    labels = torch.randint(0, CLASSES, (total,), generator=generator)
    raw[..., 0] += 6 * labels[:, None, None]  # something to learn
    raw_extra = torch.randint(-60, 61, (total, EXTRA), generator=generator)
    x = raw.float().permute(0, 3, 1, 2) / 32
    extra = raw_extra.float() / 32
    torch.manual_seed(7)
    net, residual = SubtypeNet(), ResidualNet()
    for one in (net, residual):
        spread_affine(one, generator)
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["torch"] = np.bytes_(str(torch.__version__))
        file["images"] = raw.numpy().astype("u1")  # two's complement, see the test
        file["images"].attrs["unit"] = "1/32, signed"
        file["extra"] = extra.double().numpy()
        file["labels"] = labels.numpy().astype("i4")
        write_network(file.create_group("subtype"), net, x, extra, labels)
        write_network(file.create_group("residual"), residual, x, extra, labels)
        for name, spec in OPTIMIZERS.items():
            group = file.create_group("optimizers/" + name)
            exact, losses, averaged = train(copy.deepcopy(net).double(), x.double(), extra.double(),
                                            labels, spec, False)
            singles = [train(copy.deepcopy(net), x, extra, labels, spec, last)[0]
                       for last in (False, True)]
            for step, (weights, stats) in exact.items():
                group[f"parameters{step}"] = weights
                group[f"buffers{step}"] = stats
            group["losses"] = np.array(losses)
            group["average20"] = averaged
            # PyTorch's own f32 against its f64: contiguous, then channels-last.
            for step in exact:
                apart = [distance(single[step][0], exact[step][0]) for single in singles]
                group[f"f32_distance{step}"] = np.array(apart)
                print(f"{name:18s} step {step:2d}: f32 to f64 {apart[0]:.1e} {apart[1]:.1e}")
            print(f"{name:18s} loss {losses[0]:.3f} -> {losses[-1]:.3f}")


def sixteenths(generator, *shape):
    return (torch.randint(-40, 41, shape, generator=generator).double() / 16).requires_grad_()


def write_op(file, name, inputs, y, generator, weight_axes=()):
    """Inputs, output, a random dy and the gradients; 4-D tensors in NHWC (weights in OHWI)."""
    group = file.create_group(name)
    dy = sixteenths(generator, *y.shape).detach()
    leaves = [t for _, t in inputs]
    grads = torch.autograd.grad(y, leaves, dy)
    layout = lambda t: nhwc(t) if t.dim() == 4 else t.detach().numpy()
    for (key, t), g in zip(inputs, grads):
        group[key] = layout(t)
        group["d" + key] = layout(g)
    group["y"], group["dy"] = layout(y), layout(dy)


def make_op_fixture(path):
    generator = torch.Generator().manual_seed(11)
    make = lambda *shape: sixteenths(generator, *shape)
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["torch"] = np.bytes_(str(torch.__version__))

        def conv(name, shape, weight, pad, **options):
            """pad: top, bottom, left, right."""
            x, w, b = make(*shape), make(*weight), make(weight[0])
            padded = F.pad(x, (pad[2], pad[3], pad[0], pad[1]))
            y = F.conv2d(padded, w, b, **options)
            write_op(file, name, [("x", x), ("weight", w), ("bias", b)], y, generator)

        conv("conv_asymmetric", (2, 3, 7, 6), (4, 3, 2, 4), (0, 1, 1, 2))
        conv("conv_stride2_same", (2, 3, 8, 7), (4, 3, 3, 3), (0, 1, 1, 1), stride=2)
        conv("conv_dilation3", (1, 2, 11, 9), (3, 2, 3, 3), (3, 3, 3, 3), dilation=3)
        conv("conv_groups2", (2, 4, 5, 6), (6, 2, 3, 3), (1, 1, 1, 1), groups=2)
        conv("conv_depthwise", (2, 5, 6, 5), (5, 1, 3, 3), (1, 1, 1, 1), groups=5, stride=2)

        x = make(2, 3, 7, 6)
        write_op(file, "max_pool", [("x", x)], F.max_pool2d(x, 3, 2, 1), generator)
        for count in (True, False):
            x = make(2, 3, 7, 6)
            y = F.avg_pool2d(x, 3, 2, 1, count_include_pad=count)
            write_op(file, f"average_pool_{'with' if count else 'without'}_padding", [("x", x)], y,
                     generator)

        x, gamma, beta = make(3, 4, 3, 5), make(4), make(4)
        mean, var = make(4).detach(), make(4).detach().abs() + 0.5
        file["batch_norm_running_before"] = np.stack([mean.numpy(), var.numpy()])
        y = F.batch_norm(x, mean, var, gamma, beta, True, 0.3, 1e-3)
        inputs = [("x", x), ("gamma", gamma), ("beta", beta)]
        write_op(file, "batch_norm_train", inputs, y, generator)
        file["batch_norm_running_after"] = np.stack([mean.numpy(), var.numpy()])
        y = F.batch_norm(x, mean, var, gamma, beta, False, 0.3, 1e-3)
        write_op(file, "batch_norm_eval", inputs, y, generator)

        labels = torch.randint(0, 4, (6,), generator=generator)
        weights = torch.tensor([0.5, 1.0, 2.0, 3.25], dtype=torch.float64)
        for name, w, smoothing in (("plain", None, 0.0), ("weighted", weights, 0.0),
                                   ("smoothed", None, 0.125),
                                   ("weighted_smoothed", weights, 0.125)):
            logits = make(6, 4)
            loss = F.cross_entropy(logits, labels, w, label_smoothing=smoothing)
            group = file.create_group("cross_entropy_" + name)
            group["logits"] = logits.detach().numpy()
            group["labels"] = labels.numpy().astype("i4")
            group["loss"] = np.array([loss.item()])
            group["dlogits"] = torch.autograd.grad(loss, logits)[0].numpy()
        file["cross_entropy_class_weights"] = weights.numpy()
        file["cross_entropy_smoothing"] = np.array([0.125])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make_network_fixture(folder / "networks.h5")
    make_op_fixture(folder / "ops.h5")
    for path in sorted(folder.glob("*.h5")):
        print(path, path.stat().st_size, "bytes")


main()
