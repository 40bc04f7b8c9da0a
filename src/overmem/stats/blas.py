"""One BLAS thread for the statistics.

The threads of a BLAS wait for one another in a loop. Matrices of 100 rows and products with one vector gain
nothing by them, and beside another program most of the time is waiting. So linear algebra has one thread, and
independent parts of the work (accuracy and NLL, chains of the sampler) run beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give BLAS one thread for as long as this lasts, and then as many as it had; also a decorator."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
