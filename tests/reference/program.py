"""Running the built program as a user would: exit status, words, JSON, and the files that it leaves."""
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("LONGSTRIDE_BUILD", ROOT / "build" / "release"))
PROGRAM = pathlib.Path(os.environ.get("LONGSTRIDE_PROGRAM", BUILD / "longstride"))
TIMEOUT_S = 300


def run(*arguments, status=0, **options):
    """Runs the program and asserts its exit status. Returns the finished process; both streams are bytes."""
    command = [str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, **options)
    words = f"{' '.join(command)}\nexit {done.returncode}\n{done.stdout[-2000:]!r}\n{done.stderr.decode(errors='replace')[-4000:]}"
    assert done.returncode == status, words
    return done


def run_json(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def settings(**keys):
    """settings(model__width=32) -> ["--set", "model.width=32"]; values are written as JSON."""
    words = []
    for key, value in keys.items():
        words += ["--set", f"{key.replace('__', '.')}={json.dumps(value)}"]
    return words


# A model that trains in seconds. Every test says what it needs besides. Nothing divides anything here.
TINY = dict(
    model__context=101, model__layers=2, model__width=32, model__heads=4, model__feedforward=4, model__query_key=1,
    model__attention="fixed(11,3)", model__positions=[11, 10], model__dropout=0,
    training__batch=2, training__accumulate=1, training__learning_rate=0.01, training__warmup_steps=5, training__final_rate=0,
    training__weight_decay=0.01, training__beta1=0.9, training__beta2=0.999, training__epsilon=1e-8, training__clip=1,
    training__ema=0, training__precision="float32", training__sample_minutes=0, training__validate_minutes=0,
    training__checkpoint_minutes=0,
)  # fmt: skip


def train(out, data, steps, **keys):
    """Trains a tiny model and returns the path of its last model.safetensors."""
    options = settings(**{**TINY, **keys})
    run("train", "--data", data, "--out", out, "--steps", steps, "--quiet", *options)
    return last_checkpoint(out)


def last_checkpoint(out):
    found = sorted((pathlib.Path(out) / "checkpoints").glob("[0-9]*[0-9]/model.safetensors"))
    assert found, f"no checkpoint below {out}"
    return found[-1]


def log(out):
    """(steps, validations): the objects of log.jsonl by kind."""
    lines = [json.loads(line) for line in (pathlib.Path(out) / "log.jsonl").read_text().splitlines()]
    return [x for x in lines if "loss_bits" in x], [x for x in lines if "valid_bits" in x]
