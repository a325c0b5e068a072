"""What the second wall keeps out is reported by a real browser, and shown, without the page it happened on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cookiegate import CookieGate
from cookiegate.cli import main
from cookiegate.policy import parse_policy
from cookiegate.testing import FrozenClock, find_bytes

from .world import PATIENCE, SITE, At, World

POLICY = f"""
services = ["youtube"]

[site]
name = "Example"
hosts = ["{SITE}"]
policy_version = "1"

[controller]
name = "Example Ltd"
email = "privacy@{SITE}"
"""
LOADER = """<!doctype html><html><head><title>Page</title></head><body><script>
const script = document.createElement("script");
script.src = ["https:/", "cdn.undeclared.example", "tag.js?who=JANE-DOE"].join("/");
document.body.append(script);
const frame = document.createElement("iframe");
frame.src = ["https:/", "www.you" + "tube.com", "embed", "film?who=JANE-DOE"].join("/");
document.body.append(frame);
</script></body></html>"""
"""A page of the site whose own script loads third parties, without naming one of them as a text in one piece."""


class Postbox:
    """A gated site, and how many deliveries of reports it has taken."""

    def __init__(self, gate: CookieGate) -> None:
        self._gate = gate
        self.taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gate(scope, receive, send)
        self.taken += scope.get("path") == "/_privacy/reports"


def blocked(store: Path) -> str:
    """What an operator is shown."""
    done = CliRunner().invoke(main, ["report", "--blocked", "--store", str(store)])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("at", ["https", "loopback"])
def test_what_the_browser_kept_out_is_shown_without_its_page(world: World, tmp_path: Path, at: At) -> None:
    """Over HTTPS by the Reporting API, in plain HTTP by ``report-uri``."""
    app = Starlette(routes=[Route("/", lambda _: HTMLResponse(LOADER))])
    store, clock = tmp_path / "cookiegate.db", FrozenClock()
    gate = CookieGate(app, policy=parse_policy(POLICY), store=store, clock=clock)
    postbox, visitor = Postbox(gate), world.visitor()
    origin = world.mount(postbox, at=at)
    visitor.visit(f"{origin}/?name=JANE-DOE&token=S3CRET")
    deadline = time.monotonic() + PATIENCE
    while postbox.taken < 2 and time.monotonic() < deadline:
        visitor.page.wait_for_timeout(50)
    assert world.outside.requests() == []

    clock.move(minutes=2)
    visitor.visit(f"{origin}/_privacy")
    assert gate.store.flush()
    shown = [line.split() for line in blocked(store).splitlines()]
    assert ["1", "wall", "script-src-elem", "cdn.undeclared.example", "undeclared"] in shown
    assert ["1", "wall", "frame-src", "www.youtube.com", "youtube", "marketing"] in shown
    assert ["hosts", "=", '["cdn.undeclared.example"]'] in shown
    assert find_bytes(tmp_path, "JANE-DOE", "S3CRET", "embed/film", "tag.js", "Chrome") == []
