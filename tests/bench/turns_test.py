#!/usr/bin/env python3
"""bench/peers/turns.py: engines in turn and the numbers made of their rounds. Needs no PyTorch."""
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench", "peers"))
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


if __name__ == "__main__":
    unittest.main()
