"""What was withheld, told once each: in the log, with the lines of TOML that would declare it."""

from __future__ import annotations

import json
import logging
import re
from threading import Lock

from .resources import Withheld

_LOG = logging.getLogger("cookiegate.gate")


class Notices:
    """Logs every withheld thing once per process. Bounded, safe from several threads, free of personal data."""

    def __init__(self, *, limit: int = 2_000) -> None:
        self._limit = limit
        self._seen: dict[Withheld, int] = {}
        self._lock = Lock()

    def __call__(self, withheld: Withheld) -> None:
        with self._lock:
            known = withheld in self._seen
            if not known and len(self._seen) >= self._limit:
                return
            self._seen[withheld] = self._seen.get(withheld, 0) + 1
        if not known:
            _tell(withheld)

    def counts(self) -> dict[Withheld, int]:
        """How often each thing was withheld since the process began."""
        with self._lock:
            return dict(self._seen)


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
    if withheld.what == "cookie":
        return (
            f'[[cookie]]\nname = {json.dumps(withheld.name)}\npurpose = "…"  # necessary (with a reason), analytics, …'
        )
    if not withheld.host:
        return ""
    identity = re.sub(r"[^a-z0-9]+", "-", withheld.host.lower()).strip("-")
    return (
        f'[[service]]\nid = "{identity}"\nname = "…"\nprovider = "…"\ncountry = "…"\npurpose = "…"\n'
        f"hosts = [{json.dumps(withheld.host)}]"
    )
