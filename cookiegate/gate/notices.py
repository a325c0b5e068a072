"""What was withheld, told once each: in the log, with the lines of TOML that would declare it; and counted."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Literal

from .resources import Withheld

Layer = Literal["markup", "headers", "wall", "request"]
"""What withheld a thing: the scanner; the filters of the response's headers; the browser, by the wall; or what hides
cookies from the app, whose names the visitor sent."""

_LOG = logging.getLogger("cookiegate.gate")
_HOST = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)
_COOKIE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def layer_of(withheld: Withheld) -> Layer:
    """Which layer withheld a thing."""
    if withheld.what.startswith("wall: "):
        return "wall"
    if withheld.what == "request cookie":
        return "request"
    return "headers" if withheld.what == "cookie" or withheld.what.endswith(" header") else "markup"


class Notices:
    """Logs every withheld thing once per process, and counts it. Bounded, safe from several threads.

    Args:
        limit: most things of one layer that are told apart. What a visitor sends (names of cookies, reports) can so
            use up the room of its own layer only.
    """

    def __init__(self, *, limit: int = 2_000) -> None:
        self._limit = limit
        self._seen: set[Withheld] = set()
        self._room: Counter[Layer] = Counter()
        self._fresh: Counter[Withheld] = Counter()
        self._lock = Lock()

    def __call__(self, withheld: Withheld) -> None:
        with self._lock:
            known = withheld in self._seen
            if not known and not self._admits(withheld):
                return
            self._fresh[withheld] += 1
        if not known:
            _tell(withheld)

    def drain(self) -> Mapping[Withheld, int]:
        """How often each thing was withheld since this was last asked."""
        if not self._fresh:  # asked with every request, and mostly in vain
            return {}
        with self._lock:
            fresh, self._fresh = self._fresh, Counter()
        return fresh

    def _admits(self, withheld: Withheld) -> bool:
        layer = layer_of(withheld)
        if self._room[layer] >= self._limit:
            return False
        self._room[layer] += 1
        self._seen.add(withheld)
        return True


def _tell(withheld: Withheld) -> None:
    subject = f"{withheld.what} {withheld.host or withheld.name}".strip()
    if withheld.purpose:
        _LOG.info("withheld %s: the purpose %r is not allowed", subject, withheld.purpose)
        return
    advice = cure(withheld)
    _LOG.warning(
        "withheld %s: the policy does not declare it.%s", subject, f" To declare it:\n{advice}" if advice else ""
    )


def cure(withheld: Withheld) -> str:
    """The lines of TOML that would declare an undeclared thing, or "" where none can."""
    if withheld.service:
        return f"services = [{json.dumps(withheld.service)}]  # add it to the list: {withheld.name}"
    if _COOKIE.fullmatch(withheld.name) and withheld.what in {"cookie", "request cookie"}:
        return (
            f'[[cookie]]\nname = {json.dumps(withheld.name)}\npurpose = "…"  # necessary (with a reason), analytics, …'
        )
    if not _HOST.fullmatch(withheld.host):
        return ""
    identity = re.sub(r"[^a-z0-9]+", "-", withheld.host.lower()).strip("-")
    return (
        f'[[service]]\nid = "{identity}"\nname = "…"\nprovider = "…"\ncountry = "…"\npurpose = "…"\n'
        f"hosts = [{json.dumps(withheld.host)}]"
    )


def cures(undeclared: Iterable[Withheld]) -> str:
    """The lines of TOML that would declare all of these together, or "" where none can."""
    things = dict.fromkeys(undeclared)
    services = {thing.service: thing.name for thing in things if thing.service}
    blocks = dict.fromkeys(filter(None, (cure(thing) for thing in things if not thing.service)))
    entries = "\n".join(f"    {json.dumps(service)},  # {name}" for service, name in services.items())
    return "\n\n".join(filter(None, (entries and f"services = [  # add these to the list\n{entries}\n]", *blocks)))
