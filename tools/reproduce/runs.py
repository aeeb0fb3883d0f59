"""What the scripts of this folder share: training, scoring, tables and plots. They need matplotlib for the plots only."""
import json
import pathlib
import statistics
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).resolve().parent.parent.parent / "build/release/longstride"


def program(*words, quiet=False):
    """What `longstride words...` writes to standard output."""
    command = [str(word) for word in (PROGRAM, *words)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {run.returncode}")
    return run.stdout


def sets(settings):
    """{"model.width": 128} as --set words; a value that is no string as JSON."""
    return [word for key, value in settings.items()
            for word in ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")]


def train(data, run, settings):
    """Trains into the folder `run` and returns seconds a step, the median of the logged ones."""
    program("train", "--data", *data, "--out", run, "--overwrite", *sets(settings))
    steps = [json.loads(line) for line in open(run / "log.jsonl")]
    return statistics.median(entry["step_s"] for entry in steps if "step_s" in entry)


def evaluate(data, run, *options):
    return json.loads(program("evaluate", run, "--data", *data, "--json", "--quiet", *options))


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def draw(file, title, xlabel, ylabel, series, xlog=False, ylog=False):
    """series: {label: (xs, ys)}"""
    try:
        import matplotlib
    except ImportError:
        print(f"no matplotlib: {file} is not drawn", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(6, 4), constrained_layout=True)
    for label, (xs, ys) in series.items():
        axes.plot(xs, ys, "o-", label=label)
    if xlog:
        axes.set_xscale("log", base=2)
    if ylog:
        axes.set_yscale("log", base=2)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    figure.savefig(file, dpi=100)
    print(f"{file} drawn", file=sys.stderr)
