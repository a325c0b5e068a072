"""The oracle itself: what a page without a gate does is seen, and a page that does nothing leaves no trace."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from .world import SITE, At, World

LEAKS = {
    "tracker.example/t.js": '<script src="https://tracker.example/t.js"></script>',
    "pixel.example/p.gif": '<img src="https://pixel.example/p.gif" alt="">',
    "video.example/embed": '<iframe src="https://video.example/embed"></iframe>',
    "style.example/s.css": '<link rel="stylesheet" href="https://style.example/s.css">',
    "plain.example/p.gif": '<img src="http://plain.example/p.gif" alt="">',
    "quiet.example/n.gif": '<noscript><img src="https://quiet.example/n.gif" alt=""></noscript>',
}
"""What a page asks for, and the markup by which it does."""
FONTS = (
    '<link rel="stylesheet" href="https://fonts.googleapis.com/css2?family=F">'
    '<p style="font-family: Fraunces">Fonts are fetched once something is written in them.</p>'
)


def page_of(markup: str) -> Starlette:
    """A site of one page, with an icon of its own so that the browser need not ask for one."""
    html = f'<!doctype html><link rel="icon" href="data:,"><title>Page</title><body>{markup}'

    async def home(_: object) -> HTMLResponse:
        return HTMLResponse(html)

    return Starlette(routes=[Route("/", home)])


def test_a_clean_page_leaves_no_trace(world: World) -> None:
    visitor = world.visitor()
    visitor.visit(world.mount(page_of("<h1>Nothing</h1>")))
    assert visitor.page.title() == "Page"
    assert world.outside.contacts() == []
    assert visitor.cookies() == set()
    assert visitor.storage() == {}


@pytest.mark.parametrize("scripting", [True, False], ids=["scripting", "no scripting"])
def test_every_request_is_seen(world: World, scripting: bool) -> None:
    world.visitor(scripting=scripting).visit(world.mount(page_of("".join(LEAKS.values()))))
    asked = set(world.outside.requests())
    # Without scripting Chromium does not even fetch scripts, and reads what stands in <noscript>.
    assert {*LEAKS} - asked == {"quiet.example/n.gif" if scripting else "tracker.example/t.js"}


@pytest.mark.parametrize(("scheme", "host"), [("https", "bare.example"), ("http", "?")])
def test_a_bare_connection_is_seen(world: World, scheme: str, host: str) -> None:
    world.visitor().visit(world.mount(page_of(f'<link rel="preconnect" href="{scheme}://bare.example">')))
    assert world.outside.requests() == []
    assert world.outside.hosts() == {host}


def test_what_a_style_sheet_fetches_is_seen(world: World) -> None:
    world.visitor().visit(world.mount(page_of(FONTS)))
    assert "fonts.gstatic.com/s/fraunces/demo.woff2" in world.outside.requests()


def test_what_a_script_stores_is_seen(world: World) -> None:
    visitor = world.visitor()
    visitor.visit(world.mount(page_of('<script src="https://www.googletagmanager.com/gtag/js?id=G-X"></script>')))
    assert visitor.cookies() == {"_ga", "_gid", "_ga_X"}
    assert "www.google-analytics.com/g/collect" in world.outside.requests()
    visitor.visit(world.mount(page_of(LEAKS["tracker.example/t.js"])))
    assert visitor.storage() == {"local": ["party_tracker_example"], "session": ["party_tracker_example"]}


def test_what_is_stored_is_seen_without_scripting_too(world: World) -> None:
    visitor = world.visitor(scripting=False)
    visitor.visit(world.mount(page_of("")))
    assert visitor.storage() == {}


def test_databases_and_caches_are_seen(world: World) -> None:
    visitor = world.visitor()
    visitor.visit(world.mount(page_of('<script>indexedDB.open("d"); caches.open("c")</script>')))
    assert visitor.storage() == {"databases": ["d"], "caches": ["c"]}


def test_cookies_of_others_are_told_apart(world: World) -> None:
    visitor = world.visitor()
    visitor.visit(world.mount(page_of('<img src="https://www.facebook.com/tr/?id=1" alt="">')))
    assert visitor.cookies() == {"fr@www.facebook.com"}


@pytest.mark.parametrize(("at", "trusted"), [("loopback", True), ("https", True), ("http", False)])
def test_a_site_can_have_a_name(world: World, at: At, trusted: bool) -> None:
    async def home(request: object) -> JSONResponse:
        return JSONResponse(dict(request.headers))  # type: ignore[attr-defined]

    origin = world.mount(Starlette(routes=[Route("/", home)]), at=at)
    visitor = world.visitor()
    visitor.visit(origin)
    assert (SITE in origin) == (at != "loopback")
    assert visitor.page.evaluate("isSecureContext") is trusted
    assert ("sec-fetch-site" in visitor.page.content()) is trusted
    assert world.outside.contacts() == []
