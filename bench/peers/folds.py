"""Cross-validation of SubtypeNet as a plain PyTorch loop on the CPU: the opponent of
`gliograd crossval` in bench/.

    python3 -m venv .deps/torch && .deps/torch/bin/pip install torch numpy h5py
    .deps/torch/bin/python bench/peers/folds.py --data lgg.h5 --target COCCluster=2 --epochs 2

It reads a prepared set (docs/formats.md) through h5py, takes the folds of --folds-csv (a run
folder's folds.csv) or deals its own, and trains one network a fold: robust standard scores of the
sequences and the mask as last channel, a center cut, patients drawn equally and classes balanced,
ceil(N / batch) batches an epoch, AdamW with a cosine schedule. A patient's score is the mean
probability of its slices. --processes P runs P folds at once, each on threads / P threads. The
clock starts when every process has imported PyTorch and read the data. tcmalloc and channels-last as
in subtype_net.py. One JSON object goes to standard output.
"""
import argparse
import csv
import json
import math
import multiprocessing
import os
import sys
import time

import subtype_net

STATE = {}


def options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a prepared set")
    parser.add_argument("--target", default="COCCluster=2", help="COLUMN=CLASS against the rest")
    parser.add_argument("--folds-csv", help="patient,repeat,fold; repeat 0 is used")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--window", type=int, default=80)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--augment", choices=["off", "light"], default="off",
                        help="light: flips, rotation, scale, brightness, contrast")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processes", type=int, default=0, help="folds at once; 0: threads")
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--score", action="store_true",
                        help="print the AUC too: a look at the target, to be counted as one")
    parser.add_argument("--allocator", choices=["auto", "default"], default="auto")
    return parser.parse_args()


def load(args):
    """Images [N, C + 1, window, window] f32, patient of each slice, label and id of each patient."""
    import h5py
    import numpy as np
    with h5py.File(args.data) as file:
        if file.attrs.get("format") not in (b"gliograd.prepared", "gliograd.prepared"):
            sys.exit(f"{args.data}: is no prepared set")
        images, masks = file["images"][:], file["masks"][:]
        patient = file["slices/patient"][:]
        affine = file["patients/affine"][:]
        ids = [str(text) for text in file["patients/id"].asstr()[:]]
        column, _, wanted = args.target.partition("=")
        labels = file["labels/" + column]
        classes = [text.decode() if isinstance(text, bytes) else text
                   for text in labels.attrs["classes"]]
        values = labels[:]
    target = np.where(values < 0, -1, (values == classes.index(wanted)).astype(np.int64))
    y0 = (images.shape[1] - args.window) // 2
    x0 = (images.shape[2] - args.window) // 2
    cut = np.s_[:, y0:y0 + args.window, x0:x0 + args.window]
    images, masks = images[cut].astype(np.float32), masks[cut].astype(np.float32)
    a, b = affine[patient, None, None, :, 0], affine[patient, None, None, :, 1]
    x = np.concatenate([a * images + b, masks[..., None]], axis=3).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x, dtype=np.float32), patient, target, ids


def deal(args, target, ids):
    """Fold of each patient, -1 where the label is missing."""
    import numpy as np
    folds = np.full(len(ids), -1)
    if args.folds_csv:
        at = {name: i for i, name in enumerate(ids)}
        with open(args.folds_csv, newline="") as file:
            for row in csv.DictReader(file):
                if row["repeat"] == "0":
                    folds[at[row["patient"]]] = int(row["fold"])
        return folds
    generator, place = np.random.default_rng(args.seed), 0
    for label in (0, 1):
        for p in generator.permutation(np.flatnonzero(target == label)):
            folds[p] = place % args.folds
            place += 1
    return folds


def augment(torch, images, generator):
    """Flips, rotation, scale by one bilinear map; brightness and contrast of the sequences."""
    n = images.shape[0]
    draw = lambda low, high: low + (high - low) * torch.rand(n, generator=generator)
    angle, scale = draw(-math.pi / 12, math.pi / 12), draw(0.9, 1.1)
    flip = torch.sign(draw(-1, 1))
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = flip * scale * torch.cos(angle), -scale * torch.sin(angle)
    theta[:, 1, 0], theta[:, 1, 1] = flip * scale * torch.sin(angle), scale * torch.cos(angle)
    grid = torch.nn.functional.affine_grid(theta, images.shape, align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    gain, shift = draw(0.9, 1.1).view(n, 1, 1, 1), draw(-0.1, 0.1).view(n, 1, 1, 1)
    images[:, :-1] = images[:, :-1] * gain + shift
    return images


def start_worker(args):
    import torch
    torch.set_num_threads(max(1, args.threads // max(1, args.processes)))
    STATE["args"] = args
    STATE["data"] = load(args)
    STATE["folds"] = deal(args, STATE["data"][2], STATE["data"][3])


def ready(_):
    time.sleep(0.2)  # so that each process answers once
    return os.getpid()


def run_fold(fold):
    """[(patient, score)] of the test patients, the images that were trained on, CPU seconds."""
    import numpy as np
    import torch
    cpu = time.process_time()
    args, (x, patient, target, _), folds = STATE["args"], STATE["data"], STATE["folds"]
    torch.manual_seed(args.seed * 1000 + fold)
    generator = torch.Generator().manual_seed(args.seed * 1000 + fold)
    images = torch.from_numpy(x)
    training = torch.from_numpy(np.flatnonzero((folds[patient] != fold) & (folds[patient] >= 0)))
    testing = np.flatnonzero(folds[patient] == fold)
    owner = patient[training.numpy()]
    slices = np.bincount(owner, minlength=len(folds))
    patients = np.unique(owner)
    per_class = np.bincount(target[patients], minlength=2)
    weights = torch.from_numpy(1.0 / (slices[owner] * per_class[target[owner]]))
    net = subtype_net.make(torch, "subtype", x.shape[1], 2)
    net = net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.lr, fused=True)
    batches = math.ceil(len(training) / args.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * batches)
    step = subtype_net.train_step(torch, torch.compile(net) if args.compile else net, optimizer,
                                  False)
    labels = torch.from_numpy(target[patient])
    for _ in range(args.epochs):
        drawn = torch.multinomial(weights, batches * args.batch, replacement=True,
                                  generator=generator)
        for rows in training[drawn].split(args.batch):
            batch = images[rows]
            if args.augment == "light":
                batch = augment(torch, batch, generator)
            step(batch.contiguous(memory_format=torch.channels_last), labels[rows])
            schedule.step()
    net.eval()
    sums, counts = np.zeros(len(folds)), np.zeros(len(folds))
    with torch.no_grad():
        for begin in range(0, len(testing), 64):
            rows = testing[begin:begin + 64]
            batch = images[rows].contiguous(memory_format=torch.channels_last)
            np.add.at(sums, patient[rows], net(batch).softmax(1)[:, 1].double().numpy())
            np.add.at(counts, patient[rows], 1)
    scores = [(int(p), float(sums[p] / counts[p])) for p in np.flatnonzero(counts)]
    return scores, args.epochs * batches * args.batch, time.process_time() - cpu


def auc(scores, target):
    """Share of (positive, negative) pairs in order; ties count half."""
    positive = [s for p, s in scores if target[p] == 1]
    negative = [s for p, s in scores if target[p] == 0]
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / (len(positive) * len(negative))


def main():
    args = options()
    if args.allocator == "auto":
        subtype_net.with_tcmalloc()
    args.processes = args.processes or args.threads
    os.environ["OMP_NUM_THREADS"] = str(max(1, args.threads // args.processes))
    _, _, target, ids = load(args)
    folds = deal(args, target, ids)
    chosen = sorted(set(int(f) for f in folds if f >= 0))
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.processes, start_worker, (args,)) as pool:
        while len(set(pool.map(ready, range(args.processes), chunksize=1))) < args.processes:
            pass
        begin = time.perf_counter()
        results = pool.map(run_fold, chosen, chunksize=1)
        seconds = time.perf_counter() - begin
    scores = [score for fold, _, _ in results for score in fold]
    images = sum(count for _, count, _ in results)
    print(json.dumps({
        "peer": "pytorch-folds", "cpu": subtype_net.cpu_name(), "data": os.path.basename(args.data),
        "target": args.target, "folds": len(chosen), "epochs": args.epochs, "batch": args.batch,
        "window": args.window, "augment": args.augment, "threads": args.threads,
        "processes": args.processes, "compile": args.compile,
        "allocator": "tcmalloc" if "tcmalloc" in os.environ.get("LD_PRELOAD", "") else "default",
        "patients": len(scores), "seconds": seconds,
        "cpu_seconds": sum(cpu for _, _, cpu in results), "images_per_second": images / seconds,
        **({"auc": auc(scores, target)} if args.score else {}),
    }))


if __name__ == "__main__":
    main()
