"""That twice the input takes twice the time, for pages made to be slow, whole and in the pieces a network brings.

Usage: scripts/bench linear [--size BYTES] [--rounds N] [--only TEXT]. The shapes are those of tests/gate/shapes.py.
A ratio near 2 is linear, near 4 is quadratic. Nothing is cached beforehand, and the garbage collector is off: when it
runs depends on what else the process holds.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import import_module

from benchmarks._measure import interleaved, machine, repeated, table
from benchmarks._pages import HOST, URL
from cookiegate.errors import UnreadableBody
from cookiegate.gate import Resources
from cookiegate.gate.elements import Elements
from cookiegate.gate.resources import Decider
from cookiegate.gate.scanner import Scanner
from cookiegate.policy import Basis, Controller, HostPattern, Policy, Purpose, Service, Site
from cookiegate.preview import verdict_for

PIECE = 1460
"""What one TCP segment carries."""
SUSPECT, MEASURABLE = 3.0, 0.005
"""A ratio above the one is no measuring error, if the longer time is above the other, in seconds."""

TRACKER = Service(
    "t", "T", "T Ltd", "IE", "marketing", hosts=(HostPattern("t.example"),), signatures=("t_track(", "k_init(")
)
POLICY = Policy(
    site=Site(name="Example", policy_version="1", hosts=(HOST,)),
    controller=Controller("Example Ltd", "privacy@example.com"),
    purposes=(Purpose("necessary", Basis.LEGITIMATE_INTERESTS, necessary=True), Purpose("marketing", Basis.CONSENT)),
    services=(TRACKER,),
)
VERDICT = verdict_for(POLICY, (), datetime.now(UTC))
Shape = tuple[bytes, bytes, bytes]
Case = tuple[str, int, int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print, for each shape, how long a page takes, and how much longer one of twice its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="shapes with this in their name")
    options = parser.parse_args(arguments)
    shapes: dict[str, Shape] = import_module("tests.gate.shapes").SHAPES
    wanted = {name: shape for name, shape in shapes.items() if options.only in name}
    samples = {
        (name, times, piece): partial(_sample, _page(shape, times * options.size), piece)
        for name, shape in wanted.items()
        for times in (1, 2)
        for piece in (0, PIECE)
    }
    gc.disable()
    seconds = interleaved(samples, rounds=options.rounds)
    gc.enable()
    print(f"\nPages of {options.size:,} and {2 * options.size:,} bytes. {machine()}")
    columns = ["", "whole, µs", "x for 2x", f"in {PIECE} B, µs", "x for 2x", ""]
    table("Time for twice the input", columns, [_row(name, seconds) for name in wanted])


def _page(shape: Shape, size: int) -> bytes:
    """A page of about this size; a ``#`` in the part that is repeated stands for a number, another each time."""
    start, part, end = shape
    times = size // len(part)
    parts = (part.replace(b"#", b"%x" % number) for number in range(times)) if b"#" in part else (part * times,)
    return start + b"".join(parts) + end


def _sample(page: bytes, piece: int) -> float:
    pieces = [page[at : at + piece] for at in range(0, len(page), piece)] if piece else [page]
    return repeated(lambda: _gate(pieces), at_least=0.002)


def _gate(pieces: Iterable[bytes]) -> None:
    """Gate a page with nothing remembered from before."""
    scanner = Scanner(Elements(Decider(Resources(POLICY), VERDICT, url=URL), placeholders=None, note=lambda _: None))
    try:
        for piece in pieces:
            scanner.feed(piece)
        scanner.close()
    except UnreadableBody:
        return


def _row(name: str, seconds: dict[Case, float]) -> list[str]:
    cells, suspect = [], False
    for piece in (0, PIECE):
        single, double = seconds[name, 1, piece], seconds[name, 2, piece]
        cells += [f"{single * 1e6:,.0f}", f"{double / single:.1f}"]
        suspect |= double / single > SUSPECT and double > MEASURABLE
    return [name, *cells, "NOT LINEAR" if suspect else ""]


if __name__ == "__main__":
    main()
