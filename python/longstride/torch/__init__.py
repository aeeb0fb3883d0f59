"""longstride for PyTorch: sparse attention as an operator, and the program's model as a module."""
from ._attention import attention

__all__ = ["attention"]
