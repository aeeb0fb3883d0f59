"""What the comparisons of several processes share: runs of the program by mpirun, and what their logs say."""
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release"


def environment(threads):
    """More processes than cores, and as root where that is so."""
    return dict(os.environ, OMP_NUM_THREADS=str(threads), OMPI_ALLOW_RUN_AS_ROOT="1",
                OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
                OMPI_MCA_hwloc_base_binding_policy="none")


def by_processes(processes, *command, threads=1):
    """Standard output of a command that mpirun starts so many times; of one alone where it is one."""
    words = [str(word) for word in command]
    if processes > 1:
        words = ["mpirun", "-np", str(processes), *words]
    run = subprocess.run(words, env=environment(threads), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with {run.returncode}:\n{run.stderr}")
    return run.stdout


def some_text(path, size):
    """Bytes to learn from, the same every time."""
    with open(path, "w") as file:
        for line in range(size // 16):
            file.write(f"line {line * line % 9973:9d}\n")


def train(run, data, processes, threads, steps, preset, sets):
    """The log's steps of a run without validation and samples."""
    command = [BUILD / "longstride", "train", "--data", data, "--out", run, "--overwrite", "--quiet", "--preset", preset,
               "--steps", steps, "--threads", threads]
    for assignment in ["data.split=[1,0,0]", "training.sample_minutes=0", "training.validate_minutes=0", *sets]:
        command += ["--set", assignment]
    by_processes(processes, *command, threads=threads)
    lines = [json.loads(line) for line in pathlib.Path(run, "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "step_s" in line]


def median(steps, key="step_s"):
    """Of all steps but the first, which meets cold memory."""
    return statistics.median(step[key] for step in steps[1:])
