"""Real news pages with real trackers, gated with a starter policy: a browser asks no third party for anything."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cookiegate import CookieGate
from cookiegate.policy import Policy, parse_policy
from cookiegate.policy.starter import starter

from .world import SITE, World

DATA = Path(os.environ.get("COOKIEGATE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
PAGES = sorted((DATA / "pages").glob("*.html"))
pytestmark = pytest.mark.skipif(not PAGES, reason=f"no real pages in {DATA}: set COOKIEGATE_TEST_DATA")


def starter_policy() -> Policy:
    """What `cookiegate init` writes for a site."""
    return parse_policy(starter(name="A newspaper", hosts=(SITE,), email="privacy@site.test", today=date(2026, 11, 22)))


def newspaper() -> Starlette:
    """Serves each page under its name, and nothing else."""

    async def page(request: Request) -> Response:
        return Response((DATA / "pages" / request.path_params["name"]).read_bytes(), media_type="text/html")

    return Starlette(routes=[Route("/{name}", page)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_third_party_is_contacted_before_a_choice(world: World, tmp_path: Path, page: Path) -> None:
    app = CookieGate(
        newspaper(), policy=starter_policy(), store=tmp_path / "consent.db", clock=lambda: datetime.now(UTC)
    )
    visitor = world.visitor()
    visitor.visit(f"{world.mount(app)}/{page.name}")
    assert visitor.page.locator("#cg-ask").is_visible()
    assert world.outside.contacts() == []
    assert [cookie for cookie in visitor.cookies() if "@" in cookie] == []


def test_the_same_page_ungated_does_contact_third_parties(world: World) -> None:
    visitor = world.visitor()
    visitor.visit(f"{world.mount(newspaper())}/{PAGES[0].name}")
    assert len(world.outside.hosts()) > 3
