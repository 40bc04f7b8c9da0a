"""The threads that statistics take: one for each factorisation, two for what is independent.

The threads of a BLAS wait for one another in a loop. Matrices of 100 rows and products with one vector gain
nothing by them, and beside another program most of the time is waiting. So linear algebra has one thread,
and independent parts of the work (accuracy and NLL, chains of the sampler) run beside each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from threadpoolctl import threadpool_limits

In = TypeVar("In")
Out = TypeVar("Out")
BESIDE = 2
"""Parts of the work at once."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give BLAS one thread for as long as this lasts, and then as many as it had; also a decorator."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def beside_each_other(function: Callable[[In], Out], parts: Iterable[In]) -> list[Out]:
    """Results of a function on independent parts of the work, in their order.

    Worth it for seconds of NumPy's work on large arrays, which lets other threads run.

    Args:
        function: of one part; it reads no state that another part changes.
        parts: of the work.

    Raises:
        Exception: the first that a part raises.
    """
    with ThreadPoolExecutor(BESIDE) as pool:
        return list(pool.map(function, parts))
