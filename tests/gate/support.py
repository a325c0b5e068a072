"""One small policy, and the shortest way through the gate: what the tests in here stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cookiegate.gate import Page, Wall
from cookiegate.gate.elements import Elements, Observer
from cookiegate.gate.resources import Decider, Resources, Withheld
from cookiegate.gate.scanner import Scanner
from cookiegate.lawful import Verdict
from cookiegate.policy import Basis, Controller, CookieRule, GateRules, HostPattern, Policy, Purpose, Service, Site
from cookiegate.preview import verdict_for
from cookiegate.signals import Signals

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PAGE = "https://www.site.example/dir/page?q=1"


def service(identity: str, purpose: str, *hosts: str, signatures: tuple[str, ...] = ()) -> Service:
    """A service that claims hosts, each with or without a path."""
    patterns = [host.partition("/") for host in hosts]
    claimed = tuple(HostPattern(host, f"/{path}" if slash else "") for host, slash, path in patterns)
    return Service(identity, identity.title(), "P", "DE", purpose, hosts=claimed, signatures=signatures)


POLICY = Policy(
    site=Site(name="A site", policy_version="1", hosts=("www.site.example",)),
    controller=Controller("A site", "privacy@site.example"),
    purposes=(
        Purpose("necessary", Basis.LEGITIMATE_INTERESTS, necessary=True),
        Purpose("analytics", Basis.CONSENT),
        Purpose("marketing", Basis.CONSENT),
    ),
    services=(
        service("t", "marketing", "t.example", signatures=("t_track(",)),
        service("a", "analytics", "a.example", "xn--bcher-kva.example"),
        service("n", "necessary", "n.example"),
        service("maps", "marketing", "many.example/maps"),
        service("many", "necessary", "many.example"),
    ),
    known=(service("k", "analytics", "k.example", signatures=("k_init(",)),),
    cookies=(
        CookieRule("session", "session", "necessary"),
        CookieRule("_t", "persistent", "marketing", service="t"),
        CookieRule("_a_*", "persistent", "analytics", service="a"),
    ),
    gate=GateRules(first_party=("static.site-cdn.example",)),
)
"""``t.example`` waits for marketing, ``a.example`` for analytics; ``k.example`` is known but not declared."""


@cache
def verdict(*grants: str) -> Verdict:
    """What follows for a visitor who granted these purposes, or "all"."""
    return verdict_for(POLICY, grants, NOW)


RESOURCES = Resources(POLICY)


class Placeholders:
    """Stands in for the visitor's layer; as inconvenient to the parser as the real placeholder."""

    def placeholder(self, *, purpose: str, service: str, host: str, kind: str, width: str, height: str) -> bytes:
        parts = " ".join((purpose, service, host, kind, width, height))
        return f"<span data-cg-for>{parts}<svg></svg><b>!</b><button>go</button></span>".encode()


@dataclass
class Gated:
    """What came out of the gate, and what it noted."""

    html: bytes
    notes: list[Withheld] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.html.decode("utf-8", "surrogateescape")

    @property
    def ambiguous(self) -> bool:
        """Whether something was dropped because browsers may read it in two ways."""
        return any(note.what.startswith("ambiguous") for note in self.notes)


def open_scanner(
    *grants: str,
    note: Callable[[Withheld], None] = lambda _: None,
    url: str = PAGE,
    placeholders: bool = False,
    observe: bool = False,
    insert: bytes = b"",
) -> Scanner:
    """A scanner with the rules of `POLICY`."""
    decider = Decider(RESOURCES, verdict(*grants), url=url)
    elements = Elements(decider, placeholders=Placeholders() if placeholders else None, note=note)
    return Scanner(Observer(elements) if observe else elements, insert=insert, keep=observe)


def scan(page: bytes | str, *grants: str, pieces: Iterable[bytes] | None = None, **options: Any) -> Gated:
    """Send a page, or its ``pieces``, through `open_scanner` with these options."""
    gated = Gated(b"")
    scanner = open_scanner(*grants, note=gated.notes.append, **options)
    whole = page.encode() if isinstance(page, str) else page
    out = [scanner.feed(piece) for piece in (pieces if pieces is not None else [whole])]
    gated.html = b"".join([*out, scanner.close()])
    return gated


class Layer(Placeholders):
    """The visitor's layer, in few bytes."""

    def banner(self, *, return_to: str, signal: bool = False, allowed: Iterable[str] = ()) -> bytes:
        return f"<aside>{return_to} {'signal' if signal else 'ask'} {','.join(allowed)}</aside>".encode()

    def way_back(self, *, return_to: str, granted: bool, allowed: Iterable[str] = ()) -> bytes:
        return f"<aside>{return_to} {'granted' if granted else 'refused'} {','.join(allowed)}</aside>".encode()


def page_of(*grants: str, notes: list[Withheld] | None = None, policy: Policy = POLICY, **fields: Any) -> Page:
    """What the gate needs to know about a request for `PAGE` by a visitor who granted these purposes."""
    usual: dict[str, Any] = {
        "signals": Signals(secure=True),
        "url": PAGE,
        "method": "GET",
        "gzip": True,
        "denied_cookies": (),
        "verdict": verdict_for(policy, grants, NOW),
    }
    return Page(
        policy=policy,
        resources=RESOURCES if policy is POLICY else Resources(policy),
        wall=Wall(policy),
        layer=Layer(),
        host="www.site.example",
        path="/dir/page",
        return_to="/dir/page?q=1",
        now=NOW,
        note=(notes if notes is not None else []).append,
        withheld_page=lambda why: f"<p>withheld: {why}</p>".encode(),
        **{**usual, **fields},
    )
