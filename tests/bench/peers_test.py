#!/usr/bin/env python3
"""PyTorch's side of the GPU benches (bench/peers/) on a CPU, at tiny sizes: what they time is what they
say, and what they check is found. Skipped, with the reason, where PyTorch is not installed."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PEERS = os.path.join(ROOT, "bench", "peers")
OWN = os.path.join(ROOT, ".deps", "torch", "bin", "python")  # where ./run bench peers has it
sys.dont_write_bytecode = True
try:
    import torch
except ImportError:
    if os.path.exists(OWN) and os.path.realpath(sys.prefix) != os.path.realpath(
            os.path.join(ROOT, ".deps", "torch")):
        os.execv(OWN, [OWN] + sys.argv)
    print("SKIPPED: bench_peers: PyTorch is not installed")
    sys.exit(77)
sys.path.insert(0, PEERS)
import augmentation  # noqa: E402
import torch_augment  # noqa: E402
import torch_folds  # noqa: E402
import torch_step  # noqa: E402
from torch_device import Meter, TorchDevice  # noqa: E402

torch.set_num_threads(2)

OURS = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {peers!r})
import turns
def round(options):
    return {{"ms": 1e-3 if options[""] != ["1"] else 3e-3, "joules_per_image": 2e-3}}
turns.serve({{"setup": lambda options: {{"peak_bytes": 1}}, "round": round,
             "largest": lambda options: {{"largest_batch": 40, "refused": "fake"}}}})
"""


def metered():
    """A device whose meter has 6 joules more at each look, and thinks that it is a second later."""
    device, looks, seconds = TorchDevice("cpu"), iter(range(0, 600, 6)), iter(range(100))
    device.meter = Meter(lambda: next(looks), lambda: next(seconds))
    return device


def run(program, *options):
    """(rows, what it said) of a program of bench/peers with a stand-in for ours."""
    with tempfile.TemporaryDirectory() as folder:
        ours = os.path.join(folder, "ours")
        with open(ours, "w") as file:
            file.write(f"#!{sys.executable}\n" + OURS.format(peers=PEERS))
        os.chmod(ours, 0o700)
        done = subprocess.run([sys.executable, os.path.join(PEERS, program), "--device", "cpu",
                               "--ours", ours, *options], capture_output=True, text=True,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "2"})
    if done.returncode != 0:
        raise AssertionError(f"{program}: exit {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


class Pipelines(unittest.TestCase):
    """Batches of 3 images of 16 x 16 from stored windows of 64 x 64."""

    def setUp(self):
        torch.manual_seed(int.from_bytes(os.urandom(4), "little"))
        self.data = augmentation.NoiseSet(torch, "cpu", 7, 16)

    def make(self, pipeline, preset="off", mask=True, policy=None):
        one = augmentation.make(torch, pipeline, self.data, 16, mask, preset, torch.float64)
        if policy is not None:  # of the preset only the parts named
            one.policy = {name: 0.0 for name in one.policy}
            one.policy.update(policy)
        return one

    def cut(self, rows, mask=True):
        window = slice(24, 40)
        values = self.data.images[rows][:, window, window].double() / 64 - 2
        masks = self.data.masks[rows][:, window, window, None].double()
        return torch.cat([values, masks] if mask else [values], dim=3).permute(0, 3, 1, 2)

    def images(self, one, n=3, u=None):
        u = torch.rand(n, one.columns) if u is None else u
        rows = one.rows(u)
        return one.images(u, rows), rows

    def high(self, n, one):
        """Draws that let all happen, at their greatest strength."""
        return torch.full((n, one.columns), 1 - 2.0 ** -20)

    def test_the_policy_is_read_from_our_source(self):
        light, full = augmentation.policy("light"), augmentation.policy("full")
        self.assertEqual(light["rotation_degrees"], 20)
        self.assertEqual(light["contrast_percent"], 15)
        self.assertEqual(len(light), 11)
        self.assertEqual(full["drop_probability"], 0.05)
        self.assertEqual(len(full), 34)
        with self.assertRaisesRegex(ValueError, "no preset heavy"):
            augmentation.policy("heavy")

    def test_off_is_the_standardized_center_cut(self):
        for pipeline in ["gather", "affine", "torchvision", "torchvision-each"]:
            if pipeline.startswith("torchvision"):
                try:
                    import torchvision  # noqa: F401
                except ImportError:
                    continue
            for mask in (True, False):
                images, rows = self.images(self.make(pipeline, mask=mask))
                self.assertLess((images - self.cut(rows, mask)).abs().max().item(), 1e-5, pipeline)
                self.assertTrue(images.is_contiguous(memory_format=torch.channels_last))

    def test_gathered_and_sampled_agree(self):
        for preset in ("light", "full"):
            one, other = self.make("gather", preset), self.make("affine", preset)
            u = torch.rand(3, one.columns)
            torch.manual_seed(3)  # of the noise
            a, _ = self.images(one, u=u)
            torch.manual_seed(3)
            b, _ = self.images(other, u=u)
            self.assertLess((a - b)[:, :3].abs().max().item(), 1e-3)
            # Nearest neighbors of a mask may differ where a coordinate is a half.
            self.assertLess((a - b)[:, 3].abs().mean().item(), 0.01)

    def test_flips_turns_and_shifts_by_hand(self):
        flipped = self.make("gather", "light", policy={"flip_x_probability": 1.0})
        images, rows = self.images(flipped)
        self.assertLess((images - self.cut(rows).flip(3)).abs().max().item(), 1e-4)
        turned = self.make("gather", "light", policy={"rotation_probability": 1.0,
                                                      "rotation_degrees": 90})
        images, rows = self.images(turned, u=self.high(2, turned))
        self.assertLess((images - torch.rot90(self.cut(rows), 1, (2, 3))).abs()[:, :3].max().item(),
                        1e-3)
        moved = self.make("gather", "light", policy={"translation_probability": 1.0,
                                                     "translation_pixels": 3})
        images, rows = self.images(moved, u=self.high(2, moved))
        stored = self.data.images[rows].double() / 64 - 2
        self.assertLess((images[:, :3] - stored[:, 21:37, 21:37].permute(0, 3, 1, 2)).abs().max().item(),
                        1e-3)

    def test_intensities_by_hand(self):
        bright = self.make("gather", "light", policy={"brightness_probability": 1.0,
                                                      "brightness_percent": 20})
        images, rows = self.images(bright, u=self.high(2, bright))
        self.assertLess((images - self.cut(rows))[:, :3].sub(0.2).abs().max().item(), 1e-4)
        strong = self.make("gather", "light", policy={"contrast_probability": 1.0,
                                                      "contrast_percent": 15})
        images, rows = self.images(strong, u=self.high(2, strong))
        self.assertLess((images - self.cut(rows) * 1.15)[:, :3].abs().max().item(), 1e-4)

    def test_smoothing_keeps_what_is_flat_and_noise_has_its_strength(self):
        self.data.images.fill_(160)
        half = {name: 1.0 for name in ("blur_probability", "blur_pixels", "low_resolution_probability")}
        smooth = self.make("gather", "full", policy={**half, "low_resolution_factor": 2.0})
        images, _ = self.images(smooth)
        self.assertLess((images[:, :3] - (160 / 64 - 2)).abs().max().item(), 1e-4)
        noisy = self.make("gather", "full", policy={"noise_probability": 1.0, "noise_percent": 50})
        images, _ = self.images(noisy, u=self.high(40, noisy))
        self.assertLess(abs(images[:, :3].std().item() - 0.5), 0.02)
        gone = self.make("gather", "full", policy={"drop_probability": 1.0})
        images, _ = self.images(gone)
        self.assertEqual((images[:, :3].abs().sum((2, 3)) == 0).sum().item(), 6)  # one stays
        holed = self.make("gather", "full", policy={"cutout_probability": 1.0, "cutout_percent": 25})
        images, _ = self.images(holed, u=self.high(2, holed))
        self.assertEqual((images[:, 0] == 0).sum().item(), 2 * 16)  # 4 x 4 of 16 x 16

    def test_blur_spreads_a_point_by_its_width(self):
        self.data.images.zero_()
        self.data.images[:, 32, 32] = 64
        blurred = self.make("gather", "full", policy={"blur_probability": 1.0, "blur_pixels": 1})
        images, _ = self.images(blurred, u=self.high(1, blurred))
        values = images[0, 0] + 2
        self.assertLess(abs(values.sum().item() - 1), 1e-4)
        across = (torch.arange(16) - 8.0)[:, None]
        self.assertLess(abs((values * across ** 2).sum().item() - 1), 0.05)


class Steps(unittest.TestCase):
    def step(self, **more):
        return torch_step.Step(TorchDevice("cpu"), "subtype", 16, 4, "eager", **more)

    def test_a_round_trains_and_a_step_that_does_not_is_found(self):
        for preset in ("off", "light"):
            one = self.step(preset=preset)
            found = one.round(2)
            self.assertGreater(found["ms"], 0)
            for group in one.optimizer.param_groups:
                group["lr"] = 0.0
            with self.assertRaisesRegex(RuntimeError, "weights did not change"):
                one.round(1)
        one = self.step(preset="light")
        one.uniforms.uniform_ = lambda: None
        with self.assertRaisesRegex(RuntimeError, "the draws did not change"):
            one.round(1)
        one = self.step()
        one.images.fill_(float("nan"))
        with self.assertRaisesRegex(RuntimeError, "the loss is nan"):
            one.round(1)

    def test_a_round_tells_joules_of_its_own_images(self):
        answers = torch_step.Answers(metered())
        answers.setup({"model": "subtype", "size": "16", "batch": "4"})
        self.assertEqual(answers.round({"": ["3"]})["joules_per_image"], 6 / (3 * 4))
        answers = torch_augment.Answers(metered())
        answers.setup({"size": "16", "batch": "5", "pipeline": "gather", "mode": "eager"})
        self.assertEqual(answers.round({"": ["2"]})["joules_per_image"], 6 / (2 * 5))
        answers = torch_folds.Answers(metered())
        answers.setup({**Folds.SMALL, "way": "loop"})
        # 7 patients in 3 folds of 3, 2 and 2: the first trains on 4 of 3 slices, for 2 epochs.
        found = answers.round({"": ["0"]})
        self.assertEqual((found["nominal_images"], found["images"]), (24, 32))
        self.assertEqual(found["joules_per_image"], 6 / 24)
        self.assertIsNone(self.step().round(1)["joules_per_image"])  # nobody measures here

    def test_images_that_are_flat_or_the_same_are_found(self):
        one = self.step(preset="light")
        one.source.data.images.fill_(128)
        one.source.data.masks.zero_()
        with self.assertRaisesRegex(RuntimeError, "not what they should be"):
            one.check_images()
        one = self.step(preset="light")
        one.uniforms.uniform_ = lambda: None
        with self.assertRaisesRegex(RuntimeError, "the same"):
            one.check_images()


class Folds(unittest.TestCase):
    SMALL = {"folds": "3", "epochs": "2", "size": "16", "batch": "4", "patients": "7", "slices": "3"}

    def plan(self):
        return torch_folds.Plan(torch, TorchDevice("cpu"), self.SMALL)

    def test_each_patient_is_tested_once_and_trains_no_fold_that_tests_it(self):
        plan = self.plan()
        tested = []
        for fold in range(3):
            scores = plan.scores(fold, lambda rows: torch.full((len(rows),), 0.25))
            self.assertEqual(set(scores.values()), {0.25})
            tested += scores
            trained = set(plan.patient[plan.table(fold)].tolist())
            self.assertEqual(trained, set(range(7)) - set(scores))
        self.assertEqual(sorted(tested), list(range(7)))
        self.assertEqual(plan.steps, 2 * 4)  # 15 slices at most, 4 a batch
        self.assertEqual(plan.rates[-1].item(), 0)
        self.assertAlmostEqual(plan.rates[3].item(), 2e-3, places=6)  # after the warm-up
        self.assertLess(plan.rates[7].item(), 1e-3)

    def test_the_loop_and_vmap_compute_the_same_losses(self):
        plan = self.plan()
        stacked = torch_folds.Stacked(plan, "eager", torch.float32)
        singles = [torch_folds.Single(plan, "eager") for _ in range(3)]
        stacked.begin()
        stacked.base[-2].p = 0.0  # dropout
        total = 0
        for fold, single in enumerate(singles):
            single.begin(fold)
            single.net[-2].p = 0.0
            part = stacked.uniforms[fold * 4:fold * 4 + 4]
            total += single.loss_eagerly(part).item()
            for name, value in stacked.state(fold)[0].items():
                self.assertTrue(torch.equal(value, single.net.state_dict()[name]), name)
        self.assertLess(abs(stacked.loss_eagerly(stacked.uniforms).item() - total), 0.03)

    def test_each_way_trains_and_one_that_does_not_is_found(self):
        answers = torch_folds.Answers(TorchDevice("cpu"))
        for way in ("loop", "vmap"):
            answers.setup({**self.SMALL, "way": way})
            self.assertEqual(answers.round({"": []})["patients"], 7)
        self.assertEqual(answers.round({"": []})["images"], 3 * 8 * 4)
        answers.plan.rates.zero_()
        with self.assertRaisesRegex(RuntimeError, "weights did not change"):
            answers.round({"": []})
        answers.setup({**self.SMALL, "way": "loop"})
        self.assertEqual(answers.round({"": ["1"]})["patients"], 2)
        answers.plan.data.scales.fill_(float("nan"))
        with self.assertRaisesRegex(RuntimeError, "the loss is nan"):
            answers.round({"": []})
        with self.assertRaisesRegex(ValueError, "folds must be 2 to 7"):
            answers.setup({**self.SMALL, "folds": "8"})


class Programs(unittest.TestCase):
    def test_folds_in_turn_with_ours(self):
        rows, said = run("gpu_folds.py", "--ways", "loop,vmap,streams,processes2,processes2-mps",
                         "--folds", "3", "--epochs", "1", "--patients", "7", "--slices", "3", "--size", "16",
                         "--batch", "4", "--rounds", "2")
        row = rows[0]
        self.assertEqual(row["rounds"], {"ours 10 at once": 2, "ours 1 at once": 2, "loop": 2, "vmap": 2,
                                         "processes2": 2})
        self.assertEqual(row["ours"], "ours 10 at once")
        self.assertAlmostEqual(row["over_one_after_another"]["ratio"], 3)
        self.assertGreater(row["over_best"]["ratio"], 1)
        self.assertIn("no streams on a CPU", row["errors"]["streams"])
        self.assertIn("processes2-mps", row["errors"])
        self.assertIn("3.00x (3.00 to 3.00) of one after another", said)
        self.assertEqual(row["joules_per_image"], {"ours 10 at once": 2e-3, "ours 1 at once": 2e-3})
        self.assertNotIn("joules_over_best", row)  # of a CPU nobody tells it

    def test_folds_that_are_cut_short_end_the_service(self):
        with tempfile.TemporaryDirectory() as folder:
            service, log = os.path.join(folder, "nvidia-cuda-mps-control"), os.path.join(folder, "log")
            with open(service, "w") as file:
                file.write(f"#!/bin/sh\nif [ $# -gt 0 ]; then echo $* >>{log}; else cat >>{log}; fi\n")
            os.chmod(service, 0o700)
            done = subprocess.Popen([sys.executable, os.path.join(PEERS, "gpu_folds.py"), "--device", "cpu",
                                     "--ours", "none", "--ways", "processes2-mps", "--rounds", "9999",
                                     "--size", "16"], start_new_session=True, stdout=subprocess.DEVNULL,
                                    env={**os.environ, "PATH": folder + ":" + os.environ["PATH"],
                                         "PYTHONDONTWRITEBYTECODE": "1"})
            deadline = time.monotonic() + 120
            while not os.path.exists(log) and time.monotonic() < deadline:
                time.sleep(0.1)
            os.killpg(done.pid, signal.SIGTERM)  # as `timeout` does
            self.assertEqual(done.wait(60), 143)
            with open(log) as file:
                self.assertEqual(file.read(), "-d\nquit\n")

    def test_memory_and_the_largest_batch(self):
        rows, _ = run("gpu_memory.py", "--cells", "subtype:16:4", "--modes", "eager", "--limit", "8")
        row = rows[0]
        self.assertEqual(row["largest_batch"], {"ours bf16": 40, "torch eager": 8})
        self.assertEqual(row["largest_batch_ratio"], 5)
        self.assertIn("5.00x of the largest batch", row["text"])
        self.assertNotIn("peak_bytes_ratio", row)  # PyTorch counts no bytes on a CPU

    def test_steps_in_turn_with_ours(self):
        rows, said = run("gpu_step.py", "--cells", "subtype:16:4", "--modes", "eager,graph",
                         "--pipelines", "affine", "--rounds", "2", "--steps", "1", "--presets", "light,off",
                         "--energy-seconds", "0.001",
                         "--ours-dtypes", "bf16")
        self.assertEqual([row["cell"] for row in rows], ["subtype:16:4:light", "subtype:16:4:off"])
        for row in rows:
            self.assertEqual((row["ours"], row["best"]), ("ours bf16", "torch eager"))
            self.assertGreater(row["over_best"]["ratio"], 1)
            self.assertEqual(row["rounds"], {"torch eager": 2, "ours bf16": 2})
            self.assertIn("no CUDA graphs on a CPU", row["errors"]["torch graph"])
            self.assertIn("fused AdamW", row["settings"])
            self.assertEqual(row["joules_per_image"], {"ours bf16": 2e-3})
            self.assertNotIn("joules_over_best", row)
        self.assertEqual(rows[0]["pipeline"], "affine")
        self.assertIn("of torch eager", said)

    def test_augmentation_in_turn_with_ours(self):
        rows, _ = run("gpu_augment.py", "--cells", "16:3", "--presets", "light", "--pipelines",
                      "gather,nonsense", "--more-modes", "eager", "--rounds", "2", "--batches", "1",
                      "--energy-seconds", "0.001")
        self.assertEqual(rows[0]["rounds"], {"gather": 2, "gather eager": 2, "ours bf16": 2})
        self.assertEqual(rows[0]["modes"], {"gather": "default", "gather eager": "eager"})
        self.assertEqual(rows[0]["images_per_second"]["ours f32"], [1e6, 1e6, 1e6])
        self.assertIn("no pipeline nonsense", rows[0]["errors"]["nonsense"])
        self.assertGreater(rows[0]["over_best"]["ratio"], 1)


if __name__ == "__main__":
    unittest.main()
