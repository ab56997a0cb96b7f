"""The times in a result file of bench/gpu.sh: {name: [lower quartile, median, upper quartile]}, in ms."""
import json
import statistics


def quartiles(values):
    return [values[0]] * 3 if len(values) == 1 else statistics.quantiles(values, n=4, method="inclusive")


def records(text):
    """The JSON objects among the lines of a program's output."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue  # a line that was cut


def of_bench(row):
    rounds, times = {}, {}
    for record in records(row.get("output", "")):
        if isinstance(record.get("ms"), (int, float)):
            name = row["name"] + (f", {record['at_once']} at once" if "at_once" in record else "")
            rounds.setdefault(name, []).append(record["ms"])
        kernels = record.get("kernels", [])
        for kernel in kernels:
            if isinstance(kernel.get("ms"), list):
                times[f"{row['name']}: {kernel['kernel']}"] = kernel["ms"]
    times.update({name: quartiles(values) for name, values in rounds.items()})
    return times


def of_peers(row):
    return {f"{row.get('bench', 'step')} {row['cell']}, {engine}": times
            for engine, times in row.get("ms", {}).items()}


def times_of(result):
    times = {}
    for row in result.get("parts", {}).get("bench", []):
        times.update(of_bench(row))
    for row in result.get("parts", {}).get("peers", []):
        if "cell" in row:
            times.update(of_peers(row))
    return times
