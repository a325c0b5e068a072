"""The demonstration: what the site embeds and sets by itself, what the gate makes of it, and the third parties."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from starlette.types import ASGIApp

from cookiegate.cli import main
from cookiegate.cli.demo import Stage
from cookiegate.demo import ThirdParties, demo_app, demo_policy, demo_site
from cookiegate.demo.parties import PLAYED, kind_of
from cookiegate.demo.serve import make_certificate
from cookiegate.demo.site import PAGES
from cookiegate.policy import load_policy

THIRD_PARTIES = (
    "https://www.googletagmanager.com/gtm.js",
    "https://www.googletagmanager.com/gtag/js",
    "https://connect.facebook.net/en_US/fbevents.js",
    "https://fonts.googleapis.com/css2",
    "https://widgets.tides.example/tide.js",
)
"""What every page asks for: the journal adds a video, the page for visitors a map."""


@asynccontextmanager
async def browse(app: ASGIApp, base: str = "http://light.test") -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
        yield client


def set_by(response: httpx.Response) -> set[str]:
    """Names of the cookies a response sets."""
    return {header.partition("=")[0] for header in response.headers.get_list("set-cookie")}


@pytest.mark.parametrize("path", PAGES)
async def test_the_site_embeds_what_sites_embed(path: str) -> None:
    async with browse(demo_site()) as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert [url for url in THIRD_PARTIES if url not in response.text] == []
    assert ("https://www.youtube.com/embed/" in response.text) == (path == "/journal")
    assert ("https://www.google.com/maps/embed" in response.text) == (path == "/visit")
    assert set_by(response) == {"session", "_demo_visits"}


async def test_every_file_the_pages_name_is_there() -> None:
    async with browse(demo_site()) as client:
        for path in ("/static/site.css", "/static/mark.svg"):
            assert (await client.get(path)).status_code == 200


async def test_the_gate_withholds_the_analytics_cookie_and_keeps_the_session(tmp_path: Path) -> None:
    async with browse(demo_app(store=str(tmp_path / "demo.db"))) as client:
        response = await client.get("/")
    assert set_by(response) == {"session"}


async def test_the_counter_survives_any_value() -> None:
    async with browse(demo_site()) as client:
        for value, expected in (("7", "8"), ("x", "1"), ("9" * 500, "1"), ("²", "1")):
            response = await client.get("/", headers={b"cookie": f"_demo_visits={value}; session=s".encode()})
            assert response.cookies["_demo_visits"] == expected


async def test_a_theme_holds_for_the_session_and_as_a_preference() -> None:
    async with browse(demo_site()) as client:
        response = await client.post("/theme/night", headers={"referer": "http://light.test/visit"})
        assert (response.status_code, response.headers["location"]) == (303, "/visit")
        assert set_by(response) == {"session", "theme"}
        for cookies in ({"theme": "night"}, {"session": "abc.night"}):
            page = await client.get("/", headers={"cookie": "; ".join("=".join(pair) for pair in cookies.items())})
            assert 'data-theme="night"' in page.text
        nonsense = await client.post("/theme/plaid")
        assert set_by(nonsense) == set()


@pytest.mark.parametrize("referer", ["https://evil.example/x", "http://light.test//evil.example", "%%", ""])
async def test_a_theme_leads_to_no_other_site(referer: str) -> None:
    async with browse(demo_site()) as client:
        response = await client.post("/theme/day", headers={"referer": referer})
    assert response.headers["location"] == "/"


async def test_the_form_answers_without_reading_the_message() -> None:
    async with browse(demo_site()) as client:
        response = await client.post("/visit", data={"name": "Ada"}, follow_redirects=True)
    assert "thrown away unread" in response.text


async def test_the_logbook_shows_verdict_cookies_and_requests(tmp_path: Path) -> None:
    parties = ThirdParties(clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC))
    async with browse(parties, "https://www.youtube.com") as client:
        await client.get("/embed/x", headers={"sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"})
        await client.get("/favicon.ico", headers={"sec-fetch-site": "none"})
    async with browse(demo_app(store=str(tmp_path / "demo.db"), parties=parties)) as client:
        page = (await client.get("/logbook", headers={"cookie": "session=s; theme=night"})).text
    assert "the visitor has not chosen" in page
    assert "<code>session</code>" in page
    assert "<code>theme</code>" not in page, "a denied purpose's cookie does not reach the site"
    assert "<td>12:00:00</td><td>www.youtube.com</td><td><code>/embed/x</code></td>" in page
    assert "favicon" not in page, "what a browser asks for by itself is no request of the page"


async def test_the_logbook_stands_without_a_gate_too() -> None:
    async with browse(demo_site()) as client:
        page = (await client.get("/logbook")).text
    assert "No gate stands before this site" in page
    assert "Nothing." in page


def test_the_policy_declares_all_of_the_site_but_one() -> None:
    policy = load_policy(demo_policy())
    for service in ("google-analytics", "google-tag-manager", "meta-pixel", "youtube", "google-fonts", "google-maps"):
        assert service in policy.service_by_id
    assert {name: policy.cookie_rule(name).purpose for name in ("session", "theme", "_demo_visits")} == {  # type: ignore[union-attr]
        "session": "necessary",
        "theme": "preferences",
        "_demo_visits": "analytics",
    }
    assert policy.usage is not None
    assert policy.usage.retention.text == "P14M"


@pytest.mark.parametrize(("host", "path", "file"), PLAYED)
async def test_every_part_is_played(host: str, path: str, file: str) -> None:
    async with browse(ThirdParties(), f"https://{host}") as client:
        response = await client.get(path)
    assert response.status_code == 200
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html"}
    assert response.headers["content-type"].startswith(kinds[file.rpartition(".")[2]])
    assert response.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("destination", "path", "content_type"),
    [
        ("script", "/anything", "text/javascript"),
        ("iframe", "/anything", "text/html"),
        ("image", "/anything", "image/gif"),
        ("style", "/anything", "text/css"),
        (None, "/tracker.js", "text/javascript"),
        (None, "/p.GIF", "image/gif"),
    ],
)
async def test_any_host_answers_what_is_wanted(destination: str | None, path: str, content_type: str) -> None:
    headers = {"sec-fetch-dest": destination} if destination else {}
    async with browse(ThirdParties(), "https://anybody.example:444") as client:
        response = await client.get(path, headers=headers)
    assert response.headers["content-type"].startswith(content_type)


async def test_a_hit_is_taken_in_silence() -> None:
    async with browse(ThirdParties(), "https://www.google-analytics.com") as client:
        assert (await client.post("/g/collect?v=2")).status_code == 204


def test_a_kind_goes_by_what_the_browser_says_before_the_path() -> None:
    assert kind_of("image", "/x.js") == "image"
    assert kind_of(None, "/x") == "other"


def test_the_browser_command_leads_every_host_here(tmp_path: Path) -> None:
    certificate = make_certificate()
    assert certificate is not None
    stage = Stage("http://127.0.0.1:8000", "127.0.0.1:4321", certificate, "x.db", tmp_path)
    command = stage.browser()
    assert "--host-resolver-rules=MAP * 127.0.0.1:4321, EXCLUDE localhost, EXCLUDE 127.0.0.1" in command
    assert f"--ignore-certificate-errors-spki-list={certificate.fingerprint}" in command
    assert command[-1] == "http://127.0.0.1:8000"


@pytest.mark.parametrize("option", ["--port", "--third-party-port"])
def test_a_taken_port_is_named_with_its_cure(option: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        other = ["--port", "0"] if option != "--port" else []
        result = CliRunner().invoke(main, ["demo", *other, option, port, "--store", str(tmp_path / "demo.db")])
    assert result.exit_code == 1
    assert f"port {port} is taken: choose another one with {option}" in result.output
