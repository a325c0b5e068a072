"""`CookieGate` in front of an app: what the app sees, what the browser gets, what is put down."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import ada_url
import httpx
import pytest
from http_samples import (
    FIREFOX,
    HOST,
    ORIGIN,
    PAGE,
    POLICY,
    TAG,
    Message,
    choose,
    client,
    http_scope,
    sample_policy,
    sample_site,
    set_cookies,
    speak,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from cookiegate import CookieGate
from cookiegate.endpoints.forms import MAX_FORM, local_target, parse_choice
from cookiegate.errors import PolicyError, StoreError
from cookiegate.middleware import _target
from cookiegate.policy import Policy
from cookiegate.store import Store, open_store
from cookiegate.testing import FrozenClock, consent_cookie, find_bytes, gated

GateOf = Callable[..., CookieGate]
LOADED = f' src="{TAG}"'
"""With its space: what was withheld stands in ``data-cg-src``."""


def accepting(gate: CookieGate, *purposes: str, secure: bool = True) -> tuple[bytes, bytes]:
    """The request header of a visitor who allowed these."""
    return b"cookie", "=".join(consent_cookie(gate, *purposes, secure=secure)).encode()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# The public interface -------------------------------------------------------------------------------------------------


async def test_the_defaults_are_files_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cookiegate.toml").write_text(POLICY)
    gate = CookieGate(sample_site())
    assert (await speak(gate, http_scope("/plain"))).messages[0]["status"] == 200
    gate.store.close()
    assert sorted(names(tmp_path)) == ["cookiegate.db", "cookiegate.toml"]


async def test_starlettes_way_of_adding_it(tmp_path: Path, policy: Policy, clock: FrozenClock) -> None:
    options: dict[str, Any] = {"policy": policy, "store": tmp_path / "x.db", "clock": clock}
    routes = [Route("/", lambda request: HTMLResponse(str(request.scope["cookiegate"].allows("analytics"))))]
    site = Starlette(routes=routes, middleware=[Middleware(CookieGate, **options)])
    async with client(site) as browser:
        assert (await browser.get("/")).text.startswith("False")
        await choose(browser, "accept")
        assert (await browser.get("/")).text.startswith("True")


@pytest.mark.parametrize(
    "keys", [[], [b""], ["short"], [b"k" * 15], [b"k" * 32, b"short"], "a long secret, but not a list of it"[:15]]
)
def test_weak_keys_are_refused(gate_of: GateOf, site: Starlette, keys: Any) -> None:
    with pytest.raises(PolicyError, match="16 bytes or more"):
        gate_of(site, secret_keys=keys)


def test_an_unknown_mode_is_refused(gate_of: GateOf, site: Starlette) -> None:
    with pytest.raises(PolicyError, match='write "enforce" or "observe"'):
        gate_of(site, mode="observer")


def test_a_store_that_cannot_be_is_refused(tmp_path: Path, policy: Policy, site: Starlette) -> None:
    with pytest.raises(StoreError, match="check that its directory exists"):
        CookieGate(site, policy=policy, store=tmp_path / "missing" / "x.db")
    with pytest.raises(PolicyError, match=r"missing\.toml"):
        CookieGate(site, policy=tmp_path / "missing.toml", store=tmp_path / "x.db")
    assert list(tmp_path.iterdir()) == []


async def test_given_keys_sign_and_can_be_rotated(gate_of: GateOf, site: Starlette) -> None:
    old, new = "o" * 32, b"n" * 64
    async with client(gate_of(site, secret_keys=[old])) as browser:
        await choose(browser, "accept")
        cookies = dict(browser.cookies)
    for keys, text in (([old, new], "granted"), ([new], "unknown"), (None, "unknown")):
        async with client(gate_of(site, secret_keys=keys)) as browser:
            browser.cookies.update(cookies)
            assert (await browser.get("/echo")).json()["reasons"]["analytics"] == text


async def test_the_kit_for_users_tests(tmp_path: Path) -> None:
    (tmp_path / "cookiegate.toml").write_text(POLICY)
    clock = FrozenClock()
    gate = gated(sample_site(), tmp_path / "cookiegate.toml", folder=tmp_path, clock=clock)
    async with client(gate) as browser:
        assert LOADED not in (await browser.get("/")).text
        browser.cookies.set(*consent_cookie(gate, "analytics"))
        assert LOADED in (await browser.get("/")).text
        clock.move(days=200)
        assert LOADED not in (await browser.get("/")).text
    gate.store.close()
    assert find_bytes(tmp_path, "firefox", "203.0.113.0") == [
        (tmp_path / "cookiegate.db", b"firefox"),
        (tmp_path / "cookiegate.db", b"203.0.113.0"),
    ]
    assert find_bytes(tmp_path, "203.0.113.77", FIREFOX) == []


# What the app sees ----------------------------------------------------------------------------------------------------


async def test_the_verdict_is_in_the_scope(gate: CookieGate, browser: httpx.AsyncClient) -> None:
    before = (await browser.get("/echo")).json()
    assert before["allowed"] == ["necessary"]
    assert before["reasons"]["analytics"] == "unknown"
    await choose(browser, "save", "analytics")
    after = (await browser.get("/echo")).json()
    assert after["allowed"] == ["analytics", "necessary"]
    assert after["reasons"]["marketing"] == "refused"


COOKIES = b'sid="a b"; theme=night; _ga=GA1.2; _ga_XYZ=GS1; mystery=1; csrftoken=x=y==; sid=second'


async def test_denied_cookies_are_hidden_and_expire(gate: CookieGate) -> None:
    spoken = await speak(gate, http_scope("/echo", headers=[(b"cookie", COOKIES)]))
    assert json.loads(spoken.body)["cookies"] == ['sid="a b"; csrftoken=x=y==; sid=second'], "byte by byte"
    expired = {value.partition(b"=")[0] for value in spoken.headers(b"set-cookie")}
    assert expired == {b"theme", b"_ga", b"_ga_XYZ"}, "nobody knows what an undeclared cookie is for: it is left alone"
    assert all(b"Max-Age=0" in value for value in spoken.headers(b"set-cookie"))


async def test_allowed_cookies_are_seen(gate: CookieGate) -> None:
    _, consent = accepting(gate, "analytics")
    spoken = await speak(gate, http_scope("/echo", headers=[(b"cookie", COOKIES), (b"cookie", consent)]))
    assert json.loads(spoken.body)["cookies"] == [
        'sid="a b"; _ga=GA1.2; _ga_XYZ=GS1; csrftoken=x=y==; sid=second; ' + consent.decode()
    ]
    assert {value.partition(b"=")[0] for value in spoken.headers(b"set-cookie")} == {b"theme"}


async def test_a_request_without_hidden_cookies_is_passed_as_it_is(gate: CookieGate) -> None:
    sent = [b" sid=1;csrftoken=2 ;", b"sid=3"]
    spoken = await speak(gate, http_scope("/echo", headers=[(b"cookie", value) for value in sent]))
    assert json.loads(spoken.body)["cookies"] == [value.decode() for value in sent]
    assert spoken.headers(b"set-cookie") == []


async def test_the_servers_own_scope_is_left_alone(gate: CookieGate) -> None:
    scope = http_scope("/echo", headers=[(b"cookie", b"_ga=1")], extensions={"http.response.push": {}, "x": {}})
    before = {**scope, "headers": list(scope["headers"]), "extensions": dict(scope["extensions"])}
    await speak(gate, scope)
    assert scope == before


async def test_ways_round_the_gate_are_not_offered(gate_of: GateOf) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope["extensions"])
        await HTMLResponse(PAGE)(scope, receive, send)

    offered: dict[str, Any] = {
        name: {} for name in ("http.response.push", "http.response.zerocopysend", "http.response.pathsend", "tls")
    }
    await speak(gate_of(app), http_scope(extensions=offered))
    assert set(seen) == {"http.response.pathsend", "tls"}


@pytest.mark.parametrize(
    ("cookie", "counted"),
    [
        ("{good}", True),
        ("{good}x", False),
        ("{bad}; __Host-cg_consent={good}", True),
        ("{good}; __Host-cg_consent={bad}", True),
        ("é", False),
        ("", False),
        ("A" * 5000, False),
        ('"{good}"', False),
    ],
)
async def test_a_bad_consent_cookie_is_no_consent(gate: CookieGate, cookie: str, counted: bool) -> None:
    name, good = consent_cookie(gate, "analytics")
    value = cookie.format(good=good, bad=good[:-2] + "AA")
    spoken = await speak(gate, http_scope("/echo", headers=[(b"cookie", f"{name}={value}".encode())]))
    assert ("analytics" in json.loads(spoken.body)["allowed"]) == counted


async def test_of_two_consent_cookies_the_newer_counts(gate: CookieGate, clock: FrozenClock) -> None:
    name, old = consent_cookie(gate, "analytics", at=clock.now - timedelta(days=2))
    _, new = consent_cookie(gate, at=clock.now - timedelta(days=1))
    for pair in ((old, new), (new, old)):
        cookies = "; ".join(f"{name}={value}" for value in pair).encode()
        spoken = await speak(gate, http_scope("/echo", headers=[(b"cookie", cookies)]))
        assert json.loads(spoken.body)["reasons"]["analytics"] == "refused"


async def test_a_consent_without_prefix_is_none_over_https(gate: CookieGate) -> None:
    cookie = accepting(gate, "analytics", secure=False)
    secure = await speak(gate, http_scope("/echo", headers=[cookie]))
    plain = await speak(gate, http_scope("/echo", headers=[cookie], scheme="http"))
    assert "analytics" not in json.loads(secure.body)["allowed"]
    assert "analytics" in json.loads(plain.body)["allowed"]


# What the browser gets ------------------------------------------------------------------------------------------------


async def test_cookies_of_the_response_follow_the_verdict(browser: httpx.AsyncClient) -> None:
    assert [value.partition("=")[0] for value in set_cookies(await browser.get("/"))] == ["sid"]
    await choose(browser, "accept")
    response = await browser.get("/")
    assert [value.partition("=")[0] for value in set_cookies(response)] == ["sid", "theme", "_ga"]
    assert LOADED in response.text


async def test_a_page_is_of_this_visitor_only(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/plain")
    assert {"private", "no-cache"} <= set(response.headers["cache-control"].split(", "))
    assert "Cookie" in response.headers["vary"]
    assert 'name="choice" value="accept"' in response.text
    assert f'value="{"/plain"}"' in response.text


async def test_the_first_byte_does_not_wait_for_the_last(gate: CookieGate) -> None:
    times: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def send(message: Message) -> None:
        if message.get("body"):
            times.append((bytes(message["body"])[-40:].decode(), loop.time() - start))

    async def receive() -> Message:
        await asyncio.sleep(10)
        return {"type": "http.disconnect"}

    await gate(http_scope("/stream", query_string=b"sleep=0.3"), receive, send)
    assert times[0][1] < 0.2
    assert times[-1][1] > 0.3
    assert "last" in times[-1][0]


async def test_background_tasks_run_and_are_no_part_of_the_page(
    gate_of: GateOf, store: Store, clock: FrozenClock
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(PAGE)(scope, receive, send)
        await asyncio.sleep(0.15)
        assert store.flush()
        seen.extend(store.usage())

    seen: list[Any] = []
    gate = gate_of(app)
    await speak(gate, http_scope(headers=[accepting(gate, "analytics"), (b"user-agent", FIREFOX.encode())]))
    assert len(seen) == 1, "the view is put down when the page is sent, not when the app is done"
    assert seen[0].duration_ms < 150


async def test_starlettes_background_tasks_run(gate: CookieGate, site: Starlette, browser: httpx.AsyncClient) -> None:
    await browser.get("/background")
    assert site.state.ran == ["ran"]


async def test_an_exception_before_the_response_reaches_the_server(gate: CookieGate) -> None:
    spoken = await speak(gate, http_scope("/early-failure"))
    assert isinstance(spoken.error, LookupError)
    assert spoken.messages[0]["status"] == 500


async def test_an_exception_in_the_middle_reaches_the_server(gate: CookieGate, store: Store) -> None:
    spoken = await speak(gate, http_scope("/late-failure"))
    assert isinstance(spoken.error, LookupError)
    assert all(message.get("more_body", True) for message in spoken.messages), "a broken page must not look whole"
    store.flush()
    assert store.sums().views == 0


async def test_an_event_stream_is_not_touched(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/events")
    assert response.text == "data: <script src='https://www.youtube.com/x.js'></script>\n\ndata: 2\n\n"
    assert "content-security-policy" not in response.headers


async def test_a_file_is_gated_however_it_is_sent(gate: CookieGate, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    ordinary = await speak(gate, http_scope("/file"))
    handed_over = await speak(gate, http_scope("/file", extensions={"http.response.pathsend": {}}))
    assert set(handed_over.kinds) == {"http.response.start", "http.response.body"}
    for spoken in (ordinary, handed_over):
        assert spoken.messages[0]["status"] == 200
        assert TAG.encode() in spoken.body
        assert LOADED.encode() not in spoken.body
        assert (
            int(spoken.headers(b"content-length")[0]) == len(spoken.body) if spoken.headers(b"content-length") else True
        )


async def test_validators_and_ranges_of_a_page_are_not_the_apps(gate: CookieGate, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    first = await speak(gate, http_scope("/file"))
    assert first.headers(b"etag") == first.headers(b"last-modified") == first.headers(b"accept-ranges") == []
    for conditional in (
        (b"if-modified-since", b"Sun, 22 Nov 2099 00:00:00 GMT"),
        (b"if-none-match", b"*"),
        (b"range", b"bytes=0-3"),
    ):
        spoken = await speak(gate, http_scope("/file", headers=[conditional]))
        assert spoken.messages[0]["status"] == 200, f"{conditional} was answered for the ungated page"
        assert spoken.body == first.body


async def test_head_does_not_promise_the_ungated_page(gate: CookieGate) -> None:
    spoken = await speak(gate, http_scope("/plain", method="HEAD"))
    assert spoken.messages[0]["status"] == 200
    assert spoken.headers(b"content-length") == [], "the length of the ungated page would be wrong"


@pytest.mark.parametrize("accept", [b"gzip", b"gzip, br", b"br", b"identity", b""])
async def test_compression_inside_the_gate(gate_of: GateOf, site: Starlette, accept: bytes) -> None:
    inside = GZipMiddleware(site, minimum_size=1)
    spoken = await speak(gate_of(inside), http_scope("/plain", headers=[(b"accept-encoding", accept)]))
    coded = spoken.headers(b"content-encoding") == [b"gzip"]
    assert coded == (b"gzip" in accept)
    body = gzip.decompress(spoken.body) if coded else spoken.body
    assert LOADED.encode() not in body
    assert b'value="reject"' in body


async def test_in_observe_mode_nothing_is_taken_away(
    gate_of: GateOf, site: Starlette, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cookiegate")
    async with client(gate_of(site, mode="observe")) as browser:
        browser.cookies.set("_ga", "old")
        response = await browser.get("/")
        assert LOADED in response.text
        assert [value.partition("=")[0] for value in set_cookies(response)] == ["sid", "theme", "_ga"]
        assert "_ga=old" in (await browser.get("/echo")).json()["cookies"][0]
    assert "googletagmanager.com" in caplog.text


# Mounting -------------------------------------------------------------------------------------------------------------


async def test_below_a_root_path_the_prefix_is_what_the_browser_sees(gate_of: GateOf) -> None:
    policy = sample_policy(("[usage]", '[gate]\nprefix = "/shop/_privacy"\n\n[usage]'))
    shop = Starlette(routes=[Mount("/shop", app=gate_of(sample_site(), policy=policy))])
    async with client(shop) as browser:
        page = await browser.get("/shop/plain")
        assert 'action="/shop/_privacy/choices"' in page.text
        assert 'value="/shop/plain"' in page.text
        answer = await browser.post("/shop/_privacy/choices", data={"choice": "accept", "return_to": "/shop/plain"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/shop/plain"
        assert LOADED in (await browser.get("/shop/plain")).text


async def test_a_servers_root_path(gate_of: GateOf, store: Store) -> None:
    policy = sample_policy(("[usage]", '[gate]\nprefix = "/shop/_privacy"\n\n[usage]'))
    gate = gate_of(sample_site(), policy=policy)
    page = await speak(gate, http_scope("/shop/people/jane", root_path="/shop"))
    assert b'value="/shop/people/jane"' in page.body
    centre = await speak(gate, http_scope("/shop/_privacy", root_path="/shop"))
    assert centre.messages[0]["status"] == 200
    store.flush()
    assert [page.name for page in store.sums().pages] == ["/shop/people/{name}"]


# Where to come back to ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw_path", "query", "target"),
    [
        (b"/", b"", "/"),
        (b"/a%20b/%C3%A9", b"q=%26&x=1", "/a%20b/%C3%A9?q=%26&x=1"),
        (b"/a", b"q=a\\b", "/a?q=a%5Cb"),  # browsers send a backslash in a query as it is
        (b"/caf\xc3\xa9", b"q=\xe9", "/caf%C3%A9?q=%E9"),
        (b"//other.example/x", b"", "/.//other.example/x"),
        (b"/x", b"y=1\r\nSet-Cookie:a", "/x?y=1%0D%0ASet-Cookie:a"),
        (b"/x?already=1", b"q=1", "/x?q=1"),
        (b"*", b"", "/"),
        (b"http://other.example/x", b"", "/"),
        (b"/x", b"q=" + b"a" * 5000, "/x"),
        (b"/" + b"a" * 5000, b"q=1", "/"),
        (b'/"<>', b'"<>', "/%22%3C%3E?%22%3C%3E"),
        (b"/a|b^{c}`", b"[1]|", "/a|b^{c}`?[1]|"),
    ],
)
def test_the_page_to_come_back_to(raw_path: bytes, query: bytes, target: str) -> None:
    assert _target(http_scope(raw_path=raw_path, query_string=query)) == target


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_every_page_leads_back_to_its_own_site(raw_path: bytes, query: bytes) -> None:
    target = _target(http_scope(raw_path=b"/" + raw_path, query_string=query))
    assert local_target(target) == target
    landed = ada_url.URL(target, base=f"{ORIGIN}/_privacy/choices")
    assert landed.host == HOST
    if b"%" not in raw_path + query and len(target) > 1:
        assert landed.pathname.startswith("//") == (b"/" + raw_path).startswith(b"//")


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_the_form_that_holds_it_is_never_too_large(path: int, query: int) -> None:
    target = _target(http_scope(raw_path=b"/" + b"|" * path, query_string=b"&" * query))
    body = str(httpx.QueryParams({"choice": "save", "return_to": target})).encode()
    assert len(body) < MAX_FORM
    assert parse_choice(body, sample_policy()).return_to == target


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["//evil.example/", "/x", "/%5C%5Cevil.example", "/.//x"]), query=st.sampled_from(["", "a\\b"])
)
async def test_a_choice_made_on_any_page_comes_back_to_it(gate: CookieGate, path: str, query: str) -> None:
    page = await speak(gate, http_scope(path, raw_path=path.encode(), query_string=query.encode()))
    field = page.body.partition(b'name="return_to" value="')[2].partition(b'"')[0].decode()
    async with client(gate) as browser:
        answer = await choose(browser, "accept", return_to=field)
        assert answer.status_code == 303
        landed = ada_url.URL(answer.headers["location"], base=f"{ORIGIN}/_privacy/choices")
        assert landed.host == HOST
        assert landed.pathname == path.replace("/.//", "//")


# Hosts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "recorded"),
    [
        (b"site.test", "site.test"),
        (b"SITE.test:8443", "site.test"),
        (b"site.test.", "site.test"),
        (b"[2001:DB8::1]:80", "2001:db8::1"),
        (b"site.test, evil.example", "invalid"),
        (b"jane@example.com", "invalid"),
        (b'"><script>', "invalid"),
        (b"caf\xe9.example", "invalid"),
        (b"a" * 300, "invalid"),
        (b"", "site.test"),
        (b":80", "invalid"),
        (b"[::1", "::1"),
        (b"[zz]", "zz"),
        (b"a:b:c", "a"),
        (b"999.999.999.999", "999.999.999.999"),
        (b"-", "-"),
    ],
)
async def test_the_host_is_one_or_invalid(gate: CookieGate, store: Store, host: bytes, recorded: str) -> None:
    spoken = await speak(gate, http_scope("/plain") | {"headers": [(b"host", host)]})
    assert spoken.messages[0]["status"] == 200
    assert b'"><script>' not in spoken.body
    assert b"jane@" not in spoken.body
    store.flush()
    assert [page.host for page in store.sums().pages] == [recorded]


async def test_a_socket_without_addresses(gate: CookieGate, store: Store) -> None:
    scope = http_scope("/plain", client=None, server=None) | {"headers": [accepting(gate, "analytics")]}
    assert (await speak(gate, scope)).messages[0]["status"] == 200
    store.flush()
    (row,) = store.usage()
    assert (row.host, row.ip) == ("localhost", None)


# What is put down -----------------------------------------------------------------------------------------------------


async def views(gate: CookieGate, path: str, *raw: tuple[bytes, bytes], consent: bool = True, **changes: Any) -> Any:
    """The page views recorded and counted for one request."""
    headers = [*raw, (b"user-agent", FIREFOX.encode()), *([accepting(gate, "analytics")] if consent else [])]
    await speak(gate, http_scope(path, headers=headers, **changes))
    assert gate.store.flush()
    return list(gate.store.usage()), gate.store.sums()


async def test_a_page_view_with_consent(gate: CookieGate) -> None:
    rows, sums = await views(gate, "/people/jane", (b"referer", b"https://search.example/?q=jane"))
    (row,) = rows
    assert (row.path, row.referrer, row.ip, row.browser) == (
        "/people/jane",
        "https://search.example",
        "203.0.113.0",
        "Firefox",
    )
    assert (row.visit_id is not None, row.position, row.status) == (True, 1, 200)
    assert (sums.views, sums.detailed, sums.undecided) == (1, 1, 0)
    assert [page.name for page in sums.pages] == ["/people/{name}"]


async def test_a_page_view_without_a_choice_is_a_number(gate: CookieGate) -> None:
    rows, sums = await views(gate, "/people/jane", consent=False)
    assert rows == []
    assert (sums.views, sums.detailed, sums.undecided) == (1, 0, 1)
    assert [page.name for page in sums.pages] == ["/people/{name}"]


@pytest.mark.parametrize(
    ("path", "raw", "changes"),
    [
        ("/echo", [], {}),
        ("/gone", [], {}),
        ("/plain", [], {"method": "HEAD"}),
        ("/plain", [], {"method": "POST"}),
        ("/plain", [(b"sec-fetch-dest", b"iframe")], {}),
        ("/plain", [(b"hx-request", b"true")], {}),
        ("/plain", [(b"sec-purpose", b"prefetch")], {}),
        ("/early-failure", [], {}),
        ("/_privacy", [], {}),
        ("/_privacy/choices", [], {}),
    ],
)
async def test_what_is_no_page_view(gate: CookieGate, path: str, raw: Any, changes: Any) -> None:
    rows, sums = await views(gate, path, *raw, **changes)
    assert (rows, sums.views) == ([], 0)


async def test_a_signal_ends_the_recording(gate: CookieGate) -> None:
    rows, sums = await views(gate, "/plain", (b"sec-gpc", b"1"))
    assert (rows, sums.views) == ([], 0)
    rows, sums = await views(gate, "/plain", (b"dnt", b"1"), consent=False)
    assert (rows, sums.views) == ([], 0)


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/people/jane", "/people/{name}"),
        ("/groups/friends/posts/7", "/groups/{group}/posts/{post}"),
        ("/groups/friends", "/{rest}"),
        ("/deep/er/path", "/{rest}"),
        ("/plain", "/plain"),
    ],
)
async def test_counters_hold_templates(gate: CookieGate, path: str, page: str) -> None:
    _, sums = await views(gate, path, consent=False)
    assert [counted.name for counted in sums.pages] == [page]


async def test_counters_of_an_app_that_names_no_route(gate_of: GateOf) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(PAGE)(scope, receive, send)

    _, sums = await views(gate_of(app), "/invite/jane@example.com", consent=False)
    assert [page.name for page in sums.pages] == ["/invite/:email"]


async def test_counters_of_an_app_mounted_whole(gate_of: GateOf) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(PAGE)(scope, receive, send)

    _, sums = await views(gate_of(Starlette(routes=[Mount("/files", app=app)])), "/files/a/b", consent=False)
    assert [page.name for page in sums.pages] == ["/files/{path}"]


async def test_an_outer_route_is_not_the_apps(gate_of: GateOf) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse(PAGE)(scope, receive, send)

    gate = gate_of(app)
    async with client(Starlette(routes=[Mount("/shop", app=gate)])) as browser:
        await browser.get("/shop/things")
    gate.store.flush()
    assert [page.name for page in gate.store.sums().pages] == ["/shop/things"]


async def test_the_country_and_address_come_through_a_trusted_proxy(gate: CookieGate) -> None:
    forwarded = ((b"x-forwarded-for", b"6.6.6.6, 198.51.100.9:4711"), (b"x-country", b"SE"))
    rows, _ = await views(gate, "/plain", *forwarded, client=("127.0.0.1", 1))
    assert (rows[0].ip, rows[0].country) == ("198.51.100.0", "SE")
    rows, _ = await views(gate, "/plain", *forwarded)
    assert (rows[1].ip, rows[1].country) == ("203.0.113.0", None)


async def test_https_ends_at_a_trusted_proxy(gate: CookieGate) -> None:
    headers = [(b"x-forwarded-proto", b"https"), accepting(gate, "analytics")]
    spoken = await speak(gate, http_scope("/echo", headers=headers, scheme="http", client=("127.0.0.1", 1)))
    assert "analytics" in json.loads(spoken.body)["allowed"]


# WebSockets -----------------------------------------------------------------------------------------------------------


def websocket_scope(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    scope = http_scope("/socket", headers=headers, scheme="wss", subprotocols=[])
    return {**{key: value for key, value in scope.items() if key != "method"}, "type": "websocket"}


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.http.response.start"])
async def test_a_websocket_sees_and_sets_only_what_is_allowed(gate_of: GateOf, kind: str) -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await receive()
        headers = [(b"set-cookie", b"_ga=1; Max-Age=60"), (b"set-cookie", b"sid=1"), (b"x-other", b"1")]
        await send({"type": kind, "headers": headers})
        await send({"type": "websocket.close"})

    gate = gate_of(app)
    cookies = (b"cookie", b"sid=1; _ga=2; mystery=3")
    spoken = await speak(gate, websocket_scope(cookies), {"type": "websocket.connect"})
    assert [value for key, value in seen["headers"] if key == b"cookie"] == [b"sid=1"]
    assert seen["cookiegate"].allowed == {"necessary"}
    assert spoken.messages[0]["headers"] == [(b"set-cookie", b"sid=1"), (b"x-other", b"1")]
    await speak(gate, websocket_scope(cookies, accepting(gate, "analytics")), {"type": "websocket.connect"})
    assert b"_ga=2" in next(value for key, value in seen["headers"] if key == b"cookie")


async def test_a_websockets_messages_pass(gate_of: GateOf) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"] + "!"})

    received = ({"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"})
    spoken = await speak(gate_of(app), websocket_scope(), *received)
    assert spoken.messages == [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "hello!"}]


# Lifespan -------------------------------------------------------------------------------------------------------------

LIFESPAN = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
EVENTS = ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An app that answers pages and ignores all else."""
    if scope["type"] == "http":
        await HTMLResponse(PAGE)(scope, receive, send)


async def refusing(scope: Any, receive: Any, send: Any) -> None:
    """An app that, as Django's, raises for what it does not know."""
    if scope["type"] != "http":
        raise ValueError("only HTTP, not lifespan")
    await HTMLResponse(PAGE)(scope, receive, send)


async def deaf(scope: Any, receive: Any, send: Any) -> None:
    """An app that listens and then gives up."""
    if scope["type"] == "http":
        await HTMLResponse(PAGE)(scope, receive, send)
    else:
        await receive()
        await receive()


def visiting(gate: CookieGate) -> Callable[[], Awaitable[Message]]:
    """What a server tells at start and end, with one visitor between the two."""
    waiting = list(EVENTS)

    async def receive() -> Message:
        if len(waiting) == 1:
            await speak(gate, http_scope("/plain"))
        return waiting.pop(0)

    return receive


@pytest.mark.parametrize("app", [sample_site(), silent, refusing, deaf])
async def test_the_store_is_complete_at_the_end_and_open_at_the_next_start(
    app: Any, tmp_path: Path, policy: Policy, clock: FrozenClock
) -> None:
    gate = CookieGate(app, policy=policy, store=tmp_path / "x.db", clock=clock)
    for _ in range(2):
        said: list[Message] = []

        async def send(message: Message, said: list[Message] = said) -> None:
            said.append(message)

        await gate({**LIFESPAN}, visiting(gate), send)
        assert [message["type"] for message in said] == COMPLETE
        assert names(tmp_path) == ["x.db"], "closed: no journal is left"
    store = open_store(tmp_path / "x.db", clock=clock)
    assert store.sums().views == 2
    store.close()


async def test_a_store_given_open_stays_open(gate: CookieGate, store: Store) -> None:
    await speak(gate, http_scope("/plain"))
    spoken = await speak(gate, {**LIFESPAN}, *EVENTS)
    assert spoken.kinds == COMPLETE
    assert store.sums().views == 1, "written"
    await speak(gate, http_scope("/plain"))
    assert store.flush()
    assert store.sums().views == 2


async def test_a_failed_start_is_the_apps_to_tell(gate_of: GateOf) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if not app.routes:
            raise LookupError("no database")
        yield

    spoken = await speak(gate_of(Starlette(lifespan=lifespan)), {**LIFESPAN}, *EVENTS)
    assert spoken.kinds == ["lifespan.startup.failed"]
    assert isinstance(spoken.error, LookupError)


async def test_lifespan_state_is_the_servers(gate_of: GateOf) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["pool"] = "here"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    scope: dict[str, Any] = {**LIFESPAN, "state": {}}
    await speak(gate_of(app), scope, *EVENTS)
    assert scope["state"] == {"pool": "here"}


async def test_what_the_gate_does_not_know_passes(gate_of: GateOf) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await speak(gate_of(app), {"type": "something.new"})
    assert seen == [{"type": "something.new"}]


# Visitors among each other --------------------------------------------------------------------------------------------


async def test_visitors_who_take_turns_get_their_own_pages(gate_of: GateOf, site: Starlette) -> None:
    """Whatever is remembered between requests: each answer is the one that a gate which remembers nothing gives."""
    used = gate_of(site)
    visitors: list[list[tuple[bytes, bytes]]] = [
        [],
        [(b"accept-language", b"de")],
        [(b"sec-gpc", b"1")],
        [(b"sec-fetch-dest", b"iframe")],
        [(b"accept-encoding", b"gzip")],
        [accepting(used)],
        [accepting(used, "analytics")],
        [accepting(used, "analytics"), (b"sec-gpc", b"1")],
        [accepting(used, "analytics", "marketing"), (b"cookie", b"_ga=1; theme=2")],
        [(b"cookie", b"_ga=1; theme=2")],
    ]
    requests = [
        (path, query, raw) for path in ("/plain", "/people/jane") for query in (b"", b"q=1") for raw in visitors
    ]
    fresh = {}
    for number, (path, query, raw) in enumerate(requests):
        spoken = await speak(gate_of(site), http_scope(path, query_string=query, headers=raw))
        fresh[number] = spoken.messages
    for number in random.Random(1).choices(range(len(requests)), k=200):
        path, query, raw = requests[number]
        spoken = await speak(used, http_scope(path, query_string=query, headers=raw))
        assert without_compression(spoken.messages) == without_compression(fresh[number])


def without_compression(messages: list[Message]) -> list[Any]:
    """The messages with their bodies as they read: how they are packed may differ."""
    start, *bodies = messages
    body = b"".join(message["body"] for message in bodies)
    headers = sorted(pair for pair in start["headers"] if pair[0] != b"content-length")
    coded = (b"content-encoding", b"gzip") in headers
    return [start["status"], headers, gzip.decompress(body) if coded else body]
