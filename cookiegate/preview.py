"""A page as a given visitor would get it, without a server: for the command line and for a site's own tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import ada_url

from .assets import Assets
from .consent import Consent, new_id
from .errors import CookiegateError
from .gate import Page, Resources, ResponseGate, Wall, Withheld
from .lawful import Verdict, decide
from .policy import Policy
from .signals import Signals


@dataclass(frozen=True, slots=True)
class Preview:
    """A gated page. ``headers`` are those of the response; ``withheld`` counts what was taken away."""

    html: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    withheld: Mapping[Withheld, int]


def verdict_for(policy: Policy, grants: Iterable[str], now: datetime) -> Verdict:
    """The verdict of a visitor who allowed these purposes ("all" for every one), or who has not chosen if none.

    Raises:
        CookiegateError: a purpose is not one that can be chosen.
    """
    wanted = set(grants)
    if not wanted:
        return decide(policy, Signals(), None, now)
    choosable = {purpose.id for purpose in policy.choosable}
    unknown = wanted - choosable - {"all"}
    if unknown:
        known = ", ".join(sorted(choosable)) or "none"
        raise CookiegateError(f"no such purpose to grant: {', '.join(sorted(unknown))}; there are {known}")
    granted = choosable if "all" in wanted else wanted
    choices = {policy.scopes[purpose]: purpose in granted for purpose in choosable}
    return decide(policy, Signals(), Consent(new_id(), now, choices), now)


def preview(
    policy: Policy,
    body: bytes,
    *,
    now: datetime,
    grants: Iterable[str] = (),
    url: str = "",
    locale: str = "",
    fragment: bool = False,
    headers: Iterable[tuple[bytes, bytes]] = ((b"content-type", b"text/html"),),
) -> Preview:
    """Gate one HTML body.

    Args:
        grants: purposes the visitor allowed, or "all"; none for a visitor who has not chosen.
        url: the page's absolute URL; by default the first host of the policy.
        fragment: insert nothing.

    Raises:
        CookiegateError: a purpose is not one that can be chosen, or the URL is none of a page.
    """
    assets = Assets(policy)
    address = _address(url or f"https://{policy.site.hosts[0] if policy.site.hosts else 'localhost'}/")
    language = locale or assets.locales[0]
    noted: Counter[Withheld] = Counter()
    gate = ResponseGate(
        Page(
            policy=policy,
            resources=Resources(policy),
            wall=Wall(policy),
            verdict=verdict_for(policy, grants, now),
            signals=Signals(locale=language, document=not fragment, secure=address.protocol == "https:"),
            layer=assets.layer(language),
            url=address.href,
            host=address.hostname,
            path=address.pathname,
            return_to=address.pathname + address.search,
            method="GET",
            gzip=False,
            now=now,
            denied_cookies=(),
            note=lambda withheld: noted.update((withheld,)),
            withheld_page=lambda why: assets.page(
                "message", locale=language, title="This page is withheld", text=why, status=502, link=""
            ),
        )
    )
    messages = [
        *gate.feed({"type": "http.response.start", "status": 200, "headers": list(headers)}),
        *gate.feed({"type": "http.response.body", "body": body, "more_body": False}),
    ]
    html = b"".join(message.get("body", b"") for message in messages)
    start = next(message for message in messages if message["type"] == "http.response.start")
    return Preview(html, tuple(start["headers"]), dict(noted))


def _address(url: str) -> ada_url.URL:
    try:
        address = ada_url.URL(url)
    except ValueError:
        address = None
    if address is None or address.protocol not in {"http:", "https:"}:
        raise CookiegateError(f"{url!r} is not the URL of a page: write it like https://example.com/path")
    return address
