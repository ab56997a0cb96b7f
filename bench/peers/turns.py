"""Engines that take turns, and the numbers made of their rounds: what the GPU programs of this folder
share. Needs no PyTorch.

An engine is a program of its own that reads a request a line on standard input and answers each by
one JSON object a line: `setup --model subtype --size 80 ...` makes what is to be timed, `round N`
times N of it and answers {"ms": of one, ...}, with "joules_per_image" where that is known. An answer
with a key "error" says what went wrong; the engine goes on. This program's engines (bench/gpu/) and
PyTorch's (serve() below) speak alike, so that neither waits for the other's interpreter, compiler or
memory.
"""
import json
import math
import os
import shlex
import statistics
import subprocess
import sys


class EngineError(RuntimeError):
    pass


class Engine:
    """One program that serves. Errors: EngineError with what it said, or that it ended."""

    def __init__(self, command, environment=None):
        self.facts, self.process = {}, None
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            text=True, env={**os.environ, **(environment or {})})
        except OSError as error:
            raise EngineError(f"{command[0]}: {error.strerror}") from None

    def ask(self, request):
        self.send(request)
        return self.receive()

    def send(self, request):
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # receive() finds that it ended

    def receive(self):
        line = self.process.stdout.readline()
        try:
            answer = json.loads(line) if line else {"error": "the program ended"}
        except ValueError:
            answer = {"error": "not an answer: " + line.strip()}
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def setup(self, **options):
        self.facts = self.ask(request("setup", **options))
        return self.facts

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        self.process.stdout.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def request(word, **options):
    """"setup --size 80": underscores become hyphens."""
    return " ".join([word] + [f"--{name.replace('_', '-')} {value}"
                              for name, value in options.items()])


def python_engine(program, *options, environment=None):
    """The engine that `program` of this folder is when it is called with `serve`."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), program)
    return Engine([sys.executable, path, "serve", *options], environment)


def serve(answers):
    """Answers requests until standard input ends. answers: word -> function (options as a dict of
    strings, the words before them as key "") -> dict. What libraries print goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        words = shlex.split(line)
        try:
            if not words or words[0] not in answers:
                raise ValueError(f"unknown request \"{line.strip()}\"; known are "
                                 + ", ".join(answers))
            answer = answers[words[0]](options_of(words[1:]))
        except Exception as error:  # the engine goes on
            text = str(error).strip() or type(error).__name__
            answer = {"error": f"{type(error).__name__}: {text}"[:600]}
        out.write(json.dumps(answer) + "\n")
        out.flush()


def options_of(words):
    options = {"": []}
    name = None
    for word in words:
        if name is not None:
            options[name], name = word, None
        elif word.startswith("--"):
            name = word[2:].replace("-", "_")
        else:
            options[""].append(word)
    if name is not None:
        raise ValueError(f"--{name} needs a value")
    return options


def is_sound(value):
    return isinstance(value, (int, float)) and 0 < value < float("inf")


def take_turns(engines, rounds, ask, errors, unit="ms", joules=None):
    """{name: [unit of each round]}: `rounds` times, each engine in turn answers `ask`. One that fails
    is left out from then on, and `errors` says why; so does one whose number is not above 0.
    joules: gets {name: [joules an image]} of the rounds that told them."""
    values = {name: [] for name in engines}
    for _ in range(rounds):
        for name in list(values):
            try:
                answer = engines[name].ask(ask)
                value = answer[unit]
                if not is_sound(value):
                    raise EngineError(f"a round of {value} {unit}")
                values[name].append(value)
                if joules is not None and is_sound(answer.get("joules_per_image")):
                    joules.setdefault(name, []).append(answer["joules_per_image"])
            except EngineError as error:
                errors[name] = str(error)[:300]
                del values[name]
    return values


def quartiles(values):
    if len(values) == 1:
        return [values[0]] * 3
    return statistics.quantiles(values, n=4, method="inclusive")


def ratio(theirs, ours):
    """Of two lists of quartiles of times: how many times faster ours is, and the interval between the
    opposite quartiles."""
    return {"ratio": theirs[1] / ours[1], "interval": [theirs[0] / ours[2], theirs[2] / ours[0]]}


def fastest(names, times):
    """Of those names the one with the least median; None where there is none."""
    known = [name for name in names if name in times]
    return min(known, key=lambda name: times[name][1]) if known else None


def compared(result, values, against=()):
    """Adds to a row the quartiles of the rounds ("ms"), the repetitions, and ours over the best of the
    others and over each of `against` (key -> name), where they were timed."""
    result["rounds"] = {name: len(rounds) for name, rounds in values.items()}
    result["ms"] = times = {name: quartiles(rounds) for name, rounds in values.items()}
    ours = fastest([n for n in times if n.startswith("ours")], times)
    best = fastest([n for n in times if not n.startswith("ours")], times)
    result["ours"], result["best"] = ours, best
    if ours and best:
        for key, name in [("over_best", best), *dict(against).items()]:
            if name in times:
                result[key] = ratio(times[name], times[ours])
    return result


def ratio_text(found):
    return f"{found['ratio']:.2f}x ({found['interval'][0]:.2f} to {found['interval'][1]:.2f})"


def measure_energy(ready, result, seconds, errors, again=lambda name, count: None):
    """Of our fastest and of the best of the others a round more, of so many steps that it lasts for
    `seconds`: rounds that compare times are too short for a meter. again(name, count) makes an engine
    ready for a round of that length. What they tell is added to the row by compared_energy()."""
    joules = {}
    for name in filter(None, (result["ours"], result["best"]) if seconds > 0 else ()):
        count = max(1, math.ceil(1e3 * seconds / result["ms"][name][1]))
        try:
            again(name, count)
            told = ready[name].ask(f"round {count}").get("joules_per_image")
            joules.update({name: [told]} if is_sound(told) else {})
        except EngineError as error:
            errors[name + ", energy"] = str(error)[:300]
    compared_energy(result, joules)


def compared_energy(result, joules):
    """Adds to a compared() row the medians of {name: [joules an image]} ("joules_per_image"), and ours
    over those of the best of the others ("joules_over_best"), where both told them."""
    result["joules_per_image"] = known = {name: statistics.median(told)
                                          for name, told in joules.items()}
    if result["ours"] in known and result["best"] in known:
        result["joules_over_best"] = known[result["ours"]] / known[result["best"]]


def energy_text(result):
    """Of a row, to stand behind the ratio of times; empty where the energy was not told."""
    found = result.get("joules_over_best")
    return "" if found is None else f", {found:.2f}x of its energy an image"
