"""How fast pages are gated, against other libraries doing the same job and against copying the bytes.

Usage: scripts/bench gate [--quick] [--rounds N]. `--quick` takes only the libraries that most would think of first.
"""

from __future__ import annotations

import argparse
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks._measure import Caches, interleaved, machine, once, repeated, table
from benchmarks._pages import URL, Pages, fitting_policy, pages
from benchmarks._peers import PEERS, Denied, Peer, memcpy
from cookiegate.gate import Notices, Repeats, Resources
from cookiegate.gate.elements import Elements
from cookiegate.gate.repeats import Gating, Note
from cookiegate.gate.resources import Decider, Withheld
from cookiegate.gate.scanner import Scanner
from cookiegate.lawful import Verdict
from cookiegate.policy import Policy
from cookiegate.preview import verdict_for

SIZES = {"20 KB": 20_000, "100 KB": 100_000, "1 MB": 1_000_000}
QUICK = ("lxml", "BeautifulSoup, lxml", "BeautifulSoup, html.parser")
OURS, COLD, AGAIN, COPY = "cookiegate", "cookiegate, nothing cached", "cookiegate, page kept", "memcpy"
PIECE = 16 * 1024
Lane = Callable[[bytes], float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables, and what memory a page takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    wanted = list(_installed(QUICK if options.quick else tuple(PEERS)))
    corpus = pages()
    with tempfile.TemporaryDirectory() as folder:
        policy = fitting_policy(corpus.bodies, Path(folder))
    print(f"\n{corpus.source}. {machine()}")
    resources = Resources(policy)
    for verdict, what in _visitors(policy):
        changed, withheld = _effect(corpus, resources, verdict)
        title = f"{what}: {withheld} things withheld, {changed} of {len(corpus.bodies)} pages changed"
        _compare(title, corpus, resources, verdict, wanted=wanted, rounds=options.rounds)
        _memory(corpus.nearest(1_000_000), resources, verdict)


def _visitors(policy: Policy) -> Iterator[tuple[Verdict, str]]:
    now = datetime.now(UTC)
    yield verdict_for(policy, ("all",), now), "Everything is allowed"
    yield verdict_for(policy, (), now), "Nothing is chosen yet"


def _installed(wanted: Sequence[str]) -> Iterator[str]:
    for name in wanted:
        missing = [module for module in PEERS[name][0] if find_spec(module) is None]
        if missing:
            print(f"{name} is left out: {missing[0]} is not installed. Get it with: pip install 'cookiegate[bench]'")
        else:
            yield name


def _gate(resources: Resources, verdict: Verdict, note: Note, page: bytes) -> bytes:
    scanner = _scanner(resources, verdict, note)
    return scanner.feed(page) + scanner.close()


def _scanner(resources: Resources, verdict: Verdict, note: Note) -> Scanner:
    return Scanner(Elements(Decider(resources, verdict, url=URL), placeholders=None, note=note))


def _effect(corpus: Pages, resources: Resources, verdict: Verdict) -> tuple[int, int]:
    """How many pages change, and how many things are withheld on them."""
    withheld: list[Withheld] = []
    changed = sum(_gate(resources, verdict, withheld.append, page) != page for page in corpus.bodies)
    return changed, len(withheld)


def _compare(
    title: str, corpus: Pages, resources: Resources, verdict: Verdict, *, wanted: Sequence[str], rounds: int
) -> None:
    denied = Denied(Decider(resources, verdict, url=URL))
    ours = partial(_gate, resources, verdict, lambda _: None)
    lanes: dict[str, Lane] = {OURS: _warm(ours), COLD: partial(_cold, Caches(), resources.policy, verdict)}
    lanes[AGAIN] = partial(_again, Repeats(), partial(_scanner, resources, verdict))
    lanes |= {name: partial(_timed, PEERS[name][1](denied)) for name in wanted}
    lanes[COPY] = partial(_timed, memcpy)
    samples = {
        (lane, index): partial(time, page) for index, page in enumerate(corpus.bodies) for lane, time in lanes.items()
    }
    seconds = interleaved(samples, rounds=rounds)
    shown = {size: corpus.bodies.index(corpus.nearest(wanted_size)) for size, wanted_size in SIZES.items()}
    columns = ["", "MB/s", "x cookiegate", *(f"µs, {len(corpus.bodies[index]):,} B" for index in shown.values())]
    table(title, columns, [_row(lane, seconds, corpus, shown.values()) for lane in lanes])


def _warm(peer: Peer) -> Lane:
    def lane(page: bytes) -> float:
        peer(page)
        return _timed(peer, page)

    return lane


def _cold(caches: Caches, policy: Policy, verdict: Verdict, page: bytes) -> float:
    caches.clear()
    work = partial(_gate, Resources(policy), verdict, lambda _: None, page)
    return once(work)


def _again(repeats: Repeats, scanner: Callable[[Note], Scanner], page: bytes) -> float:
    """A page that came before, in memory of its own as an app makes it."""
    notices = Notices()
    gating = Gating(lambda _, note: scanner(note), circumstances=URL, insert=b"", note=notices)
    for _ in range(2):
        repeats.gated(page, gating)
    return repeated(lambda: repeats.gated(page[:-1] + page[-1:], gating))


def _timed(peer: Peer, page: bytes) -> float:
    return repeated(lambda: peer(page))


def _row(lane: str, seconds: dict[tuple[str, int], float], corpus: Pages, shown: Iterable[int]) -> list[str]:
    total = {name: sum(seconds[name, index] for index in range(len(corpus.bodies))) for name in (lane, OURS)}
    size = sum(map(len, corpus.bodies))
    each = (f"{seconds[lane, index] * 1e6:,.0f}" for index in shown)
    return [lane, f"{size / total[lane] / 1e6:,.1f}", f"{total[OURS] / total[lane]:.2f}", *each]


def _memory(page: bytes, resources: Resources, verdict: Verdict) -> None:
    """Print the most memory that gating a page takes beside the page and its pieces."""
    _gate(resources, verdict, lambda _: None, page)
    tracemalloc.start()
    scanner = _scanner(resources, verdict, lambda _: None)
    for start in range(0, len(page), PIECE):
        scanner.feed(page[start : start + PIECE])
    scanner.close()
    streamed = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    size = len(_gate(resources, verdict, lambda _: None, page))
    whole = tracemalloc.get_traced_memory()[1] - size
    tracemalloc.stop()
    print(
        f"\n  Memory at most for a page of {len(page) / 1e6:.1f} MB: {streamed / 1e6:.2f} MB in pieces of 16 KB, "
        f"{whole / 1e6:.2f} MB beside the result when it comes whole."
    )


if __name__ == "__main__":
    main()
