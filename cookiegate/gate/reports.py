"""What browsers report about the wall, stripped to what is needed: which directive kept out which host, of whom.

Reads both forms: ``application/reports+json`` of the Reporting API and the older ``application/csp-report`` (CSP
Level 3, 5.2 to 5.5). A report names the page, the referrer, a sample of code and more about the visitor; none of that
leaves this module, and of what was blocked only the host does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import ada_url

from .resources import NETWORK_SCHEMES, Resources, Withheld

MAX_DELIVERY = 256 * 1024
"""Bytes of one delivery that are read. Each report repeats the whole policy, and browsers send many at once."""

_MOST_REPORTS = 200
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\]")
_DIRECTIVES = frozenset(
    "child-src connect-src default-src fenced-frame-src font-src frame-src img-src manifest-src media-src object-src "
    "prefetch-src script-src script-src-attr script-src-elem style-src style-src-attr style-src-elem worker-src".split()
)
"""Those that ``default-src`` stands in for: the wall has no other."""


def reported(body: bytes, resources: Resources, *, page_host: str) -> tuple[Withheld, ...]:
    """What the browser kept out, by one delivery of reports from a page of ``page_host``; each thing once.

    What is malformed, without a host, or about the site's own is left out; never raises.
    """
    found = islice(_violations(body), _MOST_REPORTS)
    judged = (_withheld(directive, url, resources, page_host) for directive, url in found)
    return tuple(dict.fromkeys(filter(None, judged)))


def _violations(body: bytes) -> Iterator[tuple[str, ada_url.URL]]:
    """Directive and blocked URL of every report that has both."""
    for directive, blocked in _fields(body):
        name = directive.split(maxsplit=1)[0] if isinstance(directive, str) and directive.strip() else ""
        if name not in _DIRECTIVES or not isinstance(blocked, str):
            continue
        try:
            yield name, ada_url.URL(blocked)
        except ValueError:  # a keyword such as ``inline`` or ``eval``, or nothing a browser sends
            continue


def _fields(body: bytes) -> Iterator[tuple[object, object]]:
    """What stands for the directive and for the URL in each report, of whatever type."""
    try:
        delivered: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    for report in delivered if isinstance(delivered, list) else [delivered]:
        if not isinstance(report, dict):
            continue
        old, new = report.get("csp-report"), report.get("body")
        if isinstance(old, dict):
            yield old.get("effective-directive") or old.get("violated-directive"), old.get("blocked-uri")
        elif isinstance(new, dict) and report.get("type") == "csp-violation":
            yield new.get("effectiveDirective"), new.get("blockedURL")


def _withheld(directive: str, url: ada_url.URL, resources: Resources, page_host: str) -> Withheld | None:
    target = resources.place(url, page_host)
    if url.protocol not in NETWORK_SCHEMES or not _HOST.fullmatch(target.host):
        return None
    what, service = f"wall: {directive}", target.service
    if service is None and target.place == "undeclared" and url.pathname == "/":
        # Of frames, and after redirects, a report holds only the origin: too little for a service with a path.
        service = resources.sole_service(target.host)
    if service is not None:
        purpose = service.purpose if resources.declares(service) else ""
        return Withheld(what, target.host, purpose, service.id, service.name)
    return Withheld(what, target.host, "") if target.place == "undeclared" else None
