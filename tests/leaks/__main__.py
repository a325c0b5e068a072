"""`scripts/leaks`: send every fixture through each layer, and print what got out."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from browser.world import open_stage

from .fixtures import Fixture, load
from .report import known_leaks, known_list, silent, table
from .run import Record, visit_all
from .site import LAYERS, Layer

DOCUMENT = Path(__file__).parents[2] / "docs" / "leaks.md"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/leaks", description=__doc__)
    parser.add_argument("only", nargs="*", help="fixtures whose id holds one of these; all by default")
    parser.add_argument("--layer", action="append", choices=tuple(LAYERS), help="only this layer; may be repeated")
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {DOCUMENT.name}")
    options = parser.parse_args(arguments)
    for name in ("cookiegate", "uvicorn"):  # what is withheld, and upgrades to WebSocket, which are not taken here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    fixtures = [one for one in load() if not options.only or any(part in one.id for part in options.only)]
    records = measure(fixtures, options.layer or list(LAYERS))
    figures = "\n".join(table(fixtures, records))
    print(figures)
    complaints = list(complain(fixtures, records))
    print(*complaints, sep="\n")
    if options.write:
        write("figures", figures)
        write("known", "\n".join(known_list()))
    return 1 if complaints else 0


def measure(fixtures: Sequence[Fixture], layers: Sequence[Layer]) -> dict[Layer, Record]:
    """One run for each layer."""
    records: dict[Layer, Record] = {}
    with open_stage() as stage:
        for layer in layers:
            print(f"{len(fixtures)} fixtures, {LAYERS[layer]} ...", file=sys.stderr)
            records[layer] = visit_all(stage, fixtures, [layer])
    return records


def complain(fixtures: Sequence[Fixture], records: Mapping[Layer, Record]) -> Iterator[str]:
    """What is not as the fixtures and the list of known leaks say."""
    if "none" in records:
        for identity, kinds in silent(fixtures, records["none"]).items():
            yield f"{identity} does not leak by itself: no {', '.join(sorted(kinds))}"
    if "all" in records:
        leaks, expected = records["all"].leaks("all"), known_leaks()
        for fixture in fixtures:
            found, known = leaks.get(fixture.id, frozenset()), expected.get(fixture.id, frozenset())
            if found != known:
                yield f"{fixture.id} leaks {sorted(found)}, and is known to leak {sorted(known)}"
        yield from (f"somebody was contacted: {contact}" for contact in records["all"].strangers)


def write(name: str, text: str) -> None:
    """Put a text between the marks of this name in the document."""
    before, begin, rest = DOCUMENT.read_text("utf-8").partition(f"<!-- {name}: scripts/leaks --write -->")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    DOCUMENT.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")


def written(name: str) -> str:
    """The text between the marks of this name in the document."""
    text = DOCUMENT.read_text("utf-8").partition(f"<!-- {name}: scripts/leaks --write -->")[2]
    return text.partition(f"<!-- end of {name} -->")[0].strip()


if __name__ == "__main__":
    sys.exit(main())
