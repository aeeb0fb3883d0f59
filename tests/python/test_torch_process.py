"""longstride.torch inside a process of Python: forks among threads, models that are copied and pickled."""

import copy
import io
import pickle
import subprocess
import sys
import threading

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from longstride.torch import SparseTransformer

CONFIG = {
    "model.context": 64, "model.layers": 2, "model.width": 32, "model.heads": 4,
    "model.attention": ["fixed(8,2)", ["local(4)", "column(8)"]],
    "model.hash_orders": [2], "model.hash_buckets": 64, "model.convolution": 4,
}  # fmt: skip

FORKS = """
import os, signal, threading, torch
from longstride.torch import attention

torch.set_num_threads(1)
inputs = [torch.randn(1, 1, T, 4) for T in range(1, 9)]
expected = [attention(x, x, x, "dense") for x in inputs]
done = threading.Event()

def work():
    while not done.is_set():
        for x in inputs:
            attention(x, x, x, "dense")

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(50):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        same = all(torch.equal(attention(x, x, x, "dense"), y) for x, y in zip(inputs, expected))
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
done.set()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_among_threads_that_attend_leaves_a_child_that_attends():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def saved(model):
    torch.save(model, file := io.BytesIO())
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), saved])
def test_a_module_is_copied_and_pickled_whole(way):
    torch.manual_seed(1)
    model = SparseTransformer(CONFIG)
    model.step = 7
    torch.nn.init.normal_(model.output.weight)
    same, tokens = way(model), torch.randint(0, 256, (2, 40))
    assert same.step == 7 and same.config == model.config and same.config is not model.config
    assert torch.equal(same(tokens), model(tokens))
    assert same.output.weight.data_ptr() != model.output.weight.data_ptr()


def test_two_threads_train_two_modules_to_the_bits_of_one_after_the_other():
    def train(seed):
        generator = torch.Generator().manual_seed(seed)
        model = SparseTransformer(CONFIG)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            x = torch.randint(0, 256, (2, 50), generator=generator)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[:, :-1]).flatten(0, 1), x.flatten()).backward()
            optimizer.step()
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    expected, found = [train(seed) for seed in (1, 2)], {}
    threads = [threading.Thread(target=lambda s=seed: found.update({s: train(s)})) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[seed], of_one) for seed, of_one in zip((1, 2), expected))
