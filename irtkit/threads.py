"""One thread a core, each with single-threaded linear algebra inside.

Matrix products on pieces that fit the cache, one piece a core, beat one product that BLAS splits
over the cores. The number of threads is the one that BLAS was given (OMP_NUM_THREADS and the
like); results are added in a fixed order, so they do not depend on timing. Work that is spread
within work that is spread already stays on its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import local
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_here = local()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@lru_cache(maxsize=4)
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="irtkit")


@contextmanager
def one_thread_a_core() -> Iterator[None]:
    """Keep BLAS to one thread inside, and let `spread` use as many as BLAS had."""
    if _spread_already():
        yield  # the limit is the whole process's: who spread the work holds it
        return
    n_threads()  # asked before the limit hides the answer
    with _controller().limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def n_threads() -> int:
    """Count the threads that BLAS was given when irtkit first asked."""
    found = [lib["num_threads"] for lib in _controller().info() if lib["user_api"] == "blas"]
    return max(found, default=1)


def spread(
    function: Callable[[Sequence[Piece]], Result], pieces: Sequence[Piece], worth: bool
) -> list[Result]:
    """Call `function` on one share of the pieces for each thread; results in a fixed order.

    Parameters
    ----------
    function : callable
        Takes a sequence of pieces; must release the GIL in its heavy parts to gain anything.
    pieces : sequence
    worth : bool
        Whether there is enough work for more than one thread.
    """
    threads = n_threads() if worth and len(pieces) > 1 and not _spread_already() else 1
    if threads == 1:
        return [function(pieces)]
    shares = [pieces[start::threads] for start in range(min(threads, len(pieces)))]
    return list(_pool(threads).map(_marked(function), shares))


def each(
    function: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Call `function` on every piece, the next free thread taking the next one.

    For work of a second or more a piece, such as estimating again and again.

    Parameters
    ----------
    function : callable
        Must not depend on the order in which pieces are done.
    pieces : sequence
    progress : callable, optional
        Called with the number of pieces done and of all pieces, on the calling thread.

    Returns
    -------
    list
        The results in the order of the pieces.
    """
    threads = 1 if _spread_already() else min(n_threads(), len(pieces))
    results = []
    if threads <= 1:
        for piece in pieces:
            results.append(function(piece))
            if progress is not None:
                progress(len(results), len(pieces))
        return results
    with one_thread_a_core():
        futures = [_pool(threads).submit(_marked(function), piece) for piece in pieces]
        try:
            for future in futures:
                results.append(future.result())
                if progress is not None:
                    progress(len(results), len(pieces))
        finally:
            for future in futures:
                future.cancel()
    return results


def _spread_already() -> bool:
    return getattr(_here, "spread", False)


def _marked(function: Callable[[Piece], Result]) -> Callable[[Piece], Result]:
    """Let what runs inside `function` know that the threads are taken."""

    def marked(piece: Piece) -> Result:
        _here.spread = True
        try:
            return function(piece)
        finally:
            _here.spread = False

    return marked
