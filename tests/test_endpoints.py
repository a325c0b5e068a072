"""The visitor's pages and choices: every way to choose, and every way in which a form can be wrong."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import ada_url
import httpx
import pytest
from http_samples import (
    CHOOSABLE,
    HOST,
    ORIGIN,
    TAG,
    choose,
    client,
    http_scope,
    sample_policy,
    sample_site,
    set_cookies,
    speak,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cookiegate import CookieGate, Policy
from cookiegate.cookies import parse_set_cookie
from cookiegate.endpoints.forms import MAX_FORM, check_same_origin, local_target, parse_choice
from cookiegate.errors import FormError
from cookiegate.exports import export_consents
from cookiegate.gate import expire_cookies
from cookiegate.record import ConsentRecord
from cookiegate.store import Store
from cookiegate.store import writer as writers
from cookiegate.store.sqlite import SQLite
from cookiegate.testing import FrozenClock, consent_cookie

GateOf = Callable[..., CookieGate]
CHOICES = "/_privacy/choices"
NOON = FrozenClock().now
EVIL_TARGETS = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    " /",
    "/ evil",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/x\r\nSet-Cookie: a=b",
    "/x\x00",
    "/x\x7f",
    "/caf\xe9",
    "/\u2028",
    "/a\\..\\..\\evil",
]


def records(store: Store) -> list[ConsentRecord]:
    return list(store.consents())


async def allowed(browser: httpx.AsyncClient) -> set[str]:
    """What the app is told this browser's visitor allows, less what is necessary."""
    return set((await browser.get("/echo")).json()["allowed"]) - {"necessary"}


# Choosing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scripted", [False, True])
@pytest.mark.parametrize(
    ("choice", "purposes", "granted"),
    [
        ("accept", (), set(CHOOSABLE)),
        ("accept", ("analytics",), set(CHOOSABLE)),
        ("reject", (), set()),
        ("reject", CHOOSABLE, set()),
        ("save", (), set()),
        ("save", ("analytics",), {"analytics"}),
        ("save", ("analytics", "analytics", "marketing"), {"analytics", "marketing"}),
        ("allow", ("marketing",), {"marketing"}),
        ("allow", (), set()),
    ],
)
async def test_choosing(
    browser: httpx.AsyncClient, store: Store, *, scripted: bool, choice: str, purposes: Any, granted: set[str]
) -> None:
    answer = await choose(browser, choice, *purposes, json=scripted, return_to="/plain?a=1")
    if scripted:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()["allowed"]) == granted
    else:
        assert answer.status_code == 303
        assert answer.headers["location"] == "/plain?a=1"
        assert answer.content == b""
    assert answer.headers["cache-control"] == "private, no-store"
    assert await allowed(browser) == granted
    (record,) = records(store)
    assert {purpose for purpose, answer in record.choices.items() if answer} == granted
    assert record.method == choice
    assert record.source == ("script" if scripted else "form")


async def test_the_evidence(browser: httpx.AsyncClient, store: Store, gate: CookieGate, clock: FrozenClock) -> None:
    clock.now += timedelta(microseconds=123456)
    form = {"choice": "save", "purpose": "analytics", "return_to": "/invite/jane%40example.com?email=x"}
    headers = {"accept-language": "de-AT", "sec-gpc": "1", "sec-fetch-site": "same-origin"}
    await browser.post(CHOICES, data=form, headers=headers)
    (record,) = records(store)
    layer = gate._assets.layer("de")
    assert record.at == clock.now
    assert record.valid_until == datetime.fromisoformat("2027-05-22T12:00:00+00:00")
    assert record.choices == {"preferences": False, "analytics": True, "marketing": False}
    assert (record.policy_version, record.banner_hash, record.locale) == ("2026-11-21", layer.text_hash, "de")
    assert (record.host, record.path) == (HOST, "/invite/:email")
    assert (record.gpc, record.dnt, record.country, record.profile) == (True, False, "", "auto")
    assert record.record_id != record.consent_id


async def test_an_encoded_address_is_masked_in_the_evidence(browser: httpx.AsyncClient, store: Store) -> None:
    await choose(browser, "reject", return_to="/invite/%6aane%2540example.com")
    assert records(store)[0].path == "/invite/:email"


async def test_the_consent_cookie(browser: httpx.AsyncClient) -> None:
    (cookie,) = set_cookies(await choose(browser, "reject"))
    value = re.fullmatch(r"__Host-cg_consent=[\w-]{67}; Path=/; Max-Age=(\d+); HttpOnly; SameSite=Lax; Secure", cookie)
    assert value is not None, cookie
    assert int(value[1]) == timedelta(days=181).total_seconds(), "six months from 22 November"


async def test_the_consent_cookie_without_tls(gate: CookieGate) -> None:
    async with client(gate, origin="http://site.test") as browser:
        (cookie,) = set_cookies(await choose(browser, "accept"))
        assert cookie.startswith("cg_consent=")
        assert "Secure" not in cookie
        assert await allowed(browser) == set(CHOOSABLE)


def exported(store: Store, kind: Literal["csv", "jsonl"]) -> str:
    with io.BytesIO() as out:
        export_consents(store, out, format=kind)
        return out.getvalue().decode()


async def test_the_export_is_what_was_chosen_one_for_one(gate: CookieGate, store: Store, clock: FrozenClock) -> None:
    made = []
    for number, (choice, purposes) in enumerate(
        [("accept", ()), ("reject", ()), ("save", ("analytics",)), ("save", ()), ("allow", ("marketing",))] * 3
    ):
        clock.move(seconds=1)
        async with client(gate) as browser:
            assert (await choose(browser, choice, *purposes, json=bool(number % 2))).status_code in {200, 303}
            made.append((clock.now, choice, await allowed(browser)))
    lines = [json.loads(line) for line in exported(store, "jsonl").splitlines()]
    rows = list(csv.DictReader(io.StringIO(exported(store, "csv"), newline="")))
    seen = [
        (datetime.fromisoformat(line["at"]), line["method"], {key for key, on in line["choices"].items() if on})
        for line in lines
    ]
    assert seen == made
    assert [set(row["granted"].split()) for row in rows] == [granted for *_, granted in made]
    assert len({line["record_id"] for line in lines}) == len({line["consent_id"] for line in lines}) == len(made)


async def test_one_visitor_keeps_one_id_until_the_choice_has_ended(
    browser: httpx.AsyncClient, store: Store, gate: CookieGate, clock: FrozenClock
) -> None:
    await choose(browser, "accept")
    clock.move(days=30)
    await choose(browser, "reject")
    first, second = records(store)
    assert first.consent_id == second.consent_id, "the withdrawal has to be told to belong to the consent"
    name, value = consent_cookie(gate, "analytics", at=clock.now - timedelta(days=365))
    async with client(gate) as other:
        other.cookies.set(name, value)
        await choose(other, "accept")
        await choose(other, "reject")
    third, fourth = records(store)[2:]
    assert third.consent_id == fourth.consent_id != first.consent_id


async def test_allowing_one_embed_answers_only_for_it(browser: httpx.AsyncClient, store: Store) -> None:
    await choose(browser, "allow", "marketing")
    echoed = (await browser.get("/echo")).json()
    assert echoed["reasons"] == {
        "necessary": "necessary",
        "preferences": "changed",
        "analytics": "changed",
        "marketing": "granted",
    }
    assert records(store)[0].choices == {"marketing": True}
    assert 'value="accept"' in (await browser.get("/plain")).text, "the rest is still to be asked"
    await choose(browser, "save", "analytics")
    await choose(browser, "allow", "marketing")
    assert records(store)[2].choices == {"preferences": False, "analytics": True, "marketing": True}


async def test_allowing_one_embed_lifts_no_objection(browser: httpx.AsyncClient, store: Store) -> None:
    await choose(browser, "save", "analytics")
    browser.headers["sec-gpc"] = "1"
    assert await allowed(browser) == set()
    await choose(browser, "allow", "marketing")
    assert await allowed(browser) == {"marketing"}
    assert records(store)[-1].choices == {"preferences": False, "analytics": False, "marketing": True}
    del browser.headers["sec-gpc"]
    assert await allowed(browser) == {"marketing"}


async def test_a_choice_made_under_a_signal_holds_under_it(browser: httpx.AsyncClient) -> None:
    browser.headers["sec-gpc"] = "1"
    await choose(browser, "accept")
    assert await allowed(browser) == set(CHOOSABLE)
    browser.headers["dnt"] = "1"
    assert await allowed(browser) == set()


async def test_nothing_but_the_form_grants(browser: httpx.AsyncClient, store: Store) -> None:
    for path in ("/", "/plain", "/_privacy", "/_privacy?saved=1", f"{CHOICES}?choice=accept", "/_privacy/details"):
        for method in ("GET", "HEAD"):
            await browser.request(method, path, params={"choice": "accept"})
    for _ in range(5):
        await browser.get("/stream")
    assert await allowed(browser) == set()
    assert records(store) == []


async def test_the_present_choice_can_be_asked(browser: httpx.AsyncClient) -> None:
    assert (await browser.get(CHOICES)).json() == {"allowed": [], "undecided": True}
    await choose(browser, "save", "analytics")
    answer = await browser.get(CHOICES)
    assert answer.json() == {"allowed": ["analytics"], "undecided": False}
    assert "no-store" in answer.headers["cache-control"]


# Withdrawal -----------------------------------------------------------------------------------------------------------


async def test_withdrawal_ends_the_cookies_the_browser_holds(browser: httpx.AsyncClient) -> None:
    await choose(browser, "accept")
    await browser.get("/")
    browser.cookies.set("_ga_ABC", "1", domain=".site.test", path="/")
    browser.cookies.set("mystery", "1", domain=HOST)
    assert {"sid", "theme", "_ga", "_ga_ABC", "mystery"} <= set(browser.cookies)
    answer = await choose(browser, "reject", return_to="/shop/cart")
    assert set(browser.cookies) == {"__Host-cg_consent", "sid", "mystery"}
    expired = set_cookies(answer, "_ga")
    assert any("Domain=site.test" in value for value in expired)
    assert any("Domain" not in value for value in expired)
    assert any("Path=/shop" in value for value in expired)
    assert all("Max-Age=0" in value for value in expired)
    page = await browser.get("/")
    assert f' src="{TAG}"' not in page.text
    assert await allowed(browser) == set()


async def test_a_cookie_of_a_path_ends_when_it_is_next_seen(gate: CookieGate) -> None:
    refused = "=".join(consent_cookie(gate))
    scope = http_scope("/shop/cart", headers=[(b"cookie", f"_ga=1; {refused}".encode())])
    spoken = await speak(gate, scope)
    assert any(b"_ga=;" in value and b"Path=/shop;" in value for value in spoken.headers(b"set-cookie"))


async def test_a_withdrawal_fits_through_a_proxy(gate: CookieGate) -> None:
    """nginx, as it comes, answers 502 where a header is larger than 4 kB."""
    cookies = "; ".join(f"_ga_{number:010}=1" for number in range(40))
    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"cookie", cookies.encode())]
    body = {"type": "http.request", "body": b"choice=reject&return_to=/shop/women/shoes/red/42"}
    for host in (b"www.deep.down.site.test", b"site.test"):
        scope = http_scope(CHOICES, method="POST", headers=headers)
        scope["headers"][0] = (b"host", host)
        spoken = await speak(gate, scope, body)
        assert sum(len(key) + len(value) + 4 for key, value in spoken.messages[0]["headers"]) < 4_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["_ga", "_gid", "_fbp", "_uetsid", "_clck", "vuid", "IDE", "li_gc"]),
            st.sampled_from(["/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c"]),
            st.sampled_from([None, "www.site.test", "site.test"]),
        ),
        min_size=1,
        max_size=20,
        unique=True,
    )
)
@settings(max_examples=40)
def test_every_cookie_ends_after_a_few_answers(held: list[tuple[str, str, str | None]]) -> None:
    """Whatever path and domain a cookie was set with: each answer ends some, and the browser sends the rest again."""
    left = set(held)
    for turn in range(300):  # far more than it takes: that it ends is what counts
        names = sorted({name for name, _, _ in left})
        raw = expire_cookies(names, host="www.site.test", path="/a/b/c", secure=True, turn=turn)
        sent = [parse_set_cookie(value, now=NOON) for _, value in raw]
        assert len(sent) <= 24
        left -= {(cookie.name, cookie.path, cookie.domain) for cookie in sent if cookie is not None}
        if not left:
            return
    raise AssertionError(f"never ended: {left}")


async def test_changing_ones_mind_for_one_purpose(browser: httpx.AsyncClient, store: Store) -> None:
    await choose(browser, "accept")
    await browser.get("/")
    answer = await choose(browser, "save", "preferences", "marketing", json=True)
    assert answer.json()["reload"] is True
    assert "theme" in browser.cookies
    assert "_ga" not in browser.cookies
    assert [sorted(record.choices.values()) for record in records(store)] == [[True] * 3, [False, True, True]]


# What the script is told ----------------------------------------------------------------------------------------------


async def test_the_script_is_told_what_to_clear(browser: httpx.AsyncClient) -> None:
    refused = (await choose(browser, "reject", json=True)).json()
    assert ["local", "draft-*"] in refused["clear"]
    accepted = (await choose(browser, "accept", json=True)).json()
    assert ["local", "draft-*"] not in accepted["clear"]


@pytest.mark.parametrize(
    ("wall", "mode", "reloads"),
    [
        # (nothing → preferences), (nothing → analytics), (analytics → nothing)
        ("verdict", "enforce", (False, True, True)),
        ("declared", "enforce", (False, False, True)),
        ("off", "enforce", (False, False, True)),
        ("verdict", "observe", (False, False, True)),
    ],
)
async def test_a_page_is_loaded_anew_only_where_its_wall_asks_for_it(
    gate_of: GateOf, wall: str, mode: str, reloads: tuple[bool, ...]
) -> None:
    policy = sample_policy(("[usage]", f'[gate]\nwall = "{wall}"\n\n[usage]'))
    gate = gate_of(sample_site(), policy=policy, mode=mode)
    answers = []
    async with client(gate) as browser:
        for purpose in ("preferences", "analytics"):
            answers.append((await choose(browser, "save", purpose, json=True)).json()["reload"])
            if purpose == "preferences":
                browser.cookies.clear()
        answers.append((await choose(browser, "reject", json=True)).json()["reload"])
    assert tuple(answers) == reloads


# Forms that are wrong -------------------------------------------------------------------------------------------------


async def refused(browser: httpx.AsyncClient, store: Store, status: int, says: str, **request: Any) -> None:
    """The request gets the status and the words, grants nothing and saves nothing."""
    answer = await browser.post(CHOICES, **request)
    assert answer.status_code == status
    assert says in answer.text
    assert set_cookies(answer) == []
    assert "location" not in answer.headers
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert records(store) == []
    assert await allowed(browser) == set()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "purpose=analytics",
        "choice=",
        "choice=yes",
        "choice=Accept",
        "choice=accept&choice=accept",
        "choice=reject&choice=accept",
        "choice[]=accept",
        "choice=accept;x",
    ],
)
async def test_no_choice_or_several(browser: httpx.AsyncClient, store: Store, body: str) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    await refused(browser, store, 400, "exactly one choice", content=body, headers=form)


@pytest.mark.parametrize("purposes", [["statistics"], ["analytics", "x"], ["necessary"], [""], ["<script>"], ["é"]])
async def test_unknown_purposes(browser: httpx.AsyncClient, store: Store, purposes: list[str]) -> None:
    form = {"choice": "save", "purpose": purposes, "return_to": "/"}
    await refused(browser, store, 400, "preferences, analytics, marketing", data=form)


@pytest.mark.parametrize("target", EVIL_TARGETS)
async def test_open_redirects(browser: httpx.AsyncClient, store: Store, target: str) -> None:
    form = {"choice": "accept", "return_to": target}
    await refused(browser, store, 400, "not one of this site", data=form)


async def test_of_several_targets_each_is_checked_that_counts(browser: httpx.AsyncClient, store: Store) -> None:
    body = "choice=accept&return_to=/safe&return_to=//evil.example"
    form = {"content-type": "application/x-www-form-urlencoded"}
    await refused(browser, store, 400, "not one of this site", content=body, headers=form)


async def test_without_a_target_the_choice_leads_home(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(CHOICES, data={"choice": "reject"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("target", ["/%0d%0aSet-Cookie:a=b", "/x?next=//evil.example", "/.//x", "/x/../../y", "/@evil"])
async def test_odd_targets_that_stay_here(browser: httpx.AsyncClient, target: str) -> None:
    answer = await choose(browser, "accept", return_to=target)
    assert answer.headers["location"] == target
    assert httpx.URL(f"{ORIGIN}/").join(answer.headers["location"]).host == HOST
    assert [value.partition("=")[0] for value in set_cookies(answer)] == ["__Host-cg_consent"]


@given(st.text(max_size=60) | st.sampled_from(EVIL_TARGETS) | st.from_regex(r"/[/\\.@:a-z?#%\s]{0,12}", fullmatch=True))
def test_no_target_leads_elsewhere(target: str) -> None:
    try:
        accepted = local_target(target)
    except FormError:
        return
    assert accepted == target
    assert accepted.isascii()
    assert accepted.isprintable()
    for base in (f"{ORIGIN}/_privacy/choices", "http://site.test/a/b/c"):
        assert ada_url.URL(accepted, base=base).hostname == HOST


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", "", "application/x-www-form"]
)
async def test_wrong_content_types(browser: httpx.AsyncClient, store: Store, content_type: str) -> None:
    headers = {"content-type": content_type}
    await refused(browser, store, 415, "x-www-form-urlencoded", content='{"choice":"accept"}', headers=headers)


async def test_a_content_type_with_parameters(browser: httpx.AsyncClient) -> None:
    headers = {"content-type": "Application/X-WWW-Form-Urlencoded ; charset=UTF-8"}
    assert (await browser.post(CHOICES, content="choice=accept", headers=headers)).status_code == 303


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"choice=accept&purpose=%ff",
        b"choice=accept&&",
        b"choice",
        b"choice=accept&" + b"&".join(b"f%d=1" % number for number in range(250)),
        "choice=accept&return_to=/é".encode(),
    ],
)
async def test_forms_that_cannot_be_read(browser: httpx.AsyncClient, store: Store, body: bytes) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    await refused(browser, store, 400, "cannot be read", content=body, headers=form)


@pytest.mark.parametrize("size", [MAX_FORM + 1, 10_000_000])
async def test_forms_that_are_too_large(browser: httpx.AsyncClient, store: Store, size: int) -> None:
    body = b"choice=accept&return_to=/" + b"a" * size
    form = {"content-type": "application/x-www-form-urlencoded"}
    await refused(browser, store, 413, "less than 16384 bytes", content=body, headers=form)


async def test_a_form_that_comes_in_pieces(gate: CookieGate, store: Store) -> None:
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    pieces = [{"type": "http.request", "body": bytes([byte]), "more_body": True} for byte in b"choice=accept"]
    scope = http_scope(CHOICES, method="POST", headers=headers)
    spoken = await speak(gate, scope, *pieces, {"type": "http.request", "body": b"", "more_body": False})
    assert spoken.messages[0]["status"] == 303
    gone = await speak(gate, scope, *pieces, {"type": "http.disconnect"})
    assert gone.messages[0]["status"] == 400
    assert len(records(store)) == 1, "half a form is no choice"


@given(st.binary(max_size=300))
@example(b"choice=accept&purpose=analytics")
@example(b"choice=save&purpose=%00")
def test_whatever_is_sent_is_a_choice_or_an_error(body: bytes) -> None:
    with suppress(FormError):
        form = parse_choice(body, POLICY)
        assert form.purposes <= set(CHOOSABLE)
        assert local_target(form.return_to)


POLICY = sample_policy()


# Where a form comes from ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({}, True),  # no browser sends neither, so that nobody's cookies ride on it
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": ""}, False),
        ({"sec-fetch-site": "cross-site", "origin": ORIGIN}, False),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),  # a page with Referrer-Policy: no-referrer
        ({"origin": ORIGIN}, True),
        ({"origin": "https://SITE.test"}, True),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "https://site.test.evil.example"}, False),
        ({"origin": "https://site.test:8443"}, False),
        ({"origin": "https://evil.example@site.test"}, False),
        ({"origin": "https://site.test@evil.example"}, False),
        ({"origin": "https://[bad"}, False),
        ({"origin": "site.test"}, False),
        ({"origin": "https://evil.example", "host": "evil.example"}, True),  # then it is the site that was asked for
        ({"origin": "https://evil.example", "x-forwarded-host": "evil.example"}, False),
        ({"origin": "https://evil.example", "forwarded": "host=evil.example"}, False),
    ],
)
async def test_choices_sent_by_other_sites_do_not_count(
    browser: httpx.AsyncClient, store: Store, headers: dict[str, str], accepted: bool
) -> None:
    answer = await browser.post(CHOICES, data={"choice": "accept"}, headers=headers)
    assert (answer.status_code, len(records(store))) == ((303, 1) if accepted else (403, 0))
    assert ("another site" in answer.text) != accepted
    assert bool(set_cookies(answer)) == accepted


@given(st.binary(max_size=80))
@example(b"http://[")
@example(b"https://\xff")
def test_no_origin_raises_anything_else(origin: bytes) -> None:
    with suppress(FormError):
        check_same_origin([(b"origin", origin)], HOST)
        assert HOST.encode() in origin.lower()


async def test_tricks_with_headers_change_nothing(browser: httpx.AsyncClient) -> None:
    headers = {
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "http",
        "x-forwarded-prefix": "/evil",
        "x-original-url": "/evil",
        "x-rewrite-url": "/evil",
        "x-http-method-override": "GET",
        "forwarded": "host=evil.example;proto=http",
        "referer": "https://evil.example/",
    }
    answer = await browser.post(CHOICES, data={"choice": "accept", "return_to": "/x"}, headers=headers)
    assert answer.headers["location"] == "/x"
    assert "; Secure" in set_cookies(answer)[0]
    page = await browser.get("/plain", headers=headers)
    assert "evil" not in page.text + str(page.headers)


@pytest.mark.parametrize("host", ["evil.example", 'x"><script>', "site.test\\@evil", "a b"])
async def test_a_made_up_host_is_not_repeated(gate: CookieGate, host: str) -> None:
    form = b"choice=accept&return_to=/x"
    scope = http_scope(CHOICES, method="POST")
    scope["headers"] = [(b"host", host.encode()), (b"content-type", b"application/x-www-form-urlencoded")]
    spoken = await speak(gate, scope, {"type": "http.request", "body": form})
    assert spoken.headers(b"location") == [b"/x"]
    assert not any(b"Domain" in value or b"evil" in value for value in spoken.headers(b"set-cookie"))
    assert b"\r" not in repr(spoken.messages).encode()


# Methods, pages and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_wrong_methods(browser: httpx.AsyncClient, store: Store, method: str) -> None:
    answer = await browser.request(method, CHOICES, data={"choice": "accept"})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert (await browser.request(method, "/_privacy")).headers["allow"] == "GET, HEAD"
    assert records(store) == []


async def test_posting_to_a_page(browser: httpx.AsyncClient, store: Store) -> None:
    answer = await browser.post("/_privacy", data={"choice": "accept"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert records(store) == []


PAGES = ["/_privacy", "/_privacy/", "/_privacy/details", "/_privacy/notice", "/_privacy/missing", CHOICES]


@pytest.mark.parametrize("path", PAGES)
async def test_head_is_get_without_the_body(browser: httpx.AsyncClient, path: str) -> None:
    got, head = await browser.get(path), await browser.head(path)
    assert head.status_code == got.status_code
    assert head.headers == got.headers
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(got.content) > 0


@pytest.mark.parametrize(
    "path", ["/_privacy/missing", "/_privacy/../etc/passwd", "/_privacy/choices/x", "/_privacy//x"]
)
async def test_unknown_paths_below_the_prefix(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.request("GET", f"{ORIGIN}{path.replace('..', '%2E%2E')}")
    assert answer.status_code == 404
    assert "no such page" in answer.text


@pytest.mark.parametrize("path", ["/_privacyx", "/x/_privacy", "/_PRIVACY"])
async def test_paths_that_are_the_sites(browser: httpx.AsyncClient, path: str) -> None:
    assert "Hello" in (await browser.get(path)).text


@pytest.mark.parametrize("path", PAGES)
async def test_the_pages_are_kept_by_nobody_and_framed_by_no_stranger(browser: httpx.AsyncClient, path: str) -> None:
    headers = (await browser.get(path)).headers
    assert headers["cache-control"] == "private, no-store"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-robots-tag"] == "noindex"


async def test_the_centre_leads_back_here_only(browser: httpx.AsyncClient) -> None:
    for target in EVIL_TARGETS:
        text = (await browser.get("/_privacy", params={"return_to": target})).text
        assert "evil" not in text
        assert 'name="return_to" value="/' in text
    centre = (await browser.get("/_privacy", params={"return_to": "/cart?x=1"})).text
    assert 'href="/cart?x=1"' in centre
    assert 'value="/_privacy?return_to=/cart%3Fx%3D1"' in centre
    assert (await browser.get("/_privacy?return_to=%ff%00&return_to=//evil&%")).status_code == 200


async def test_a_choice_in_the_centre_comes_back_to_it_and_is_confirmed(browser: httpx.AsyncClient) -> None:
    answer = await choose(browser, "save", "analytics", return_to="/_privacy?return_to=/cart")
    assert answer.headers["location"] == "/_privacy?saved=1&return_to=/cart"
    before, after = await browser.get("/_privacy"), await browser.get(answer.headers["location"])
    assert after.status_code == 200
    assert len(after.text) > len(before.text)
    again = await choose(browser, "reject", return_to=answer.headers["location"])
    assert again.headers["location"].count("saved=1") == 1


@pytest.fixture
async def files(browser: httpx.AsyncClient) -> list[str]:
    return sorted(set(re.findall(r'(?:href|src)="(/_privacy/files/[^"]+)"', (await browser.get("/plain")).text)))


async def test_static_files(browser: httpx.AsyncClient, files: list[str]) -> None:
    assert {Path(path).suffix for path in files} == {".css", ".js"}
    for path in files:
        plain = await browser.get(path, headers={"accept-encoding": "identity"})
        assert plain.status_code == 200
        assert "immutable" in plain.headers["cache-control"]
        assert plain.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in plain.headers
        packed = await speak(client_app(browser), http_scope(path, headers=[(b"accept-encoding", b"br, gzip")]))
        assert packed.headers(b"content-encoding") == [b"gzip"]
        assert gzip.decompress(packed.body) == plain.content
        assert int(packed.headers(b"content-length")[0]) == len(packed.body)
        never = await browser.get(path, headers={"accept-encoding": "gzip;q=0"})
        assert "content-encoding" not in never.headers
        head = await browser.head(path, headers={"accept-encoding": "identity"})
        assert (head.content, head.headers["content-length"]) == (b"", plain.headers["content-length"])


def client_app(browser: httpx.AsyncClient) -> Any:
    transport = browser._transport
    assert isinstance(transport, httpx.ASGITransport)
    return transport.app


@pytest.mark.parametrize("form", ["{}", "W/{strong}", "{strong}", '"other", {}', '{} , "other"'])
async def test_a_known_file_is_not_sent_again(browser: httpx.AsyncClient, files: list[str], form: str) -> None:
    etag = (await browser.get(files[0])).headers["etag"]
    sent = form.format(etag, strong=etag.removeprefix("W/"))
    answer = await browser.get(files[0], headers={"if-none-match": sent})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert "content-length" not in answer.headers
    assert (await browser.get(files[0], headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize("name", ["", "ui.css", "ui.00000000.css", "../ui.css", "..%2f..%2fpyproject.toml", "%00"])
async def test_no_other_file_is_served(browser: httpx.AsyncClient, name: str) -> None:
    assert (await browser.get(f"/_privacy/files/{name}")).status_code == 404


# A store that is away -------------------------------------------------------------------------------------------------


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process keeps the database for itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def moved(path: Path) -> Iterator[None]:
    """The file is gone."""
    aside = path.with_name("aside.db")
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that gives up soon."""
    monkeypatch.setattr(writers, "PATIENCE", 0.2)
    monkeypatch.setattr(SQLite, "busy_seconds", 0.1)


AWAY = pytest.mark.parametrize("away", [locked, moved])


@AWAY
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("scripted", [False, True])
async def test_a_consent_that_cannot_be_kept_is_none(
    browser: httpx.AsyncClient, store: Store, tmp_path: Path, away: Any, scripted: bool
) -> None:
    with away(tmp_path / "cookiegate.db"):
        answer = await choose(browser, "accept", json=scripted)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
        assert "could not be saved" in answer.text
        assert set_cookies(answer) == []
        assert await allowed(browser) == set()
        assert (await browser.get("/plain")).status_code == 200, "the site itself goes on"
    assert (await choose(browser, "accept", json=scripted)).status_code in {200, 303}
    assert await allowed(browser) == set(CHOOSABLE)
    assert [record.method for record in records(store)] == ["accept"]


@AWAY
@pytest.mark.usefixtures("impatient")
async def test_a_refusal_holds_even_so(browser: httpx.AsyncClient, tmp_path: Path, away: Any) -> None:
    await choose(browser, "accept")
    await browser.get("/")
    with away(tmp_path / "cookiegate.db"):
        answer = await choose(browser, "reject")
        assert answer.status_code == 503
        assert await allowed(browser) == set()
        assert "_ga" not in browser.cookies
        echoed = (await browser.get("/echo")).json()["reasons"]
        assert {echoed[purpose] for purpose in CHOOSABLE} == {"refused"}


@pytest.mark.usefixtures("impatient")
async def test_of_a_mixed_choice_the_refusals_hold(browser: httpx.AsyncClient, tmp_path: Path) -> None:
    await choose(browser, "save", "preferences", "analytics")
    with locked(tmp_path / "cookiegate.db"):
        assert (await choose(browser, "save", "preferences", "marketing")).status_code == 503
    reasons = (await browser.get("/echo")).json()["reasons"]
    assert reasons == {
        "necessary": "necessary",
        "preferences": "granted",
        "analytics": "refused",
        "marketing": "changed",  # still to be asked
    }


@pytest.mark.usefixtures("impatient")
async def test_a_consent_is_not_prolonged_without_evidence(
    browser: httpx.AsyncClient, tmp_path: Path, clock: FrozenClock
) -> None:
    await choose(browser, "accept")
    clock.move(days=100)
    with locked(tmp_path / "cookiegate.db"):
        await choose(browser, "save", "analytics")
    assert await allowed(browser) == {"analytics"}
    clock.move(days=100)
    assert await allowed(browser) == set(), "it ends six months after the choice that was kept"


@pytest.mark.usefixtures("impatient")
async def test_a_busy_store_holds_up_no_page(browser: httpx.AsyncClient, tmp_path: Path) -> None:
    with locked(tmp_path / "cookiegate.db"):
        waiting = asyncio.ensure_future(choose(browser, "accept"))
        await asyncio.sleep(0.01)
        started = time.perf_counter()
        for _ in range(5):
            assert (await browser.get("/plain")).status_code == 200
        assert time.perf_counter() - started < 1
        assert (await waiting).status_code == 503


# Many at once ---------------------------------------------------------------------------------------------------------


async def test_many_choices_at_once(gate: CookieGate, store: Store) -> None:
    async def visitor(number: int) -> tuple[str, set[str]]:
        async with client(gate) as browser:
            choice = ("accept", "reject")[number % 2]
            assert (await choose(browser, choice)).status_code == 303
            return choice, await allowed(browser)

    seen = await asyncio.gather(*(visitor(number) for number in range(40)))
    assert all(granted == (set(CHOOSABLE) if choice == "accept" else set()) for choice, granted in seen)
    assert sorted(record.method for record in records(store)) == ["accept"] * 20 + ["reject"] * 20


async def test_a_site_that_asks_nothing(gate_of: GateOf, policy: Policy) -> None:
    from cookiegate.policy import parse_policy

    nothing = parse_policy('[site]\nname = "S"\npolicy_version = "1"\n[controller]\nname = "C"\nemail = "a@b.test"')
    async with client(gate_of(sample_site(), policy=nothing)) as browser:
        assert (await browser.get("/_privacy")).status_code == 200
        assert (await choose(browser, "save", "analytics")).status_code == 400
        assert (await choose(browser, "accept")).status_code == 303
        assert "theme" not in browser.cookies
