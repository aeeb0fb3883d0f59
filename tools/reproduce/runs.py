"""What the scripts of this folder share: training, scoring, timing, tables and plots. Plots need matplotlib."""
import json
import os
import pathlib
import statistics
import subprocess
import sys

BUILD = pathlib.Path(__file__).resolve().parent.parent.parent / "build/release"
POLL_S = 30  # between two words about a training run


def say(words):
    print(words, file=sys.stderr, flush=True)


def executable(name):
    found = BUILD / name
    if not os.access(found, os.X_OK):
        sys.exit(f"there is no {found}; build it: cmake --preset release && cmake --build --preset release")
    return found


def output_of(*words, quiet=False):
    """What a command writes to standard output; where it fails, so does the script."""
    command = [str(word) for word in words]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {run.returncode}")
    return run.stdout


def program(*words, quiet=False):
    return output_of(executable("longstride"), *words, quiet=quiet)


def sets(settings):
    """{"model.width": 128} as --set words; a value that is no string as JSON."""
    return [word for key, value in settings.items()
            for word in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")]  # fmt: skip


def budget(minutes, steps):
    """Settings of a run that ends with its minutes, or with its steps where there are any, and makes no samples."""
    end = {"training.minutes": 0, "training.steps": steps} if steps else {"training.minutes": minutes}
    return {**end, "training.sample_minutes": 0}


def steps_of(run):
    """The log's steps, as far as they are written."""
    log = run / "log.jsonl"
    entries = []
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the line that is being written
    return [entry for entry in entries if "loss_bits" in entry]


def train(data, run, settings, threads=0):
    """Trains into the folder `run`, saying now and then how far it is, and returns the log's steps."""
    command = [executable("longstride"), "train", "--data", *data, "--out", run, "--overwrite", "--quiet",
               "--threads", threads, *sets(settings)]  # fmt: skip
    running = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                code = running.wait(timeout=POLL_S)
                break
            except subprocess.TimeoutExpired:
                steps = steps_of(run)
                if steps:
                    mean = statistics.mean(entry["loss_bits"] for entry in steps[-50:])
                    say(f"{run.name}: step {steps[-1]['step']}, {mean:.3f} bits in training")
    finally:
        running.kill()
    if code != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {code}")
    return steps_of(run)


def evaluate(data, run, *options):
    return json.loads(program("evaluate", run, "--data", *data, "--json", "--quiet", *options))


def plan(settings, *options):
    return json.loads(program("plan", "--json", *options, *sets(settings), quiet=True))


def smooth(steps, pieces=40):
    """The training loss of a run, as `pieces` means: (steps, bits)."""
    size = max(1, len(steps) // pieces)
    parts = [steps[first:first + size] for first in range(0, len(steps) - size + 1, size)]
    return [part[-1]["step"] for part in parts], [statistics.mean(e["loss_bits"] for e in part) for part in parts]


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def draw(file, title, xlabel, ylabel, series, xlog=False, ylog=False, points=True):
    """series: {label: (xs, ys)}"""
    try:
        import matplotlib
    except ImportError:
        say(f"{file} is not drawn: there is no matplotlib (pip install matplotlib)")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(6, 4), constrained_layout=True)
    for label, (xs, ys) in series.items():
        axes.plot(xs, ys, "o-" if points else "-", label=label)
    if xlog:
        axes.set_xscale("log", base=2)
    if ylog:
        axes.set_yscale("log", base=2)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    figure.savefig(file, dpi=80)
    say(f"{file} is drawn")


def existing(path):
    """For argparse: a path that is there."""
    import argparse
    found = pathlib.Path(path)
    if not found.exists():
        raise argparse.ArgumentTypeError(f"there is no {path}")
    return found
