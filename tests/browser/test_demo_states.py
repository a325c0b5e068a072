"""The main promise on the demonstration site, in a real browser: nothing before a choice, and only what was chosen.

Four states, each with scripting on and off: before a choice, after refusing, after allowing analytics alone, after
withdrawing. What the third parties saw and what the profile holds is compared with exact sets, nothing less.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cookiegate import CookieGate, consent
from cookiegate.demo import demo_app, demo_policy, demo_site
from cookiegate.policy import load_policy

from .world import At, Visitor, World

PAGES = ("/", "/journal", "/visit")
NECESSARY = {"session"}
ANALYTICS_REQUESTS = {"www.googletagmanager.com/gtag/js", "www.google-analytics.com/g/collect"}
ANALYTICS_COOKIES = {"_ga", "_gid", "_ga_DEMO000000"}
EVERYTHING = ANALYTICS_REQUESTS | {
    "connect.facebook.net/en_US/fbevents.js",
    "fonts.googleapis.com/css2",
    "fonts.gstatic.com/s/figtree/demo.woff2",
    "fonts.gstatic.com/s/fraunces/demo.woff2",
    "www.facebook.com/tr/",
    "www.google.com/maps/embed",
    "www.googleadservices.com/pagead/conversion/000000000/",
    "www.googletagmanager.com/a",
    "www.googletagmanager.com/gtm.js",
    "www.youtube.com/api/stats/playback",
    "www.youtube.com/embed/NineDaysFog",
}
"""What the pages ask for once all is allowed. The undeclared ``widgets.tides.example`` is not among it."""
EVERYTHING_UNSCRIPTED = {
    "fonts.googleapis.com/css2",
    "fonts.gstatic.com/s/figtree/demo.woff2",
    "fonts.gstatic.com/s/fraunces/demo.woff2",
    "www.facebook.com/tr",
    "www.google.com/maps/embed",
    "www.googletagmanager.com/ns.html",
    "www.youtube.com/embed/NineDaysFog",
}
scripted = pytest.mark.parametrize("scripting", [True, False], ids=["scripting", "no scripting"])
everywhere = pytest.mark.parametrize(
    ("at", "scripting"),
    [("loopback", True), ("https", True), ("https", False)],
    ids=["loopback", "https", "https, no scripting"],
)


class Guest:
    """A visitor of the demonstration site, and what has happened since the last look."""

    def __init__(self, world: World, store: Path, *, scripting: bool, at: At = "loopback") -> None:
        self.outside = world.outside
        self.origin = world.mount(demo_app(store=str(store)), at=at)
        self.consent_cookie = consent.cookie_name(secure=at == "https")
        self.visitor: Visitor = world.visitor(scripting=scripting)

    def look_around(self) -> None:
        """Visit every page."""
        for path in PAGES:
            self.visitor.visit(self.origin + path)

    def accept(self) -> None:
        self.visitor.click("#cg-accept")

    def reject(self) -> None:
        self.visitor.click("#cg-reject")

    def allow_only(self, purpose: str) -> None:
        self.visitor.page.locator("#cg-choose").click()
        self.visitor.page.locator(f"#cg-pick input[value={purpose}]").check()
        self.visitor.click("#cg-pick button[value=save]")

    def withdraw(self) -> None:
        self.visitor.click("#cg-back button[value=reject]")

    def seen(self) -> set[str]:
        """What third parties were asked for since the last call. Whom it merely connected to stands alone: ``host``."""
        asked, contacted = set(self.outside.requests()), self.outside.hosts()
        self.outside.forget()
        return asked | (contacted - {request.partition("/")[0] for request in asked})

    def cookies(self) -> set[str]:
        """The site's cookies, less the one that keeps the choice."""
        return {name for name in self.visitor.cookies() if "@" not in name} - {self.consent_cookie}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "demo.db"


@everywhere
def test_nothing_before_a_choice_and_nothing_after_refusing(world: World, store: Path, scripting: bool, at: At) -> None:
    guest = Guest(world, store, scripting=scripting, at=at)
    guest.look_around()
    assert guest.seen() == set()
    assert guest.visitor.cookies() == NECESSARY
    assert guest.visitor.storage() == {}

    guest.reject()
    guest.look_around()
    assert guest.seen() == set()
    assert guest.visitor.cookies() == NECESSARY | {guest.consent_cookie}
    assert guest.visitor.storage() == {}


@everywhere
def test_analytics_alone_and_nothing_after_withdrawing(world: World, store: Path, scripting: bool, at: At) -> None:
    guest = Guest(world, store, scripting=scripting, at=at)
    guest.visitor.visit(guest.origin)
    guest.allow_only("analytics")
    guest.look_around()
    assert guest.seen() == (ANALYTICS_REQUESTS if scripting else set())
    expected = NECESSARY | {"_demo_visits"} | (ANALYTICS_COOKIES if scripting else set())
    assert guest.visitor.cookies() == expected | {guest.consent_cookie}
    assert guest.visitor.storage() == {}

    guest.withdraw()
    assert guest.cookies() == NECESSARY
    guest.look_around()
    assert guest.seen() == set()
    assert guest.visitor.cookies() == NECESSARY | {guest.consent_cookie}
    assert guest.visitor.storage() == {}


@scripted
def test_everything_declared_and_nothing_after_withdrawing(world: World, store: Path, scripting: bool) -> None:
    """What third parties keep under their own names is out of a site's reach; all that is the site's goes."""
    guest = Guest(world, store, scripting=scripting)
    guest.visitor.visit(guest.origin)
    guest.accept()
    guest.look_around()
    assert guest.seen() == (EVERYTHING if scripting else EVERYTHING_UNSCRIPTED)
    assert guest.cookies() >= NECESSARY | {"_demo_visits"}

    guest.withdraw()
    assert guest.cookies() == NECESSARY
    assert guest.visitor.storage() == {}
    guest.look_around()
    assert guest.seen() == set()
    assert guest.cookies() == NECESSARY


def test_acceptance_needs_no_reload_where_the_wall_already_stands_open(world: World, store: Path) -> None:
    """With ``wall = "declared"`` the page's own Content-Security-Policy admits what is declared from the start."""
    policy = load_policy(demo_policy())
    opened = replace(policy, gate=replace(policy.gate, wall="declared"))
    origin = world.mount(CookieGate(demo_site(), policy=opened, store=store))
    visitor = world.visitor()
    visitor.visit(origin + "/journal")
    assert world.outside.contacts() == []
    visitor.page.evaluate("window.stayed = true")
    visitor.click("#cg-accept")
    assert visitor.page.evaluate("window.stayed") is True
    assert "www.youtube.com/embed/NineDaysFog" in world.outside.requests()
    assert visitor.page.locator("#cg-ask").is_visible() is False


@scripted
def test_a_preference_is_kept_only_where_it_may_be(world: World, store: Path, scripting: bool) -> None:
    guest = Guest(world, store, scripting=scripting)
    guest.visitor.visit(guest.origin)
    guest.visitor.click("button.lamp")
    assert guest.visitor.page.locator("html").get_attribute("data-theme") == "night"
    assert guest.cookies() == NECESSARY

    guest.allow_only("preferences")
    guest.visitor.click("button.lamp")
    assert guest.visitor.page.locator("html").get_attribute("data-theme") == "day"
    assert guest.cookies() == NECESSARY | {"theme"}
