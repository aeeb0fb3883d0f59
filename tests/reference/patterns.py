"""Which query reads which key, straight from the set definitions, as dense boolean masks. Shares nothing with the program.

mask[i, j] is True where query i reads key j; i and j are 0-based and every set is cut to j <= i.
"""
import re

import numpy as np

PART = re.compile(r"\s*([a-z_]+)\s*(?:\(([^()]*)\))?\s*")


def part_mask(name, numbers, n, head):
    i = np.arange(n, dtype=np.int32)[:, None]
    j = np.arange(n, dtype=np.int32)[None, :]
    if name == "dense":
        reads = np.full((n, n), True)
    elif name == "local":  # the paper: l + 1 keys
        (l,) = numbers
        reads = j >= i - l
    elif name == "window":  # exactly w keys, itself included
        (w,) = numbers
        reads = j > i - w
    elif name == "column":
        (l,) = numbers
        reads = (i - j) % l == 0
    elif name == "row":
        (l,) = numbers
        reads = j // l == i // l
    elif name == "summary":  # the o-th sub-block of c cells from the block's end
        l, c, o = numbers if len(numbers) == 3 else (*numbers, 0)
        reads = (j % l >= l - (o + 1) * c) & (j % l <= l - o * c - 1)
    elif name == "previous_row":
        (l,) = numbers
        reads = j // l == i // l - 1
    elif name == "prefix":
        (p,) = numbers
        reads = j < p
    elif name == "digits":
        l, m = numbers
        reads = ((i - j) % l ** (m - 1) == 0) & (i - j < l**m)
    elif name == "strided":
        (l,) = numbers
        reads = part_mask("local", [l], n, head) | part_mask("column", [l], n, head)
    elif name == "fixed":  # heads that share it take distinct sub-blocks
        l, c = numbers
        reads = part_mask("row", [l], n, head) | part_mask("summary", [l, c, head % (l // c)], n, head)
    else:
        raise ValueError(f"no primitive {name!r}")
    return reads & (j <= i)


def pattern_mask(text, n, head=0):
    """(n, n) of the pattern as head number `head` of a layer uses it."""
    union = np.zeros((n, n), dtype=bool)
    for part in text.split("|"):
        match = PART.fullmatch(part)
        if match is None:
            raise ValueError(f"no part of a pattern: {part!r}")
        numbers = [int(word) for word in match[2].split(",")] if match[2] is not None else []
        union |= part_mask(match[1], numbers, n, head)
    return union


def block_masks(attention, block, heads, n):
    """(heads, n, n) of one residual block. attention: the JSON of model.attention."""
    cycle = attention if isinstance(attention, list) else [attention]
    of_block = cycle[block % len(cycle)]
    over_heads = of_block if isinstance(of_block, list) else [of_block]
    return np.stack([pattern_mask(over_heads[h % len(over_heads)], n, h) for h in range(heads)])
