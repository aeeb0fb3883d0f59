"""longstride.torch.attention against its definition: softmax with a mask, in double."""

import gc
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import longstride
from longstride import _core
from longstride.torch import attention

# The largest difference there may be, as a share of the largest number of what is compared. float32: sums of at most
# some hundred products, each rounded to 2^-24. bfloat16: operands are the same for both sides, but probabilities and
# results are rounded to 2^-9, of sums that may be as large as the largest number.
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2e-2}


def mask_of(patterns, H, T):
    """(H, T, T) of one pattern for all heads, or of a list of one a head."""
    of_heads = patterns if isinstance(patterns, list) else [patterns] * H
    i, j = np.mgrid[:T, :T]
    masks = [longstride.Pattern(text).for_head(h).attends(i, j) for h, text in enumerate(of_heads)]
    return torch.from_numpy(np.stack(masks))


def definition(q, k, v, patterns, scale=None):
    q, k, v = q.double(), k.double(), v.double()
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    mask = mask_of(patterns, *q.shape[1:3])
    shares = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
    return torch.where(mask.any(-1, keepdim=True), shares, 0) @ v


def gradients(function, tensors, dout):
    tensors = [x.detach().requires_grad_() for x in tensors]
    return torch.autograd.grad(function(*tensors), tensors, dout)


def assert_close(found, expected, dtype, scale=1.0):
    assert found.dtype == dtype
    error = (found.double() - expected).abs().max()
    assert error <= scale * TOLERANCES[dtype] * (expected.abs().max() + 1), f"{error:.2e}"


def compare(q, k, v, patterns, scale=None):
    dtype = q.dtype
    dout = torch.randn(*q.shape[:3], v.shape[3]).to(dtype)
    assert_close(attention(q, k, v, patterns, scale), definition(q, k, v, patterns, scale), dtype)
    found = gradients(lambda *x: attention(*x, patterns, scale), (q, k, v), dout)
    wide = [x.double() for x in (q, k, v)]
    expected = gradients(lambda *x: definition(*x, patterns, scale), wide, dout.double())
    for gradient, of_definition, x in zip(found, expected, (q, k, v)):
        assert gradient.shape == x.shape
        assert_close(gradient, of_definition, dtype, 4)  # sums of products of what is rounded, and the scale


def in_memory(order, shape, dtype, generator):
    """A (B, H, T, D) tensor whose dimensions lie in memory in this order, D last, or as parts of larger rows."""
    B, H, T, D = shape
    if order == "parts":  # columns of one matrix (B, T, 3 H D)
        whole = torch.randn(B, T, 3 * H * D, generator=generator).to(dtype)
        return whole[..., H * D : 2 * H * D].unflatten(2, (H, D)).transpose(1, 2)
    sizes = {"b": B, "h": H, "t": T, "d": D}
    x = torch.randn([sizes[axis] for axis in order], generator=generator).to(dtype)
    return x.permute([order.index(axis) for axis in "bhtd"])


def random_part(choose, T):
    length = choose.randint(1, T + 2)
    cells = choose.randint(1, length)
    return choose.choice(
        ["dense", f"window({length})", f"column({length})", f"row({length})", f"summary({length},{cells})",
         f"previous_row({length})", f"prefix({length})", f"strided({length})", f"fixed({length},{cells})"]
    )  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("seed", range(30))
def test_random_shapes_strides_and_patterns_equal_the_definition(seed, dtype):
    choose, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    B, H, T = choose.choice([1, 2, 3]), choose.choice([1, 2, 5]), choose.choice([1, 2, 17, 64, 65, 130])
    Dq, Dv = choose.choice([1, 5, 16, 33, 64]), choose.choice([1, 7, 32, 64])
    patterns = " | ".join(random_part(choose, T) for _ in range(choose.choice([1, 1, 2])))
    if seed % 3 == 0:
        patterns = [random_part(choose, T) for _ in range(H)]
    q, k, v = (
        in_memory(choose.choice(["bhtd", "bthd", "hbtd", "tbhd", "parts", "bhdt"]), (B, H, T, D), dtype, generator)
        for D in (Dq, Dq, Dv)
    )
    compare(q, k, v, patterns, choose.choice([None, 0.3]))


def test_pattern_objects_and_their_texts_are_the_same():
    q, k, v = (torch.randn(1, 2, 20, 8) for _ in range(3))
    one, two = longstride.Pattern("fixed(4,2)"), longstride.Pattern("column(3)")
    assert torch.equal(attention(q, k, v, one), attention(q, k, v, "fixed(4,2)"))
    assert torch.equal(attention(q, k, v, [one, two]), attention(q, k, v, ["fixed(4,2)", "column(3)"]))


def test_nothing_is_copied_and_the_result_lies_as_rows(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a tensor was copied")

    x = torch.randn(2, 40, 3 * 4 * 16)
    q, k, v = (part.unflatten(2, (4, 16)).transpose(1, 2).detach().requires_grad_() for part in x.chunk(3, dim=2))
    assert q.data_ptr() == x.data_ptr()
    monkeypatch.setattr(torch.Tensor, "clone", refuse)
    monkeypatch.setattr(torch.Tensor, "contiguous", lambda x: x if x.is_contiguous() else refuse())
    out = attention(q, k, v, "strided(6)")
    torch.autograd.grad(out, (q, k, v), torch.ones(2, 40, 4, 16).transpose(1, 2))
    assert out.transpose(1, 2).is_contiguous()


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_operands_that_share_memory_between_rows_are_copied(dtype):
    q = torch.randn(2, 4, 30, 8).to(dtype)
    k = torch.randn(2, 1, 30, 8).to(dtype).expand(2, 4, 30, 8)  # one head of keys for all
    v = torch.randn(1, 4, 30, 8).to(dtype).expand(2, 4, 30, 8)
    compare(q, k, v, "fixed(7,2)")
    q = q.detach().requires_grad_()
    attention(q, k, v, "fixed(7,2)").sum().backward()  # whose gradient is one number, expanded
    expected = gradients(lambda x: definition(x, k, v, "fixed(7,2)"), [q.double()], torch.ones(2, 4, 30, 8).double())
    assert_close(q.grad, expected[0], dtype, 4)


def test_a_query_that_reads_nothing_gives_zero_and_takes_no_gradient():
    q, k, v = (torch.randn(1, 1, 9, 4).requires_grad_() for _ in range(3))
    out = attention(q, k, v, "previous_row(4)")
    out.sum().backward()
    assert torch.equal(out[:, :, :4], torch.zeros(1, 1, 4, 4)) and torch.equal(
        q.grad[:, :, :4], torch.zeros(1, 1, 4, 4)
    )


@pytest.mark.parametrize("shape", [(0, 2, 9), (2, 0, 9), (2, 2, 0), (0, 0, 0)])
def test_of_nothing_there_is_nothing(shape):
    """As scaled_dot_product_attention has it: an empty batch passes through."""
    q, k, v = (torch.randn(*shape, D).requires_grad_() for D in (4, 4, 6))
    torch._dynamo.reset()
    for function in (attention, torch.compile(attention, fullgraph=True)):
        out = function(q, k, v, "fixed(4,1)")
        assert out.shape == (*shape, 6)
        assert [x.shape for x in torch.autograd.grad(out.sum(), (q, k, v))] == [q.shape, k.shape, v.shape]


def test_only_what_needs_a_gradient_gets_one():
    q, k = (torch.randn(1, 2, 9, 4) for _ in range(2))
    v = torch.randn(1, 2, 9, 4).requires_grad_()
    attention(q, k, v, "dense").sum().backward()
    assert v.grad is not None and q.grad is None
    assert not attention(q, k, v.detach(), "dense").requires_grad
    with torch.no_grad():
        assert not attention(q, k, v, "dense").requires_grad


# --- what torch asks of an operator ---


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("needs_gradient", [True, False])
def test_opcheck(dtype, needs_gradient):
    q, k = (torch.randn(2, 20, 3, 8).to(dtype).transpose(1, 2).requires_grad_(needs_gradient) for _ in range(2))
    v = torch.randn(2, 3, 20, 5).to(dtype).requires_grad_(needs_gradient)
    operator = torch.ops.longstride.attention.default
    for arguments in ((q, k, v, "fixed(6,2)"), (q, k, v, "dense;column(3);local(2)", 0.5)):
        torch.library.opcheck(operator, arguments)
    out, lse = (x.detach() for x in operator(q, k, v, "fixed(6,2)"))
    q, k, v = (x.detach() for x in (q, k, v))
    torch.library.opcheck(torch.ops.longstride.attention_backward.default, (out, q, k, v, out, lse, "fixed(6,2)"))


@pytest.mark.filterwarnings("ignore:.*double precision")
@pytest.mark.parametrize("pattern", ["dense", "fixed(4,1)", ["previous_row(3)", "column(2)"]])
def test_gradcheck(pattern):
    # The kernels are float32: differences over 2^-6 err by 2^-12 for what they leave out of the curve and by 2^-18 for
    # rounding, times some derivatives of about 1.
    tensors = [torch.randn(1, 2, 9, 4).requires_grad_() for _ in range(3)]
    assert torch.autograd.gradcheck(
        lambda q, k, v: attention(q, k, v, pattern), tensors, eps=2**-6, atol=2e-3, rtol=1e-2, nondet_tol=0
    )


@pytest.mark.parametrize(
    "pattern", ["fixed(8,3)", ["local(3)", "column(4)", "dense"], longstride.Pattern("strided(5)")]
)
def test_compile_has_no_graph_break_and_gives_the_same_bits(pattern):
    tensors = [torch.randn(2, 33, 3, 8).transpose(1, 2).requires_grad_() for _ in range(3)]

    def network(q, k, v):
        return attention(q, k, v, pattern).sum()

    loss, expected = network(*tensors), torch.autograd.grad(network(*tensors), tensors)
    torch._dynamo.reset()
    found = torch.compile(network, fullgraph=True)(*tensors)
    assert torch.allclose(found, loss)
    for gradient, of_eager in zip(torch.autograd.grad(found, tensors), expected):
        assert torch.equal(gradient, of_eager)


def test_compile_with_lengths_that_change():
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: attention(x, x, x, "fixed(8,3)"), fullgraph=True, dynamic=True)
    for T in (40, 41, 90):
        x = torch.randn(1, 2, T, 8)
        assert torch.equal(compiled(x), attention(x, x, x, "fixed(8,3)"))


def test_vmap_is_a_batch():
    q, v = torch.randn(4, 2, 3, 9, 5), torch.randn(2, 3, 9, 4, 6)
    k = torch.randn(2, 3, 9, 5)
    found = torch.vmap(lambda q, k, v: attention(q, k, v, "fixed(4,1)"), in_dims=(0, None, 3))(q, k, v)
    for at in range(4):
        assert torch.equal(found[at], attention(q[at], k, v[..., at, :], "fixed(4,1)"))


def test_autocast_computes_in_bfloat16():
    q, k, v = (torch.randn(1, 2, 30, 8).requires_grad_() for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(q, k, v, "dense")
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), "dense"))
    found.sum().backward()
    assert q.grad.dtype == torch.float32


# --- threads and memory ---


def test_torch_s_threads_are_used_and_left_alone_and_change_no_bit():
    before = torch.get_num_threads()
    tensors = [torch.randn(2, 4, 300, 16).bfloat16() for _ in range(3)]
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            dout = tensors[0]
            found.append([attention(*tensors, "fixed(16,4)"),
                          *gradients(lambda *x: attention(*x, "fixed(16,4)"), tensors, dout)])  # fmt: skip
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other))


def test_threads_of_python_compute_at_the_same_time():
    tensors = [torch.randn(1, 4, 200, 16) for _ in range(3)]
    expected = [
        attention(*tensors, "strided(14)"),
        *gradients(lambda *x: attention(*x, "strided(14)"), tensors, tensors[0]),
    ]
    wrong = []

    def work():
        for _ in range(30):
            found = [attention(*tensors, "strided(14)"),
                     *gradients(lambda *x: attention(*x, "strided(14)"), tensors, tensors[0])]  # fmt: skip
            if not all(torch.equal(a, b) for a, b in zip(found, expected)):
                wrong.append("differs")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_kept_between_calls_is_bounded_and_can_be_given_back():
    _core.attention_release()
    assert _core.attention_held() == (0, 0)
    for T in range(1, 60):
        x = torch.randn(1, 1, T, 8)
        attention(x, x, x, "dense")
        attention(x, x, x, "dense")
    objects, scratch_bytes = _core.attention_held()
    assert objects == 32 and 0 < scratch_bytes <= 2**29
    _core.attention_release()
    assert _core.attention_held() == (0, 0)


def test_tensors_are_freed():
    import weakref

    q = torch.randn(1, 1, 9, 4).requires_grad_()
    out = attention(q, q, q, "dense")
    watched = weakref.ref(out)
    out.sum().backward()
    del out
    gc.collect()
    assert watched() is None


# --- what cannot be ---


def zeros(*shape, dtype=torch.float32):
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    "q, k, v, pattern, scale, words",
    [
        (zeros(2, 3, 9, 4), zeros(1, 3, 9, 4), zeros(2, 3, 9, 4), "dense", None, "needs q and k of shape"),
        (zeros(2, 3, 9, 4), zeros(2, 3, 9, 4), zeros(2, 3, 8, 4), "dense", None, r"got \(2, 3, 9, 4\)"),
        (zeros(9, 4), zeros(9, 4), zeros(9, 4), "dense", None, "needs q and k of shape"),
        (zeros(1, 1, 9, 4, dtype=torch.float64),) * 3 + ("dense", None, "got torch.float64"),
        (zeros(1, 1, 9, 4), zeros(1, 1, 9, 4), zeros(1, 1, 9, 4, dtype=torch.bfloat16), "dense", None, "all bfloat16"),
        (zeros(1, 1, 9, 300),) * 3 + ("dense", None, r"Dq must be in \[1, 256\], got 300"),
        (zeros(0, 1, 9, 4),) * 3 + ("dens", None, "is no pattern"),
        (zeros(1, 3, 9, 4),) * 3 + ("dens", None, "is no pattern"),
        (zeros(1, 3, 9, 4),) * 3 + (["dense"] * 2, None, "one for each of 3 heads, got 2"),
        (zeros(1, 3, 9, 4),) * 3 + ("dense", 0.0, "scale must be above 0, and finite, got 0"),
        (zeros(1, 3, 9, 4),) * 3 + ("dense", float("nan"), "scale must be above 0, and finite, got nan"),
        (zeros(1, 3, 9, 4),) * 3 + ("dense", float("inf"), "scale must be above 0, and finite, got inf"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_value_error_with_a_sentence(q, k, v, pattern, scale, words):
    with pytest.raises(ValueError, match=words):
        attention(q, k, v, pattern, scale)


def test_what_are_no_tensors_is_a_type_error():
    x = zeros(1, 1, 9, 4)
    for q, kind in ((None, "NoneType"), (x.numpy(), "ndarray"), ([[1.0]], "list")):
        with pytest.raises(TypeError, match=f"got {kind}, Tensor, Tensor"):
            attention(q, x, x, "dense")


def test_what_it_does_not_do_it_says():
    x = torch.randn(1, 1, 5, 4).requires_grad_()
    first = torch.autograd.grad(attention(x, x, x, "dense").pow(2).sum(), x, create_graph=True)[0]
    with pytest.raises(NotImplementedError, match="first derivative only"):
        first.sum().backward()
    with pytest.raises(NotImplementedError, match="torch.func cannot differentiate"):
        torch.func.grad(lambda x: attention(x, x, x, "dense").sum())(x.detach())
    with pytest.raises(NotImplementedError, match="torch.func cannot differentiate"):
        torch.func.jvp(lambda x: attention(x, x, x, "dense"), (x.detach(),), (x.detach(),))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.detach(), x.detach())
        with pytest.raises(RuntimeError, match="forward"):
            attention(dual, dual, dual, "dense")
    with pytest.raises(NotImplementedError, match="dense tensors of the CPU, got cpu .sparse_coo."):
        attention(*[x.detach().to_sparse()] * 3, "dense")


def test_the_backward_operator_reads_no_memory_that_is_not_there():
    x, short = zeros(1, 1, 9, 4), zeros(1, 1, 5, 4)
    for out, lse in ((short, zeros(1, 1, 9)), (x, zeros(1, 1, 5)), (x.bfloat16(), zeros(1, 1, 9))):
        with pytest.raises(ValueError, match="needs out and dout as the forward pass made out"):
            torch.ops.longstride.attention_backward(x, x, x, x, out, lse, "dense")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_of_a_gpu_are_refused():
    x = torch.randn(1, 1, 5, 4, device="cuda")
    with pytest.raises(NotImplementedError, match="dense tensors of the CPU, got cuda"):
        attention(x, x, x, "dense")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("first", ["torch", "longstride"])
def test_torch_and_longstride_share_one_pool_of_threads(first):
    """Two copies of libgomp would each keep its threads, which wait for work by spinning on the other's cores."""
    program = f"import {first}, longstride.torch\nprint(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    copies = {line.split()[-1] for line in maps.splitlines() if "gomp" in line}
    assert len(copies) == 1, copies


def test_a_forked_process_computes_on_one_thread_and_refuses_more():
    program = """
import os, torch, longstride.torch
x = torch.randn(1, 2, 50, 8)
torch.set_num_threads(2)
expected = longstride.torch.attention(x, x, x, "strided(7)")
child = os.fork()
if child == 0:
    torch.set_num_threads(1)
    same = torch.equal(longstride.torch.attention(x, x, x, "strided(7)"), expected)
    torch.set_num_threads(2)
    try:
        longstride.torch.attention(x, x, x, "strided(7)")
    except NotImplementedError as error:
        os._exit(0 if same and "forked" in str(error) else 1)
    os._exit(2)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
