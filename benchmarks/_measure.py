"""How everything here is timed: CPU time, interleaved, medians; and how it is printed.

CPU time, because a shared machine's wall clock measures its other users too. Interleaved, so that what disturbs a round
disturbs all of it: compare numbers of one run only. Medians, because disturbances lie on one side.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import _lru_cache_wrapper, partial
from statistics import median
from typing import TypeVar

Case = TypeVar("Case")
Sample = Callable[[], float]
"""Does some work, once or often, and gives the CPU seconds that one took."""


def once(work: Callable[[], object]) -> float:
    """CPU seconds of the whole process, all its threads included, that some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def repeated(work: Callable[[], object], *, at_least: float = 0.004) -> float:
    """CPU seconds of one run of some work, done as often as it takes to be measurable."""

    def several(times: int) -> None:
        for _ in range(times):
            work()

    times, taken = 1, once(work)
    while taken < at_least:
        times *= 2 if taken * 2 > at_least else min(1000, int(at_least / max(taken, 1e-6)) + 1)
        taken = once(partial(several, times))
    return taken / times


def interleaved(samples: Mapping[Case, Sample], *, rounds: int) -> dict[Case, float]:
    """The median of each sample, in seconds. Every round takes every sample once; the first does not count."""
    taken: dict[Case, list[float]] = {case: [] for case in samples}
    for number in range(rounds + 1):
        gc.collect()
        for case, sample in samples.items():
            progress(f"round {number} of {rounds}: {case}")
            taken[case].append(sample())
    progress("")
    return {case: median(found[1:]) for case, found in taken.items()}


class Caches:
    """Every cache of decisions that cookiegate holds at this moment; tables that are read once are none."""

    def __init__(self) -> None:
        everything = gc.get_objects()
        self._caches = [item for item in everything if isinstance(item, _lru_cache_wrapper) and _is_ours(item)]

    def clear(self) -> None:
        """Forget every decision, as if the process had just begun."""
        for cache in self._caches:
            cache.cache_clear()


def _is_ours(cache: _lru_cache_wrapper[object]) -> bool:
    return cache.__module__.startswith("cookiegate") and cache.cache_parameters()["maxsize"] != 1


def progress(message: str) -> None:
    """What is going on, where somebody is watching."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{message}", end="", file=sys.stderr, flush=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print an aligned table: the first column to the left, the numbers to the right."""
    lines = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    print(f"\n{title}\n")
    for line in lines:
        first, *rest = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  " + "  ".join([first.strip().ljust(widths[0]), *rest]), flush=True)


def machine() -> str:
    """What the numbers were measured on, in one line."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"Python {platform.python_version()}, {os.cpu_count()} cores{load}. CPU time, interleaved, medians."
