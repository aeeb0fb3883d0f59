"""Sparse attention as an operator of PyTorch: `torch.ops.longstride.attention` and the function that calls it.

The kernels read and write torch's own memory; include/longstride/sparse_attention.h says what they compute. Nothing here
knows which pattern is which: patterns travel as text, with ";" between those of several heads.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import _core

_FORMATS = {torch.float32: False, torch.bfloat16: True}  # whether it is bfloat16


def attention(q: Tensor, k: Tensor, v: Tensor, pattern: Any, scale: float | None = None) -> Tensor:
    """Softmax attention in which a pattern says which query reads which key. Differentiable once, on the CPU.

        out[b, h, i] = sum_j p_ij v[b, h, j],  p_ij = softmax over the keys j that query i reads of scale q_i . k_j

    A query that reads no key gets 0. Patterns are causal.

    q, k: (B, H, T, Dq); v: (B, H, T, Dv), as for torch.nn.functional.scaled_dot_product_attention. float32 or bfloat16,
        all three the same; Dq and Dv at most 256. Any strides: nothing is copied where the channels of a head lie next
        to one another and no two rows share memory (views of one matrix, transposed heads); else that operand is copied.
    pattern: text such as "fixed(128,32)" or a longstride.Pattern, for all heads; or a list of them, one a head.
    scale: of scores, above 0; None: 1 / sqrt(Dq).

    Returns (B, H, T, Dv) in the format of q, in memory as (B, T, H, Dv): transpose(1, 2).flatten(2) costs nothing.
    Computes on torch.get_num_threads() threads; their number does not change the bits. Under torch.autocast operands
    are cast to bfloat16. Errors: ValueError; NotImplementedError for tensors of another device and for a second
    derivative.
    """
    text = pattern if isinstance(pattern, str) else _text(pattern, q.shape[1] if q.ndim > 1 else 0)
    return _attention(q, k, v, text, scale)[0]


def _text(pattern: Any, heads: int) -> str:
    if not isinstance(pattern, Sequence):
        return str(pattern)
    if len(pattern) != heads:
        raise ValueError(f"attention: needs one pattern, or one for each of {heads} heads, got {len(pattern)}")
    return ";".join([str(of_head) for of_head in pattern])


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    if q.ndim != 4 or q.shape != k.shape or q.shape[:3] != v.shape[:3] or v.ndim != 4:
        shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v))
        raise ValueError(f"attention: needs q and k of shape (B, H, T, Dq) and v of shape (B, H, T, Dv), got {shapes}")
    if q.dtype not in _FORMATS or q.dtype != k.dtype or q.dtype != v.dtype:
        formats = ", ".join(str(x.dtype) for x in (q, k, v))
        raise ValueError(f"attention: needs q, k and v all float32 or all bfloat16, got {formats}")


def _rows(x: Tensor) -> Tensor:
    """x itself where a kernel can read it: channels side by side, no memory shared between rows; else a copy."""
    B, H, T, D = x.shape
    strides = x.stride()
    if strides[3] == 1 or D == 1:
        extent = D
        for stride, count in sorted(zip(strides[:3], (B, H, T))):
            if count > 1:
                if stride < extent:
                    break
                extent += (count - 1) * stride
        else:
            return x
    return x.clone(memory_format=torch.contiguous_format)


def _empty(of: Tensor, D: int) -> Tensor:
    """(B, H, T, D) in memory as (B, T, H, D)."""
    B, H, T, _ = of.shape
    return of.new_empty_strided((B, H, T, D), (T * H * D, D, H * D, 1))


# --- the operators -------------------------------------------------------------------------------------------------------

_library = torch.library.Library("longstride", "DEF")
_tags = (torch.Tag.pt2_compliant_tag, torch.Tag.flexible_layout)
_library.define("attention(Tensor q, Tensor k, Tensor v, str pattern, float? scale=None) -> (Tensor, Tensor)", tags=_tags)
_library.define(
    "attention_backward(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, str pattern, "
    "float? scale=None) -> (Tensor, Tensor, Tensor)",
    tags=_tags,
)
_attention = torch.ops.longstride.attention.default
_attention_backward = torch.ops.longstride.attention_backward.default


def _forward_cpu(q: Tensor, k: Tensor, v: Tensor, pattern: str, scale: float | None = None) -> tuple[Tensor, Tensor]:
    _check(q, k, v)
    q, k, v = _rows(q), _rows(k), _rows(v)
    out, lse = _empty(v, v.shape[3]), q.new_empty(q.shape[:3], dtype=torch.float32)
    _core.attention_forward(
        q.shape, v.shape[3], _FORMATS[q.dtype], pattern, scale, torch.get_num_threads(),
        q.data_ptr(), q.stride(), k.data_ptr(), k.stride(), v.data_ptr(), v.stride(),
        out.data_ptr(), out.stride(), lse.data_ptr(),
    )  # fmt: skip
    return out, lse


def _backward_cpu(
    dout: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, pattern: str, scale: float | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v, out, dout = _rows(q), _rows(k), _rows(v), _rows(out), _rows(dout)
    lse = lse.contiguous()
    dq, dk, dv = _empty(q, q.shape[3]), _empty(q, q.shape[3]), _empty(v, v.shape[3])
    _core.attention_backward(
        q.shape, v.shape[3], _FORMATS[q.dtype], pattern, scale, torch.get_num_threads(),
        q.data_ptr(), q.stride(), k.data_ptr(), k.stride(), v.data_ptr(), v.stride(),
        out.data_ptr(), out.stride(), lse.data_ptr(), dout.data_ptr(), dout.stride(),
        dq.data_ptr(), dq.stride(), dk.data_ptr(), dk.stride(), dv.data_ptr(), dv.stride(),
    )  # fmt: skip
    return dq, dk, dv


_library.impl("attention", _forward_cpu, "CPU")
_library.impl("attention_backward", _backward_cpu, "CPU")


@torch.library.register_fake("longstride::attention", lib=_library)
def _(q, k, v, pattern, scale=None):
    _check(q, k, v)
    return _empty(v, v.shape[3]), q.new_empty(q.shape[:3], dtype=torch.float32)


@torch.library.register_fake("longstride::attention_backward", lib=_library)
def _(dout, q, k, v, out, lse, pattern, scale=None):
    return _empty(q, q.shape[3]), _empty(q, q.shape[3]), _empty(v, v.shape[3])


def _setup_context(ctx, inputs, output):
    q, k, v, ctx.pattern, ctx.scale = inputs
    out, lse = output
    ctx.mark_non_differentiable(lse)
    ctx.save_for_backward(q, k, v, out, lse)


def _backward(ctx, dout, _dlse):
    return *_attention_backward(dout, *ctx.saved_tensors, ctx.pattern, ctx.scale), None, None


torch.library.register_autograd("longstride::attention", _backward, setup_context=_setup_context, lib=_library)
