#!/usr/bin/env python3
"""bench/peers/turns.py: engines in turn and the numbers made of their rounds; the energy counter of
bench/peers/torch_device.py. Needs no PyTorch."""
import ctypes
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench", "peers"))
import torch_device  # noqa: E402
import turns  # noqa: E402

SERVER = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {peers!r})
import turns
def round(options):
    n = int(options[""][0])
    if n == 13: raise ValueError("not 13")
    if n == 99: sys.exit(1)
    print("a library's chatter")
    return {{"ms": float("nan") if n == 0 else 1.0 / n}}
turns.serve({{"setup": lambda options: options, "round": round}})
"""


def engine(folder):
    path = os.path.join(folder, "server.py")
    with open(path, "w") as file:
        file.write(SERVER.format(peers=os.path.join(ROOT, "bench", "peers")))
    return turns.Engine([sys.executable, path])


class Turns(unittest.TestCase):
    def test_quartiles_and_ratio_by_hand(self):
        self.assertEqual(turns.quartiles([5.0]), [5.0, 5.0, 5.0])
        self.assertEqual(turns.quartiles([4, 1, 3, 2, 5]), [2, 3, 4])
        found = turns.ratio([8, 10, 12], [2, 4, 5])
        self.assertEqual(found["ratio"], 2.5)
        self.assertEqual(found["interval"], [8 / 5, 12 / 2])
        self.assertEqual(turns.ratio_text(found), "2.50x (1.60 to 6.00)")

    def test_a_row_compares_our_fastest_with_the_fastest_other(self):
        values = {"ours bf16": [3.0], "ours f16": [2.0], "torch eager": [8.0], "torch graph": [4.0]}
        row = turns.compared({}, values, {"over_eager": "torch eager", "over_none": "torch none"})
        self.assertEqual((row["ours"], row["best"]), ("ours f16", "torch graph"))
        self.assertEqual((row["over_best"]["ratio"], row["over_eager"]["ratio"]), (2, 4))
        self.assertNotIn("over_none", row)
        self.assertEqual(row["rounds"]["ours bf16"], 1)
        alone = turns.compared({}, {"torch eager": [1.0]}, {"over_eager": "torch eager"})
        self.assertNotIn("over_best", alone)
        self.assertNotIn("over_eager", alone)

    def test_an_engine_answers_fails_and_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            one = engine(folder)
            self.assertEqual(one.setup(size=80, ours_is="a b"[:1]),
                             {"": [], "size": "80", "ours_is": "a"})
            self.assertEqual(one.ask("round 4"), {"ms": 0.25})
            with self.assertRaisesRegex(turns.EngineError, "ValueError: not 13"):
                one.ask("round 13")
            with self.assertRaisesRegex(turns.EngineError, 'unknown request "dance"; known are setup'):
                one.ask("dance")
            with self.assertRaisesRegex(turns.EngineError, "--size needs a value"):
                one.ask("setup --size")
            self.assertEqual(one.ask("round 2"), {"ms": 0.5})
            with self.assertRaisesRegex(turns.EngineError, "the program ended"):
                one.ask("round 99")
            with self.assertRaisesRegex(turns.EngineError, "the program ended"):
                one.ask("round 2")
            one.close()
        with self.assertRaisesRegex(turns.EngineError, "/no/such/program: No such file"):
            turns.Engine(["/no/such/program", "serve"])

    def test_who_fails_or_answers_nan_is_left_out_and_named(self):
        class Fake:
            def __init__(self, answers):
                self.answers, self.asked = list(answers), 0

            def ask(self, request):
                self.asked += 1
                answer = self.answers.pop(0)
                if isinstance(answer, str):
                    raise turns.EngineError(answer)
                return {"ms": answer}
        good, bad = Fake([1.0, 2.0, 3.0]), Fake([1.0, "fell over"])
        nan, zero = Fake([float("nan")]), Fake([0])
        errors = {}
        values = turns.take_turns({"good": good, "bad": bad, "nan": nan, "zero": zero}, 3, "round 1",
                                  errors)
        self.assertEqual(values, {"good": [1.0, 2.0, 3.0]})
        self.assertEqual((good.asked, bad.asked, nan.asked), (3, 2, 1))
        self.assertEqual(errors, {"bad": "fell over", "nan": "a round of nan ms",
                                  "zero": "a round of 0 ms"})

    def test_energy_is_of_rounds_that_told_it_and_a_ratio_of_two(self):
        class Fake:
            def __init__(self, *joules):
                self.joules, self.asked = list(joules), []

            def ask(self, request):
                self.asked.append(request)
                return {"ms": 4.0, "joules_per_image": self.joules.pop(0)}
        ours, theirs, joules = Fake(1.0, None, 3.0), Fake(8.0, 6.0, float("nan")), {}
        values = turns.take_turns({"ours a": ours, "b": theirs}, 3, "round 1", {}, joules=joules)
        self.assertEqual(joules, {"ours a": [1.0, 3.0], "b": [8.0, 6.0]})
        row = turns.compared({}, values)
        self.assertEqual(turns.energy_text(row), "")
        turns.compared_energy(row, joules)
        self.assertEqual(row["joules_per_image"], {"ours a": 2.0, "b": 7.0})
        self.assertEqual(row["joules_over_best"], 2 / 7)
        self.assertEqual(turns.energy_text(row), ", 0.29x of its energy an image")
        # A round more, for as long as it was asked for.
        ours, theirs, ready = Fake(0.5), Fake(2.0), []
        turns.measure_energy({"ours a": ours, "b": theirs}, row, 1.001, {},
                             lambda name, count: ready.append((name, count)))
        self.assertEqual((ours.asked, theirs.asked), (["round 251"], ["round 251"]))
        self.assertEqual(ready, [("ours a", 251), ("b", 251)])
        self.assertEqual(row["joules_over_best"], 0.25)

    def test_energy_that_only_one_told_is_no_ratio(self):
        def asked(theirs, seconds=1, **ours):
            class Fake:
                def __init__(self, answer):
                    self.answer = answer

                def ask(self, request):
                    if isinstance(self.answer, Exception):
                        raise self.answer
                    return self.answer
            row, errors = turns.compared({}, {"ours a": [2.0], "b": [4.0]}), {}
            turns.measure_energy({"ours a": Fake(ours), "b": Fake(theirs)}, row, seconds, errors)
            self.assertNotIn("joules_over_best", row)
            return row["joules_per_image"], errors
        self.assertEqual(asked({"joules_per_image": None}, joules_per_image=2.0), ({"ours a": 2.0}, {}))
        self.assertEqual(asked({}, joules_per_image=0), ({}, {}))
        self.assertEqual(asked({"joules_per_image": 3.0}, 0, joules_per_image=2.0), ({}, {}))
        self.assertEqual(asked(turns.EngineError("fell over"), joules_per_image=2.0),
                         ({"ours a": 2.0}, {"b, energy": "fell over"}))
        alone = turns.compared({}, {"b": [4.0]})
        turns.compared_energy(alone, {"b": [3.0]})
        self.assertEqual(alone["joules_per_image"], {"b": 3.0})
        self.assertNotIn("joules_over_best", alone)


class Driver:
    """CUDA's driver on a machine whose second GPU is the only one that CUDA shows."""

    def cuInit(self, flags):
        return 0

    def cuDeviceGet(self, device, ordinal):
        device._obj.value = 40 + ordinal
        return 0

    def cuDeviceGetPCIBusId(self, bus, size, device):
        assert (size, device.value) == (32, 40)
        bus.value = b"0000:b1:00.0"
        return 0


class Nvml:
    def __init__(self, millijoules=123456, refuses=""):
        self.millijoules, self.refuses = millijoules, refuses

    def nvmlInit_v2(self):
        return int(self.refuses == "init")

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus, handle):
        handle._obj.value = {b"0000:1b:00.0": 1001, b"0000:b1:00.0": 1002}[bus.value]
        return int(self.refuses == "bus")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, millijoules):
        assert handle.value == 1002
        millijoules._obj.value = self.millijoules
        return 3 if self.refuses == "energy" else 0


class Energy(unittest.TestCase):
    def counter(self, nvml, driver=Driver):
        def load(name):
            library = {"libcuda.so.1": driver, "libnvidia-ml.so.1": lambda: nvml}[name]
            if library is None:
                raise OSError(f"{name}: cannot open shared object file")
            return library()
        return torch_device.energy_counter(load)

    def test_the_counter_is_of_the_gpu_that_cuda_shows(self):
        nvml = Nvml()
        counter = self.counter(nvml)
        self.assertAlmostEqual(counter(), 123.456)
        nvml.millijoules = 2 ** 40
        self.assertEqual(counter(), 2 ** 40 * 1e-3)  # 64 bits
        nvml.refuses = "energy"  # not for this GPU, or no longer
        self.assertIsNone(counter())

    def test_without_a_library_or_a_gpu_there_is_no_counter(self):
        self.assertIsNone(self.counter(Nvml(refuses="init")))
        self.assertIsNone(self.counter(Nvml(refuses="bus")))
        self.assertIsNone(self.counter(Nvml(), driver=None))
        self.assertIsNone(self.counter(object()))  # an NVML without these functions
        self.assertIsNone(self.counter(Nvml(), driver=lambda: ctypes.CDLL(None)))

    def test_the_meter_tells_none_of_an_instant_or_without_a_counter(self):
        now, joules = [10.0], [500.0]
        meter = torch_device.Meter(lambda: joules[0], lambda: now[0])
        now[0], joules[0] = 10.499, 600.0
        self.assertIsNone(meter.joules_per_image(4))
        now[0] = 10.5
        self.assertEqual(meter.joules_per_image(4), 25)
        meter.start()
        now[0], joules[0] = 12.0, 602.0
        self.assertEqual(meter.joules_per_image(4), 0.5)
        joules[0] = None
        self.assertIsNone(meter.joules_per_image(4))
        meter.start()
        now[0], joules[0] = 20.0, 700.0
        self.assertIsNone(meter.joules_per_image(4))
        none = torch_device.Meter(None, lambda: now[0])
        now[0] = 30.0
        self.assertIsNone(none.joules_per_image(4))


if __name__ == "__main__":
    unittest.main()
