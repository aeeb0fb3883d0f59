"""The memory that `plan` announces against the largest resident size of the run that it plans."""
import subprocess
import sys

import pytest
from program import PROGRAM, run_json, settings

SIZE = dict(
    model__context=1000, model__layers=6, model__width=192, model__heads=4, model__attention="fixed(32,8)",
    model__dropout=0.1, training__batch=4,
)  # fmt: skip


# A child's largest resident size counts its parent's from before it was executed: started from a small process.
LAUNCHER = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def peak_resident_bytes(command):
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCHER, *map(str, command)], check=True, capture_output=True)
    return int(done.stdout) * 1024


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("recompute", ["none", "block"])
def test_the_plan_is_within_5_percent_of_the_peak(precision, recompute, corpus, tmp_path):
    options = ["--data", corpus, "--steps", "4", "--precision", precision]
    options += settings(**SIZE, training__recompute=recompute)
    plan = run_json("plan", *options)
    peak = peak_resident_bytes([PROGRAM, "train", "--out", tmp_path / "run", "--quiet", *options])
    assert plan["fits"]
    assert plan["bytes"]["total"] == pytest.approx(peak, rel=0.05), plan["bytes"]
