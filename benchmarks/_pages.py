"""What is gated here: real pages with real trackers, or made-up ones like them; and a policy that fits them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cookiegate.policy import Policy, load_policy
from cookiegate.preview import preview

HOST = "www.example.com"
PATH = "/news/story.html"
URL = f"https://{HOST}{PATH}"
_ROOT = Path(__file__).parents[1]
_POLICY = """
services = [{services}]
[site]
name = "Example"
hosts = ["example.com"]
policy_version = "1"
[controller]
name = "Example Ltd"
email = "privacy@example.com"
[usage]
retention = "P14M"
"""
_FEW_SCRIPTS = 20


@dataclass(frozen=True)
class Pages:
    """The pages of one run, smallest first, and where they come from."""

    bodies: Sequence[bytes]
    source: str

    def nearest(self, size: int) -> bytes:
        """The page whose size is nearest."""
        return min(self.bodies, key=lambda body: abs(len(body) - size))

    def cut(self, size: int) -> bytes:
        """The beginning of a page that is full of scripts, up to a whole tag."""
        full = (body for body in self.bodies if len(body) >= size and body.lower().count(b"<script") >= _FEW_SCRIPTS)
        body = next(full, self.bodies[-1])
        return body[: body.rfind(b">", 0, size) + 1]


def pages() -> Pages:
    """The real pages, or made-up ones where those are not at hand."""
    folder = Path(os.environ.get("COOKIEGATE_TEST_DATA") or _ROOT.parent / "shared" / "data") / "pages"
    found = sorted((path.read_bytes() for path in folder.glob("*.html")), key=len)
    if found:
        return Pages(found, f"{len(found)} real pages, {sum(map(len, found)) / 1e6:.1f} MB")
    print(
        "There are no real pages here: COOKIEGATE_TEST_DATA names a folder that holds none in pages/. Making some up."
    )
    made = [_made_up(size) for size in (25_000, 60_000, 110_000, 300_000, 1_000_000)]
    return Pages(made, f"{len(made)} made-up pages, {sum(map(len, made)) / 1e6:.1f} MB")


def fitting_policy(bodies: Sequence[bytes], folder: Path) -> Policy:
    """A policy under which a visitor who allowed everything gets these pages as they are.

    Every service of the catalogue that they embed is declared, and every other host counts as the site's own.
    """
    services: set[str] = set()
    hosts: set[str] = set()
    policy = _load(folder, services, hosts)
    while named := _withheld(policy, bodies) - {(service, "") for service in services} - {("", host) for host in hosts}:
        services |= {service for service, _ in named if service}
        hosts |= {host for service, host in named if host and not service}
        policy = _load(folder, services, hosts)
    return policy


def _withheld(policy: Policy, bodies: Iterable[bytes]) -> set[tuple[str, str]]:
    """What is kept from a visitor who allowed everything: services, and hosts that belong to none."""
    now = datetime.now(UTC)
    pages_seen = (preview(policy, body, now=now, grants=("all",), url=URL) for body in bodies)
    found = {withheld for page in pages_seen for withheld in page.withheld}
    return {(withheld.service, "" if withheld.service else withheld.host) for withheld in found if withheld.host}


def _load(folder: Path, services: Iterable[str], hosts: Iterable[str]) -> Policy:
    path = folder / "cookiegate.toml"
    path.write_text(_POLICY.format(services=", ".join(f'"{name}"' for name in sorted(services))), encoding="utf-8")
    policy = load_policy(path)
    return replace(policy, gate=replace(policy.gate, first_party=tuple(sorted(hosts))))


# A page like a newspaper's -----------------------------------------------------------------------------------------

_HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Story</title>
<link rel="stylesheet" href="/static/site.css"><link rel="preconnect" href="https://fonts.googleapis.com">
<style>.lead{{font-family:"Lead",serif;background:url(/static/paper.png)}}.quote::before{{content:"\\201c"}}</style>
<script>(function(w,d,s,l,i){{w[l]=w[l]||[];w[l].push({{'gtm.start':new Date().getTime(),event:'gtm.js'}});var f=
d.getElementsByTagName(s)[0],j=d.createElement(s);j.async=true;j.src='https://www.googletagmanager.com/gtm.js?id='+i;
f.parentNode.insertBefore(j,f);}})(window,document,'script','dataLayer','GTM-XXXX');</script>
<script async src="https://www.googletagmanager.com/gtag/js?id=G-XXXX"></script>
<script>var page = {{"section": "news", "related": [{related}]}};
function show(i) {{ return page.related[i]; }}</script>
</head><body class="story">
<noscript><img height="1" width="1" src="https://www.facebook.com/tr?id=1&amp;ev=PageView&amp;noscript=1"></noscript>
"""
_PART = """<article id="part-{n}"><h2 class="head">Part {n}</h2>
<p style="margin:0">It was said in the harbour that <a href="/people/{n}" onclick="show({n})">somebody</a> had seen
it &amp; left. {words}</p>
<figure><img src="/images/{n}.jpg" srcset="/images/{n}-2x.jpg 2x" alt="" width="640" height="360"></figure>
<script>window.dataLayer = window.dataLayer || []; dataLayer.push({{"event": "part", "n": {n}}});</script>
<iframe width="560" height="315" src="https://www.youtube.com/embed/{n}" allowfullscreen></iframe>
<img src="https://www.google-analytics.com/collect?v=1&amp;n={n}" width="1" height="1">
<ul>{items}</ul></article>
"""
_WORDS = "The ferry was late and nobody minded much, because the light on the water was worth the wait. " * 4
_ITEMS = "".join(
    f'<li class="item"><a href="/list/{n}?from=story" title="Item {n}">Item {n}</a></li>' for n in range(24)
)


def _made_up(size: int) -> bytes:
    """A page of about this size in which trackers, inline scripts and embeds stand as thick as on real ones."""
    related = ",".join(f'{{"id": {n}, "href": "/story/{n}", "title": "Another story"}}' for n in range(size // 700))
    parts = [_HEAD.format(related=related)]
    length = len(parts[0])
    while length < size:
        parts.append(_PART.format(n=len(parts), words=_WORDS, items=_ITEMS))
        length += len(parts[-1])
    return "".join([*parts, "</body></html>\n"]).encode()
