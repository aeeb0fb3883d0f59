"""Sparse attention as an operator of PyTorch: `torch.ops.longstride.attention` and the function that calls it.

The kernels read and write torch's own memory; include/longstride/sparse_attention.h says what they compute. Patterns
travel as text, with ";" between those of several heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from longstride import _core
from longstride.errors import InvalidArgument, Unavailable
from longstride.pattern import Pattern

_FORMATS = {torch.float32: False, torch.bfloat16: True}  # whether it is bfloat16


def attention(
    q: Tensor, k: Tensor, v: Tensor, pattern: str | Pattern | Sequence[str | Pattern], scale: float | None = None
) -> Tensor:
    """Softmax attention in which a pattern says which query reads which key. Differentiable once, on the CPU.

        out[b, h, i] = sum_j p_ij v[b, h, j],  p_ij = softmax over the keys j that query i reads of scale q_i . k_j

    A query that reads no key gets 0. Patterns are causal. B, H and T may be 0: the result is as empty.

    q, k: (B, H, T, Dq); v: (B, H, T, Dv), as for torch.nn.functional.scaled_dot_product_attention. float32 or bfloat16,
        all three the same; Dq and Dv at most 256. Any strides: nothing is copied where the channels of a head lie side
        by side and no two rows share memory (views of one matrix, transposed heads); else that operand is copied.
    pattern: text such as "fixed(128,32)" or a longstride.Pattern, for all heads; or a list of them, one a head.
    scale: of scores, above 0; None: 1 / sqrt(Dq).

    Returns (B, H, T, Dv) in the format of q, in memory as (B, T, H, Dv): transpose(1, 2).flatten(2) costs nothing.
    Computes on torch.get_num_threads() threads; their number does not change the bits. Under torch.autocast operands
    are cast to bfloat16. Errors: ValueError; NotImplementedError for tensors of another device and for a second
    derivative.
    """
    if not (isinstance(q, Tensor) and isinstance(k, Tensor) and isinstance(v, Tensor)):
        kinds = ", ".join(type(x).__name__ for x in (q, k, v))
        raise TypeError(f"attention: needs q, k and v as tensors of torch, got {kinds}")
    return _attention(q, k, v, pattern if isinstance(pattern, str) else _text(pattern, q.shape), scale)[0]


def _text(pattern: Pattern | Sequence[str | Pattern], shape: torch.Size) -> str:
    if isinstance(pattern, Pattern) or not isinstance(pattern, Sequence):
        return _text_of(pattern)
    if len(shape) == 4 and len(pattern) != shape[1]:
        raise InvalidArgument(f"attention: needs one pattern, or one for each of {shape[1]} heads, got {len(pattern)}")
    return ";".join([of_head if isinstance(of_head, str) else _text_of(of_head) for of_head in pattern])


def _text_of(pattern: Pattern) -> str:
    return pattern._text if isinstance(pattern, Pattern) else str(pattern)


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    shape, of_values = q.shape, v.shape
    if shape != k.shape or len(shape) != 4 or len(of_values) != 4 or shape[:3] != of_values[:3]:
        shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v))
        raise InvalidArgument(
            f"attention: needs q and k of shape (B, H, T, Dq) and v of shape (B, H, T, Dv), got {shapes}"
        )
    if not (q.dtype is k.dtype is v.dtype) or q.dtype not in _FORMATS:
        formats = ", ".join(str(x.dtype) for x in (q, k, v))
        raise InvalidArgument(f"attention: needs q, k and v all float32 or all bfloat16, got {formats}")


def _is_nothing(q: Tensor, pattern: str) -> bool:
    """Whether there are no rows: an empty batch, no heads, no tokens. Nothing is computed then, and patterns alone are
    looked at."""
    if all(q.shape[:3]):
        return False
    for text in pattern.split(";"):
        Pattern(text)
    return True


def _rows(x: Tensor) -> Tensor:
    """x itself where a kernel can read it: channels side by side, no memory shared between rows; else a copy."""
    B, H, T, D = x.shape
    b, h, t, d = x.stride()
    if d == 1 and h >= D and t >= H * h and b >= T * t:  # (B, T, H, D), as heads of a row lie
        return x
    extent, readable = D, d == 1 or D == 1
    for stride, count in sorted(((b, B), (h, H), (t, T))):
        readable &= stride >= extent or count == 1
        extent += (count - 1) * stride
    return x if readable else x.clone(memory_format=torch.contiguous_format)


def _empty(of: Tensor, D: int) -> Tensor:
    """(B, H, T, D) in memory as (B, T, H, D), in the format of `of`."""
    B, H, T, _ = of.shape
    return of.new_empty_strided((B, H, T, D), (T * H * D, D, H * D, 1))


def _empty_lse(q: Tensor) -> Tensor:
    return q.new_empty(q.shape[:3], dtype=torch.float32)


# --- the operators ---

_library = torch.library.Library("longstride", "DEF")
_tags = (torch.Tag.pt2_compliant_tag, torch.Tag.flexible_layout)
_library.define(
    "attention(Tensor q, Tensor k, Tensor v, str pattern, float? scale=None) -> (Tensor, Tensor)", tags=_tags
)
_library.define(
    "attention_backward(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, str pattern, "
    "float? scale=None) -> (Tensor, Tensor, Tensor)",
    tags=_tags,
)
_attention = torch.ops.longstride.attention.default
_attention_backward = torch.ops.longstride.attention_backward.default


def _forward_cpu(q: Tensor, k: Tensor, v: Tensor, pattern: str, scale: float | None = None) -> tuple[Tensor, Tensor]:
    _check(q, k, v)
    out, lse = _empty(v, v.shape[3]), _empty_lse(q)
    if _is_nothing(q, pattern):
        return out, lse
    q, k, v = _rows(q), _rows(k), _rows(v)
    _core.attention_forward(
        q.shape, v.shape[3], _FORMATS[q.dtype], pattern, scale, torch.get_num_threads(),
        q.data_ptr(), q.stride(), k.data_ptr(), k.stride(), v.data_ptr(), v.stride(),
        out.data_ptr(), out.stride(), lse.data_ptr(),
    )  # fmt: skip
    return out, lse


def _backward_cpu(
    dout: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, pattern: str, scale: float | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    _check(q, k, v)
    if not (out.shape == dout.shape == v.shape and lse.shape == q.shape[:3] and out.dtype is dout.dtype is q.dtype):
        raise InvalidArgument("attention_backward: needs out and dout as the forward pass made out, and its lse")
    dq, dk, dv = _empty(q, q.shape[3]), _empty(q, q.shape[3]), _empty(v, v.shape[3])
    if _is_nothing(q, pattern):
        return dq, dk, dv
    q, k, v, out, dout = _rows(q), _rows(k), _rows(v), _rows(out), _rows(dout)
    lse = lse.contiguous()
    _core.attention_backward(
        q.shape, v.shape[3], _FORMATS[q.dtype], pattern, scale, torch.get_num_threads(),
        q.data_ptr(), q.stride(), k.data_ptr(), k.stride(), v.data_ptr(), v.stride(),
        out.data_ptr(), out.stride(), lse.data_ptr(), dout.data_ptr(), dout.stride(),
        dq.data_ptr(), dq.stride(), dk.data_ptr(), dk.stride(), dv.data_ptr(), dv.stride(),
    )  # fmt: skip
    return dq, dk, dv


_library.impl("attention", _forward_cpu, "CPU")
_library.impl("attention_backward", _backward_cpu, "CPU")


def _elsewhere(q, k, v, *_):
    places = ", ".join(f"{x.device.type} ({str(x.layout).removeprefix('torch.')})" for x in (q, k, v))
    raise Unavailable(f"attention: computes on dense tensors of the CPU, got {places}; Tensor.cpu() brings them there")


_library.impl("attention", _elsewhere, "CompositeExplicitAutograd")


@torch.library.register_fake("longstride::attention", lib=_library)
def _(q, k, v, pattern, scale=None):
    _check(q, k, v)
    return _empty(v, v.shape[3]), _empty_lse(q)


@torch.library.register_fake("longstride::attention_backward", lib=_library)
def _(dout, q, k, v, out, lse, pattern, scale=None):
    return _empty(q, q.shape[3]), _empty(q, q.shape[3]), _empty(v, v.shape[3])


# Autograd by hand: torch.library.register_autograd takes 10 us more a call, and 25 us more with the backward pass.


class _Recorded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v, pattern, scale):
        with torch._C._AutoDispatchBelowAutograd():
            out, lse = _attention(q, k, v, pattern, scale)
        ctx.pattern, ctx.scale = pattern, scale
        ctx.mark_non_differentiable(lse)
        ctx.save_for_backward(q, k, v, out, lse)
        return out, lse

    @staticmethod
    def backward(ctx, dout, _dlse):
        return *_attention_backward(dout, *ctx.saved_tensors, ctx.pattern, ctx.scale), None, None


class _RecordedBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs):
        with torch._C._AutoDispatchBelowAutograd():
            return _attention_backward(*inputs)

    @staticmethod
    def backward(ctx, *_):
        raise Unavailable("attention: has a first derivative only; its gradients cannot be differentiated again")


# Function.apply is for calls from outside of an operator; here the tape is torch's own.
_record = super(torch.autograd.Function, _Recorded).apply
_record_backward = super(torch.autograd.Function, _RecordedBackward).apply


def _autograd(q, k, v, pattern, scale=None):
    if torch._C._are_functorch_transforms_active():
        raise Unavailable("attention: torch.func cannot differentiate it; torch.autograd.grad and backward can")
    if _wanted(q, k, v):
        return _record(q, k, v, pattern, scale)
    with torch._C._AutoDispatchBelowAutograd():  # a tape that nobody reads takes some us a call
        return _attention(q, k, v, pattern, scale)


def _wanted(q, k, v):
    """Whether a derivative is: a gradient, or a tangent, which the tape refuses."""
    recorded = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    return recorded or forward_ad._current_level >= 0


def _autograd_backward(*inputs):
    return _record_backward(*inputs) if torch.is_grad_enabled() else _RecordedBackward.forward(None, *inputs)


_library.impl("attention", _autograd, "Autograd")
_library.impl("attention_backward", _autograd_backward, "Autograd")
torch.library.register_autocast("longstride::attention", "cpu", torch.bfloat16, lib=_library)


# --- batches of calls: torch.vmap's dimension joins B ---


def _joined(x: Tensor, dim: int | None, size: int) -> Tensor:
    """(size, B, ...) -> (size * B, ...); a tensor that all calls share is repeated."""
    x = x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
    return x.flatten(0, 1)


def _vmapped(operator, count):
    def rule(info, in_dims, *arguments):
        tensors = [_joined(x, dim, info.batch_size) for x, dim in zip(arguments[:count], in_dims)]
        results = operator(*tensors, *arguments[count:])
        return tuple(x.unflatten(0, (info.batch_size, -1)) for x in results), (0,) * len(results)

    return rule


torch.library.register_vmap("longstride::attention", _vmapped(_attention, 3), lib=_library)
torch.library.register_vmap("longstride::attention_backward", _vmapped(_attention_backward, 6), lib=_library)
