"""Reports about the wall: what is read from them and what never is, how many are taken, and what is written down."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_samples import HOST, PAGE, client, http_scope, sample_policy, speak
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from cookiegate import CookieGate
from cookiegate.endpoints.reports import TokenBucket
from cookiegate.gate import MAX_DELIVERY, Notices, Resources, Withheld, reported
from cookiegate.store import Blocked, Store
from cookiegate.testing import FrozenClock, consent_cookie, find_bytes

GateOf = Callable[..., CookieGate]
REPORTS = "/_privacy/reports"
NEW, OLD = "application/reports+json", "application/csp-report"
SECRET = "JANE-DOE"
RESOURCES = Resources(sample_policy())


def new(directive: object, blocked: object) -> dict[str, Any]:
    """A report as the Reporting API sends it: with far more than may be kept."""
    return {
        "type": "csp-violation",
        "age": 10,
        "url": f"https://{HOST}/?q={SECRET}",
        "user_agent": f"Mozilla/5.0 {SECRET}",
        "body": {
            "documentURL": f"https://{HOST}/{SECRET}",
            "referrer": f"https://search.example/?q={SECRET}",
            "blockedURL": blocked,
            "effectiveDirective": directive,
            "originalPolicy": "default-src 'self'; report-to cg",
            "sourceFile": f"https://{HOST}/{SECRET}.js",
            "sample": SECRET,
            "disposition": "enforce",
            "statusCode": 200,
        },
    }


def old(directive: object, blocked: object) -> dict[str, Any]:
    """A report as ``report-uri`` brings it."""
    return {
        "csp-report": {
            "document-uri": f"https://{HOST}/?q={SECRET}",
            "referrer": f"https://search.example/?q={SECRET}",
            "violated-directive": directive,
            "original-policy": "default-src 'self'",
            "blocked-uri": blocked,
            "script-sample": SECRET,
        }
    }


def read(*delivered: Any) -> tuple[Withheld, ...]:
    return reported(json.dumps(delivered[0] if len(delivered) == 1 else delivered).encode(), RESOURCES, page_host=HOST)


# -- reading them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [new, old], ids=["Reporting API", "report-uri"])
@pytest.mark.parametrize(
    ("directive", "blocked", "host", "whose"),
    [
        ("script-src-elem", f"https://tag.example/{SECRET}?{SECRET}#{SECRET}", "tag.example", ("", "", "")),
        ("frame-src", "https://www.youtube.com", "www.youtube.com", ("marketing", "youtube", "YouTube")),
        ("img-src", "https://fonts.googleapis.com/x", "fonts.googleapis.com", ("", "google-fonts", "Google Fonts")),
        ("connect-src", "wss://user:pass@SOCKET.example:8443/", "socket.example", ("", "", "")),
        ("default-src 'self' https://x", "http://a.example/", "a.example", ("", "", "")),
        ("img-src", "http://192.0.2.1/", "192.0.2.1", ("", "", "")),
        ("img-src", "https://b\u00fccher.example/", "xn--bcher-kva.example", ("", "", "")),
    ],
)
def test_directive_and_host_are_read(
    form: Callable[..., Any], directive: str, blocked: str, host: str, whose: tuple[str, str, str]
) -> None:
    found = read(form(directive, blocked))
    assert found == (Withheld(f"wall: {directive.split(maxsplit=1)[0]}", host, *whose),)
    assert SECRET not in repr(found)


def test_a_frames_origin_stands_for_the_declared_service_with_a_path() -> None:
    """Browsers tell no path of a frame. Declared as ``google.com/maps``, it is not advised to declare the host anew."""
    maps = Resources(sample_policy(('"youtube"', '"youtube", "google-maps"')))
    body = json.dumps(new("frame-src", "https://www.google.com")).encode()
    assert [it.service for it in reported(body, maps, page_host=HOST)] == ["google-maps"]
    assert [it.service for it in read(new("frame-src", "https://www.google.com"))] == [""]
    other = json.dumps(new("script-src", "https://www.google.com/search")).encode()
    assert [it.service for it in reported(other, maps, page_host=HOST)] == [""]


@pytest.mark.parametrize(
    "report",
    [
        new("script-src", "inline"),
        new("script-src", "eval"),
        new("img-src", "data"),
        new("img-src", ""),
        new("img-src", "data:image/png;base64,AAAA"),
        new("img-src", "blob:https://tag.example/1"),
        new("script-src", "chrome-extension://abcdefghijklmnop/x.js"),
        new("img-src", f"https://{HOST}/x"),  # the site's own
        new("img-src", f"https://static.{HOST}/x"),
        new("frame-ancestors", "https://tag.example/"),  # not the wall's
        new("form-action", "https://tag.example/"),
        new("", "https://tag.example/"),
        new("  ", "https://tag.example/"),
        new(None, "https://tag.example/"),
        new(["img-src"], "https://tag.example/"),
        new("img-src", None),
        new("img-src", {"href": "https://tag.example/"}),
        new("img-src", "https://"),
        new("img-src", "https://[::1"),
        new("img-src", "https://tag.example\ufffd/"),
        new("img-src", 'https://tag"><script>.example/'),
        new("img-src", "https://" + "a" * 300 + ".example/"),
        new("img-src", "https://a b.example/"),
        new("img-src", "https://tag.example:99999/"),
        {**new("img-src", "https://tag.example/"), "type": "network-error"},
        {"type": "csp-violation", "body": "x"},
        {"csp-report": "x"},
        {"csp-report": {}},
        {},
        [],
        [[new("img-src", "https://tag.example/")]],
        None,
        7,
        "x",
    ],
    ids=repr,
)
def test_what_tells_nothing_is_left_out(report: Any) -> None:
    assert read(report) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"\x80",
        b"[" * 200_000,
        b'{"csp-report":' * 20_000,
        b"1" * 100_000,
        b'"\\ud800"',
        b'{"csp-report":{"blocked-uri":"https://\\ud800.example/","violated-directive":"img-src"}}',
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_report_is_left_out(body: bytes) -> None:
    assert reported(body, RESOURCES, page_host=HOST) == ()


def test_each_thing_counts_once_in_a_delivery_and_few_are_read() -> None:
    same = new("img-src", "https://tag.example/")
    assert (
        len(read([same, same, new("img-src", "https://tag.example/other"), old("font-src", "https://tag.example/")]))
        == 2
    )
    assert len(read([new("img-src", f"https://h{number}.example/") for number in range(1000)])) == 200


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text()
    | st.sampled_from(["img-src", "https://tag.example/", "csp-violation"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text()
            | st.sampled_from(["csp-report", "body", "type", "blockedURL", "blocked-uri", "effectiveDirective"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values | st.lists(st.builds(new, json_values, json_values) | st.builds(old, json_values, json_values)))
def test_no_json_breaks_the_reader(value: Any) -> None:
    for withheld in read(value):
        assert withheld.what.startswith("wall: ")
        assert withheld.host


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    reported(body, RESOURCES, page_host=HOST)


# -- counting -------------------------------------------------------------------------------------------------------


def test_what_visitors_send_takes_no_room_from_what_the_page_holds(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(limit=3)
    for number in range(10):
        notices(Withheld("wall: img-src", f"h{number}.example", ""))
        notices(Withheld("request cookie", "", "", name=f"c{number}"))
    with caplog.at_level(logging.WARNING, "cookiegate.gate"):
        notices(Withheld("script", "tag.example", ""))
    assert "tag.example" in caplog.text
    counted = notices.drain()
    assert sum(it.what == "wall: img-src" for it in counted) == 3
    assert sum(it.what == "request cookie" for it in counted) == 3
    assert counted[Withheld("script", "tag.example", "")] == 1


def test_draining_gives_each_count_once() -> None:
    notices = Notices()
    one, other = Withheld("script", "a.example", ""), Withheld("img", "b.example", "")
    for withheld in (one, one, other):
        notices(withheld)
    assert notices.drain() == {one: 2, other: 1}
    assert notices.drain() == {}
    notices(other)
    assert notices.drain() == {other: 1}


def test_a_bucket_fills_with_time_and_never_overflows() -> None:
    clock = FrozenClock()
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(clock()) for _ in range(5)] == [True, True, True, False, False]
    clock.move(seconds=0.5)
    assert [bucket.take(clock()) for _ in range(2)] == [True, False]
    clock.move(days=1)
    assert [bucket.take(clock()) for _ in range(5)] == [True, True, True, False, False]
    clock.move(hours=-1)  # a clock that is set back gives nothing, and takes nothing for good
    assert bucket.take(clock()) is False
    clock.move(seconds=0.5)
    assert bucket.take(clock()) is True


# -- over HTTP ------------------------------------------------------------------------------------------------------


def deliver(browser: httpx.AsyncClient, *reports: Any, kind: str = NEW) -> Any:
    body = json.dumps(reports[0] if kind == OLD else list(reports))
    return browser.post(REPORTS, content=body, headers={"content-type": kind})


@pytest.fixture
def written(gate: CookieGate, clock: FrozenClock) -> Callable[[], Any]:
    """What the store holds once a minute has passed and somebody has asked for something."""

    async def look() -> list[Blocked]:
        clock.move(minutes=2)
        await speak(gate, http_scope("/_privacy/notice"))
        assert gate.store.flush()
        return gate.store.blocked()

    return look


@pytest.mark.parametrize("kind", [NEW, OLD, "application/json", f"{NEW}; charset=utf-8", NEW.upper()])
async def test_a_delivery_is_taken_without_a_word(
    browser: httpx.AsyncClient, written: Callable[[], Any], kind: str
) -> None:
    report = (old if kind == OLD else new)("frame-src", f"https://tag.example/?{SECRET}")
    answer = await deliver(browser, report, kind=kind)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert await written() == [Blocked(1, "wall", "frame-src", "tag.example", "", "", "")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "text/html", ""])
async def test_other_types_are_refused(browser: httpx.AsyncClient, written: Callable[[], Any], kind: str) -> None:
    answer = await deliver(browser, new("img-src", "https://tag.example/"), kind=kind)
    assert (answer.status_code, answer.content) == (415, b"")
    assert await written() == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_possible(browser: httpx.AsyncClient, method: str) -> None:
    answer = await browser.request(method, REPORTS)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_a_delivery_that_is_too_large_is_read_and_dropped(
    browser: httpx.AsyncClient, written: Callable[[], Any]
) -> None:
    report = json.dumps([new("img-src", "https://tag.example/")]).encode()
    fits = report + b" " * (MAX_DELIVERY - len(report))
    large = await browser.post(REPORTS, content=fits + b" ", headers={"content-type": NEW})
    assert (large.status_code, large.content) == (413, b"")
    assert await written() == []
    assert (await browser.post(REPORTS, content=fits, headers={"content-type": NEW})).status_code == 204
    assert len(await written()) == 1


async def test_a_delivery_that_breaks_off_says_nothing(gate: CookieGate) -> None:
    scope = http_scope(REPORTS, method="POST", headers=[(b"content-type", NEW.encode())])
    piece = {"type": "http.request", "body": b"[", "more_body": True}
    spoken = await speak(gate, scope, piece, {"type": "http.disconnect"})
    assert spoken.error is None
    assert spoken.messages[0]["status"] == 400


async def test_too_many_deliveries_are_dropped_and_counted(
    browser: httpx.AsyncClient, gate: CookieGate, clock: FrozenClock, caplog: pytest.LogCaptureFixture
) -> None:
    statuses = [(await deliver(browser, new("img-src", "https://tag.example/"))).status_code for _ in range(210)]
    assert statuses == [204] * 200 + [429] * 10
    assert gate._desk.dropped == 10
    assert caplog.text.count("deliveries of reports a second") == 1
    clock.move(seconds=1)
    statuses = [(await deliver(browser)).status_code for _ in range(25)]
    assert statuses == [204] * 20 + [429] * 5


async def test_other_sites_cannot_make_a_browser_send_one(browser: httpx.AsyncClient) -> None:
    """They need a preflight for such a type (Fetch, CORS), and it is not answered."""
    origin = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = await browser.options(REPORTS, headers=origin | {"access-control-request-headers": "content-type"})
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]


async def test_nothing_else_of_a_report_is_kept_or_logged(
    browser: httpx.AsyncClient, gate: CookieGate, tmp_path: Path, caplog: pytest.LogCaptureFixture, written: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"https://tag.example/{SECRET}?{SECRET}"
    await deliver(browser, new("img-src", url), new("script-src", f"https://{SECRET}@www.youtube.com/{SECRET}"))
    await deliver(browser, old("img-src", url), kind=OLD)
    assert len(await written()) == 2
    gate.store.close()
    assert find_bytes(tmp_path, SECRET, "203.0.113.77", "Gecko") == []
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("cookiegate")]
    assert logged
    assert not [line for line in logged if SECRET.lower() in line.lower() or "203.0.113.77" in line or "Gecko" in line]


# -- the headers of a page ------------------------------------------------------------------------------------------


async def headers_of(gate: CookieGate, origin: str = f"https://{HOST}", path: str = "/plain") -> httpx.Headers:
    async with client(gate, origin=origin) as visitor:
        return (await visitor.get(path)).headers


async def test_pages_say_where_to_report(gate: CookieGate) -> None:
    headers = await headers_of(gate)
    assert headers["content-security-policy"].endswith("; report-uri /_privacy/reports; report-to cg")
    assert headers["reporting-endpoints"] == 'cg="/_privacy/reports"'
    assert "content-security-policy-report-only" not in headers


async def test_pages_in_plain_http_name_the_older_way_alone(gate: CookieGate) -> None:
    """Chromium ignores ``report-uri`` beside ``report-to``, and endpoints that did not come by HTTPS."""
    headers = await headers_of(gate, origin=f"http://{HOST}")
    assert headers["content-security-policy"].endswith("; report-uri /_privacy/reports")
    assert "reporting-endpoints" not in headers


async def test_the_apps_own_endpoints_stay(gate_of: GateOf) -> None:
    own = {"reporting-endpoints": 'app="/own"', "content-security-policy": "default-src 'self'; report-to app"}
    app = Starlette(routes=[Route("/", lambda _: HTMLResponse(PAGE, headers=own))])
    headers = await headers_of(gate_of(app), path="/")
    assert headers.get_list("reporting-endpoints") == ['app="/own"', 'cg="/_privacy/reports"']
    assert headers.get_list("content-security-policy")[0] == own["content-security-policy"]


async def test_what_is_no_page_names_no_endpoint(gate_of: GateOf) -> None:
    app = Starlette(routes=[Route("/", lambda _: Response("{}", media_type="application/json"))])
    headers = await headers_of(gate_of(app), path="/")
    assert "reporting-endpoints" not in headers


async def test_our_own_pages_keep_their_own_policy(gate: CookieGate) -> None:
    headers = await headers_of(gate, path="/_privacy")
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "reporting-endpoints" not in headers


@pytest.mark.parametrize(
    "rules", ['[gate]\nwall_mode = "report"', '[gate]\nmode = "observe"'], ids=["wall_mode", "observe"]
)
async def test_a_wall_that_only_watches(gate_of: GateOf, site: Starlette, rules: str) -> None:
    policy = sample_policy(("[usage]", f"{rules}\n\n[usage]"))
    headers = await headers_of(gate_of(site, policy=policy))
    assert "content-security-policy" not in headers
    assert headers["content-security-policy-report-only"].endswith("report-to cg")
    assert headers["reporting-endpoints"] == 'cg="/_privacy/reports"'


async def test_a_wall_that_is_off_reports_nothing(gate_of: GateOf, site: Starlette) -> None:
    headers = await headers_of(gate_of(site, policy=sample_policy(("[usage]", '[gate]\nwall = "off"\n\n[usage]'))))
    assert not [name for name in headers if "security-policy" in name or "reporting" in name]


async def test_a_watching_wall_needs_no_reload(gate_of: GateOf, site: Starlette) -> None:
    for mode, reload in (("enforce", True), ("report", False)):
        gate = gate_of(site, policy=sample_policy(("[usage]", f'[gate]\nwall_mode = "{mode}"\n\n[usage]')))
        async with client(gate) as visitor:
            headers = {"accept": "application/json", "sec-fetch-site": "same-origin"}
            answer = await visitor.post("/_privacy/choices", data={"choice": "accept"}, headers=headers)
            assert answer.json()["reload"] is reload


# -- into the store -------------------------------------------------------------------------------------------------


def rows(store: Store) -> list[tuple[int, str, str, str]]:
    assert store.flush()
    return [(it.times, it.layer, it.what, it.host or it.cookie) for it in store.blocked()]


async def test_pages_are_counted_once_a_minute(gate: CookieGate, clock: FrozenClock, store: Store) -> None:
    """The first page's at once; then not with every page, whatever is withheld."""
    script = "www.googletagmanager.com"
    async with client(gate) as visitor:
        await visitor.get("/plain")
        assert rows(store) == [(1, "markup", "script", script)]
        for _ in range(5):
            clock.move(seconds=10)
            await visitor.get("/plain")
        assert rows(store) == [(1, "markup", "script", script)]
        clock.move(seconds=10)
        await visitor.get("/plain")
        assert rows(store) == [(7, "markup", "script", script)]


async def test_what_is_counted_is_written_at_shutdown(gate: CookieGate, store: Store) -> None:
    async with client(gate) as visitor:
        await visitor.get("/plain")
        await visitor.get("/plain")
    await speak(gate, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [times for times, *_ in rows(store)] == [2]


async def test_names_of_cookies_are_the_apps_never_the_visitors(
    gate: CookieGate, clock: FrozenClock, store: Store, tmp_path: Path
) -> None:
    """The site sets ``theme`` and ``_ga``, which are denied; the visitor sends these and others."""
    name, value = consent_cookie(gate)
    sent = f"{name}={value}; jane-doe-1970=1; _ga_jane-doe=2; theme=3"
    async with client(gate) as visitor:
        await visitor.get("/", headers={"cookie": sent})
        clock.move(minutes=2)
        await visitor.get("/echo", headers={"cookie": sent})
    assert {cookie for _, _, what, cookie in rows(store) if what == "cookie"} == {"theme", "_ga"}
    store.close()
    assert find_bytes(tmp_path, "jane-doe") == []


async def test_a_store_that_is_full_stops_no_page(gate_of: GateOf, site: Starlette, store: Store) -> None:
    gate = gate_of(site)
    store.close()
    async with client(gate) as visitor:
        assert (await visitor.get("/plain")).status_code == 200


async def test_the_hour_is_that_of_utc(gate: CookieGate, clock: FrozenClock, store: Store, tmp_path: Path) -> None:
    clock.move(minutes=59)
    async with client(gate) as visitor:
        await visitor.get("/plain")
    assert rows(store)
    with closing(sqlite3.connect(tmp_path / "cookiegate.db")) as connection:
        ((hour,),) = connection.execute("SELECT hour FROM withheld")
    assert timedelta(microseconds=hour) == timedelta(seconds=clock().timestamp()) - timedelta(minutes=59)
