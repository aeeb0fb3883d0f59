"""Processes that a launcher started, which train, evaluate and sample together (docs/parallel.md)."""

from __future__ import annotations

import weakref
from types import TracebackType

from longstride import _core


def join_world() -> World:
    """Joins the processes that a launcher started: mpirun, torchrun, srun, or RANK, WORLD_SIZE, MASTER_ADDR and
    MASTER_PORT by hand, as for the program. Where none did, it is a world of this process alone.

    From now on this process computes on its share of the machine's cores, where OMP_NUM_THREADS does not say otherwise;
    set_threads does too. ValueError where the environment says what cannot be; NotImplementedError where somebody does
    not come, or is of another build.
    """
    return World(_core.join_world())


class World:
    """Processes that make the same calls in the same order, `world` among their arguments, and get what one process
    gets, to the bit; `join_world` makes it.

    What one of them cannot do is said in all: who waits for it gets NotImplementedError with its sentence, and the world
    is over. Ctrl-C in one ends the call in all. `with` leaves the world, or ends it for all where the block raises.
    """

    def __init__(self, handle: _core.World):
        self._handle = handle
        self.leave = weakref.finalize(self, handle.leave)  #: waits until all leave; nothing is done together any more

    @property
    def rank(self) -> int:
        """Which this one is, from 0: the first one writes runs, and hears of steps."""
        return self._handle.rank

    @property
    def size(self) -> int:
        """How many there are."""
        return self._handle.size

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where they are, by rank; of one process nothing."""
        return self._handle.hosts()

    def __repr__(self) -> str:
        return f"<longstride.World, process {self.rank} of {self.size}>"

    def __enter__(self) -> World:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            self._handle.end(": ".join(filter(None, (type(error).__name__, str(error)))))
        self.leave()

    def __reduce__(self) -> str:
        raise TypeError("longstride.World cannot be pickled: it holds connections; each process joins by itself")


def handle_of(world: World | None) -> _core.World | None:
    return None if world is None else world._handle
