"""longstride for PyTorch: sparse attention as an operator, and the program's model as a module. Needs torch."""

from longstride.torch._attention import attention
from longstride.torch._transformer import SparseTransformer

__all__ = ["SparseTransformer", "attention"]
