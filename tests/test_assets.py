"""What is sent to visitors: files, hashes, sizes, escaping, the evidence of what was shown, and the script's work."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from assets_samples import (
    ANALYTICS,
    PURPOSES,
    VIDEO,
    FakeSite,
    chromium,
    document,
    sample_policy,
    sample_verdict,
    serving,
)
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

from cookiegate.assets import CACHE_CONTROL, Assets, asset_root, in_months, read_texts, web_address
from cookiegate.errors import CookiegateError
from cookiegate.policy import ConsentRules, Controller, GateRules, Period, Purpose, Site, Usage
from cookiegate.signals import Signals

ASSETS = Assets(sample_policy())
LAYER = ASSETS.layer("en")
LOCALES = Path(__file__).parents[1] / "cookiegate" / "locales"
EMBED = {"purpose": "marketing", "service": "youtube", "host": "youtube.com", "kind": "iframe"}


def gzipped(body: bytes) -> int:
    return len(gzip.compress(body, 9, mtime=0))


def static(name: str) -> bytes:
    file = ASSETS.file(ASSETS.url(name).rpartition("/")[2])
    assert file is not None
    return file.body


# Files -------------------------------------------------------------------------------------------------------------


def test_a_file_is_named_after_its_bytes_and_may_be_kept_for_ever() -> None:
    url = ASSETS.url("ui.css")
    file = ASSETS.file(url.removeprefix("/_privacy/files/"))
    assert file is not None
    assert file.name == f"ui.{hashlib.sha256(file.body).hexdigest()[:8]}.css"
    assert file.body == (asset_root("static") / "ui.css").read_bytes()
    assert gzip.decompress(file.gzip) == file.body
    assert file.content_type == "text/css; charset=utf-8"
    assert re.fullmatch('"[0-9a-f]{16}"', file.etag)
    assert "immutable" in CACHE_CONTROL


@pytest.mark.parametrize("name", ["", "ui.css", "ui.00000000.css", "../pyproject.toml", "demo/site.css", "ui.d.ts"])
def test_no_other_file_is_served(name: str) -> None:
    assert ASSETS.file(name) is None


def test_an_unknown_file_has_no_url() -> None:
    with pytest.raises(CookiegateError, match=r"ui\.css"):
        ASSETS.url("ui.sass")


def test_urls_follow_the_prefix() -> None:
    assets = Assets(sample_policy(gate=GateRules(prefix="/choices-of-mine")))
    assert assets.url("ui.js").startswith("/choices-of-mine/files/ui.")
    assert b"/_privacy" not in assets.layer("en").banner(return_to="/")


@pytest.mark.parametrize(
    ("body", "budget"),
    [
        (static("ui.js"), 4096),
        (static("ui.css"), 3072),
        (static("page.css"), 3072),
        (LAYER.banner(return_to="/a/path?with=query", signal=True), 3072),
        (LAYER.way_back(return_to="/a/path?with=query", granted=True, allowed=["analytics", "marketing"]), 700),
    ],
    ids=["script", "style", "style of pages", "first layer", "way back"],
)
def test_nothing_is_larger_than_its_budget(body: bytes, budget: int) -> None:
    assert gzipped(body) <= budget


@pytest.mark.parametrize("locale", ASSETS.locales)
def test_no_language_is_over_budget(locale: str) -> None:
    assert gzipped(ASSETS.layer(locale).banner(return_to="/", signal=True)) <= 3072
    assert gzipped(ASSETS.layer(locale).way_back(return_to="/", granted=True)) <= 700


WORDS_THAT_LISTS_BLOCK = re.compile(
    r"cookie|consent|gdpr|ccpa|banner|track|analytic|pixel|beacon|(?<![a-z])ads?(?![a-z])|advert", re.IGNORECASE
)


def test_names_of_files_paths_ids_and_classes_are_neutral() -> None:
    shown = LAYER.banner(return_to="/", signal=True) + LAYER.way_back(return_to="/", granted=True)
    shown += LAYER.placeholder(**EMBED, width="560", height="315")
    names = re.findall(r'(?:id|class|for|form|href|src|action|aria-controls)="([^"]*)"', shown.decode())
    names += [path.name for path in asset_root("static").iterdir()]
    assert len(names) > 20
    assert [name for name in names if WORDS_THAT_LISTS_BLOCK.search(name)] == []
    selectors = re.findall(rb"[.#][a-z][a-z-]*", static("ui.css"))
    assert [name for name in selectors if WORDS_THAT_LISTS_BLOCK.search(name.decode())] == []


# Languages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "first"), [("en", "en"), ("de", "de"), ("de-AT", "de"), ("pt-BR", "pt"), ("eo", "en")]
)
def test_the_sites_language_comes_first(language: str, first: str) -> None:
    site = Site(name="A site", policy_version="1", language=language)
    locales = Assets(sample_policy(site=site)).locales
    assert locales[0] == first
    assert sorted(locales) == sorted(path.stem for path in LOCALES.glob("*.toml"))


def test_an_unknown_language_is_shown_in_the_default_one() -> None:
    assets = Assets(sample_policy(site=Site(name="A site", policy_version="1", language="sv")))
    assert assets.layer("eo").locale == "sv"
    assert b'<html lang="sv"' in assets.page("details", locale="eo")


def test_a_layer_is_rendered_once() -> None:
    assert ASSETS.layer("it") is ASSETS.layer("it")


@pytest.mark.parametrize(
    ("locale", "period", "words"),
    [
        ("en", "P1M", "1 month"),
        ("en", "P14M", "14 months"),
        ("en", "P1Y6M", "1 year 6 months"),
        ("en", "P2W", "14 days"),
        ("en", "PT1H30M", "1 hour 30 minutes"),
        ("en", "P400D", "400 days"),
        ("pl", "P1M", "1 miesiąc"),
        ("pl", "P2M", "2 miesiące"),
        ("pl", "P5M", "5 miesięcy"),
        ("pl", "P12M", "12 miesięcy"),
        ("pl", "P22M", "22 miesiące"),
        ("de", "P1Y", "1 Jahr"),
    ],
)
def test_periods_in_words(locale: str, period: str, words: str) -> None:
    assert read_texts(LOCALES, locale).duration(Period(period)) == words


@pytest.mark.parametrize(("period", "months"), [("P1Y", "P12M"), ("P6M", "P6M"), ("P1Y6M", "P1Y6M"), ("P30D", "P30D")])
def test_a_choice_holds_for_months(period: str, months: str) -> None:
    assert in_months(Period(period)) == Period(months)


# What was shown ----------------------------------------------------------------------------------------------------


def text_hash(**changes: Any) -> str:
    return Assets(sample_policy(**changes)).layer("en").text_hash


def test_the_hash_is_that_of_the_evidence() -> None:
    assert LAYER.text_hash == hashlib.sha256(LAYER.evidence).hexdigest()
    assert LAYER.text_hash == text_hash()
    assert b"Cookies on Morrow Light" in LAYER.evidence
    assert b"VISITOR_INFO1_LIVE" in LAYER.evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"services": (ANALYTICS,)},
        {"services": (replace(ANALYTICS, name="Another name"), VIDEO)},
        {"services": (replace(ANALYTICS, cookies=()), VIDEO)},
        {"purposes": PURPOSES[:-1]},
        {"purposes": (*PURPOSES[:-1], replace(PURPOSES[-1], text="Sells what we know about you."))},
        {"site": Site(name="Another site", policy_version="2026-11-21")},
        {"consent": ConsentRules(lifetime=Period("P12M"))},
        {"controller": Controller(name="Morrow Light AB", email="privacy@site.test", notice_url="/other")},
    ],
    ids=["service gone", "service named", "cookie gone", "purpose gone", "own text", "site", "lifetime", "notice"],
)
def test_the_hash_changes_with_what_is_shown(changes: dict[str, Any]) -> None:
    assert text_hash(**changes) != LAYER.text_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"controller": Controller(name="Morrow Light AB", email="other@site.test")},
        {"usage": Usage(Period("P1M"))},
        {"gate": GateRules(mode="observe", wall="off")},
        {"known": (replace(VIDEO, id="vimeo", name="Vimeo"),)},
        {"site": Site(name="Morrow Light", policy_version="another", trusted_proxies=("10.0.0.1",))},
    ],
    ids=["e-mail", "retention", "gate", "catalogue", "version"],
)
def test_the_hash_does_not_change_with_anything_else(changes: dict[str, Any]) -> None:
    assert text_hash(**changes) == LAYER.text_hash


def test_every_language_has_its_own_hash() -> None:
    assert len({ASSETS.layer(locale).text_hash for locale in ASSETS.locales}) == len(ASSETS.locales)


def test_a_request_does_not_change_what_is_hashed() -> None:
    LAYER.banner(return_to="/elsewhere", signal=True, allowed=["analytics"])
    assert text_hash() == LAYER.text_hash


# Escaping ----------------------------------------------------------------------------------------------------------

HOSTILE = "\"'><script>alert(1)</script>{{ 7 * 7 }}{0}</form>&amp;"


@given(st.text(max_size=60))
def test_a_return_address_is_only_ever_a_value(target: str) -> None:
    plain = LAYER.way_back(return_to="/", granted=True).decode()
    shown = LAYER.way_back(return_to=target, granted=True).decode()
    shape = r'value="[^"<>]*"|return_to=[^"<>&]*'
    assert re.sub(shape, "", shown) == re.sub(shape, "", plain)


def test_a_return_address_arrives_as_it_was() -> None:
    shown = LAYER.banner(return_to="/søk?q=\"a\"&b='<c>'").decode()
    assert shown.count('value="/søk?q=&quot;a&quot;&amp;b=&#x27;&lt;c&gt;&#x27;"') == 4
    assert "?return_to=/s%C3%B8k%3Fq%3D%22a%22%26b%3D%27%3Cc%3E%27" in shown


def test_hostile_words_in_a_policy_stay_words() -> None:
    service = replace(VIDEO, name=HOSTILE, provider=HOSTILE, description=HOSTILE, country=HOSTILE, privacy=HOSTILE)
    policy = sample_policy(
        site=Site(name=HOSTILE, policy_version=HOSTILE, hosts=("site.test",)),
        controller=Controller(name=HOSTILE, email=HOSTILE, address=HOSTILE, notice_url="javascript:alert(1)"),
        purposes=(*PURPOSES[:3], Purpose("marketing", PURPOSES[3].basis, title=HOSTILE, text=HOSTILE)),
        services=(service,),
    )
    assets = Assets(policy)
    verdict = sample_verdict(policy, consent_id=HOSTILE)
    shown = [
        assets.layer("en").banner(return_to="/", signal=True),
        assets.layer("en").placeholder(
            purpose="marketing", service="youtube", host=HOSTILE, kind=HOSTILE, width=HOSTILE, height='1" onload="x'
        ),
        assets.layer("en").placeholder(purpose="", service="", host=HOSTILE, kind="iframe", width="", height=""),
        assets.page("centre", locale="en", verdict=verdict, signals=Signals(), return_to=HOSTILE, saved=False),
        assets.page("details", locale="en"),
        assets.page("notice", locale="en"),
        assets.page("message", locale="en", title=HOSTILE, text=HOSTILE, status=400, link="javascript:alert(1)"),
    ]
    for markup in shown:
        assert b"alert(1)</script>" not in markup
        assert b"javascript:" not in markup
        assert b"onload=" not in markup.replace(b"&#34;", b'"').replace(b'" onload="x', b"")
        assert b"49" not in markup


@pytest.mark.parametrize("address", ["https://a.example/b?c=d", "http://a.example", "/notice"])
def test_links_that_are_kept(address: str) -> None:
    assert web_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", "//evil.example", "/\\evil", "", " https://a"],
)
def test_links_that_are_dropped(address: str) -> None:
    assert web_address(address) == ""


# Placeholders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "width", "height", "expected"),
    [
        ("iframe", "560", "315", 'width="560" height="315" viewBox="0 0 560 315"'),
        ("iframe", "560px", " 315.5 ", 'width="560" height="315" viewBox="0 0 560 315"'),
        ("iframe", "100%", "315", 'data-cg-w="100%"><svg width="100%" height="315"'),
        ("iframe", "50%", "", 'data-cg-w="50%"><svg width="100%" height="150"'),
        ("iframe", "400", "100%", 'data-cg-h="100%"><svg width="400" height="150"'),
        ("iframe", "", "", 'data-cg-w="100%"><svg width="100%" viewBox="0 0 16 9"'),
        ("iframe", "wide", "calc(1px)", 'data-cg-w="100%"><svg width="100%" viewBox="0 0 16 9"'),
        ("audio", "", "", 'width="300" height="54"'),
    ],
)
def test_a_placeholder_has_the_size_of_its_embed(kind: str, width: str, height: str, expected: str) -> None:
    markup = LAYER.placeholder(**{**EMBED, "kind": kind, "width": width, "height": height}).decode()
    assert expected in markup
    assert "style=" not in markup
    assert set(re.findall(r"<([a-z]+)", markup)) <= {"span", "svg", "b", "button"}, "phrasing content only"


def test_a_placeholder_names_service_and_purpose_and_can_be_pressed() -> None:
    markup = LAYER.placeholder(**EMBED, width="560", height="315").decode()
    assert "Content from YouTube" in markup
    assert "“Marketing”" in markup
    assert '<button class="cg-button" form="cg-load" name="purpose" value="marketing">Load YouTube content' in markup


def test_an_undeclared_third_party_cannot_be_loaded() -> None:
    markup = LAYER.placeholder(purpose="", service="", host="cdn.unknown.example", kind="iframe", width="", height="")
    assert b"cdn.unknown.example" in markup
    assert b'data-cg-for=""' in markup
    assert b"<button" not in markup


def test_a_service_that_is_only_known_is_named() -> None:
    layer = Assets(sample_policy(known=(replace(VIDEO, id="vimeo", name="Vimeo"),))).layer("en")
    markup = layer.placeholder(purpose="", service="vimeo", host="vimeo.com", kind="iframe", width="", height="")
    assert b"Content from Vimeo" in markup


# Templates of the site's own ---------------------------------------------------------------------------------------


def test_a_site_replaces_templates_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "message.html").write_text("<h1>{{ title }}, says {{ policy.site.name }}</h1>", "utf-8")
    assets = Assets(sample_policy(), templates=tmp_path)
    page = assets.page("message", locale="en", title="<No>", text="", status=404, link="")
    assert page == b"<h1>&lt;No&gt;, says Morrow Light</h1>"
    assert assets.page("details", locale="en") == ASSETS.page("details", locale="en")


def test_a_folder_of_templates_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CookiegateError, match="nowhere is not a folder"):
        Assets(sample_policy(), templates=tmp_path / "nowhere")


def test_a_page_without_its_context_is_an_error() -> None:
    with pytest.raises(Exception, match="'signals' is undefined"):
        ASSETS.page("centre", locale="en", verdict=sample_verdict(sample_policy()), return_to="/", saved=False)


# The script, in Chromium -------------------------------------------------------------------------------------------

EVERYTHING = {"allowed": ["preferences", "analytics", "marketing"], "reload": False, "clear": []}
NOTHING: dict[str, Any] = {"allowed": [], "reload": False, "clear": []}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def site() -> Iterator[FakeSite]:
    with serving(ASSETS) as served:
        served.answer = EVERYTHING
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def visit(page: Page, site: FakeSite, markup: str = "", *, decided: bool = False, **layer: Any) -> None:
    """Open a page with some markup and the first layer, or the way back."""
    part = LAYER.way_back(return_to="/here", granted=False, **layer) if decided else LAYER.banner(return_to="/here")
    site.pages["/here"] = document(markup + part.decode())
    page.goto(site.origin + "/here")


WITHHELD = """
<script>window.order = []</script>
<script type="text/plain" data-cg="analytics">order.push("inline 1")</script>
<script type="text/plain" data-cg="analytics" data-cg-src="/defer.js" defer></script>
<script type="text/plain" data-cg="analytics" data-cg-src="/slow.js" data-id="7"></script>
<script type="text/plain" data-cg="analytics" data-cg-src="/fast.js" data-cg-type="text/javascript"></script>
<script type="text/plain" data-cg="analytics">order.push("inline 2 after " + order.at(-1))</script>
<script type="text/plain" data-cg="analytics" data-cg-type="module">order.push("module")</script>
<script type="text/plain" data-cg="analytics" data-cg-src="/missing.js"></script>
<script type="text/plain" data-cg="analytics" data-cg-type="application/json" id="data">{"a": 1}</script>
<script type="text/plain" data-cg="marketing">order.push("marketing")</script>
<script type="text/plain" data-cg="">order.push("undeclared")</script>
"""


def test_scripts_run_in_document_order(page: Page, site: FakeSite) -> None:
    for name in ("slow", "fast", "defer"):
        site.pages[f"/{name}.js"] = f"order.push('{name} ' + (document.currentScript.dataset.id || ''))"
    site.held["/slow.js"] = threading.Event()
    site.answer = {**EVERYTHING, "allowed": ["analytics"]}
    visit(page, site, WITHHELD)
    page.click("#cg-accept")
    page.wait_for_function("order.length == 1")
    site.held["/slow.js"].set()
    page.wait_for_function("order.length == 6")
    page.wait_for_timeout(100)
    assert page.evaluate("order") == ["inline 1", "slow 7", "fast ", "inline 2 after fast ", "defer ", "module"]
    assert page.evaluate("document.getElementById('data').type") == "application/json"
    assert page.locator("script[type='text/plain']").count() == 2, "other purposes and the undeclared stay withheld"


def test_scripts_are_fetched_before_they_are_needed(page: Page, site: FakeSite) -> None:
    site.pages.update({"/one.js": "", "/two.js": ""})
    site.held["/one.js"] = threading.Event()
    scripts = (
        f'<script type="text/plain" data-cg="analytics" data-cg-src="/{name}.js"></script>' for name in ("one", "two")
    )
    visit(page, site, "".join(scripts))
    with page.expect_request("**/two.js"):
        page.click("#cg-accept")
    site.held["/one.js"].set()


def test_other_elements_get_their_attributes_back(page: Page, site: FakeSite) -> None:
    stand = LAYER.placeholder(**EMBED, width="300", height="200").decode()
    visit(
        page,
        site,
        '<img data-cg="analytics" data-cg-src="/a.gif" data-cg-srcset="/b.gif 2x" hidden id="own">'
        f'<p>{stand}<iframe data-cg="marketing" hidden data-cg-src="/frame" width="300" height="200"></iframe></p>'
        '<iframe data-cg="marketing" hidden data-cg-src="/hidden" id="unseen"></iframe>'
        '<svg><image data-cg="analytics" data-cg-xlink-href="/c.svg"></image></svg>'
        '<b data-cg-css="analytics" style="color: red" data-cg-style="color: rgb(0, 0, 9)">styled</b>'
        '<i data-cg="analytics" data-cg-onclick="1" data-cg-css="nobody" style="" data-cg-style="x">both</i>'
        '<iframe data-cg="" hidden data-cg-src="/undeclared"></iframe>',
    )
    site.asked.clear()
    page.click("#cg-accept")
    page.wait_for_function("!document.querySelector('.cg-embed')")
    page.wait_for_function("performance.getEntriesByType('resource').some(it => it.name.endsWith('/c.svg'))")
    assert {"/frame", "/hidden", "/c.svg"} <= set(site.asked)
    assert page.locator("iframe[src='/frame']").is_visible()
    assert page.locator("#unseen").is_hidden(), "what its author hid stays hidden"
    assert page.locator("#own").get_attribute("srcset") == "/b.gif 2x"
    assert page.locator("#own").is_hidden()
    assert page.locator("b").evaluate("it => getComputedStyle(it).color") == "rgb(0, 0, 9)"
    assert page.locator("i").get_attribute("onclick") == "1"
    assert page.locator("i").get_attribute("data-cg-style") == "x"
    assert "/undeclared" not in site.asked
    assert page.locator("[data-cg]").count() == 1


@pytest.mark.parametrize(
    "markup",
    [
        '<script type="text/plain" data-cg="analytics">document . write("<p>gone</p>")</script>',
        '<style data-cg-css="analytics">b { color: red }</style>',
    ],
    ids=["document.write", "a cut style sheet"],
)
def test_what_cannot_be_opened_in_place_gets_a_new_page(page: Page, site: FakeSite, markup: str) -> None:
    visit(page, site, "<h1>Still here</h1>" + markup)
    with page.expect_navigation():
        page.click("#cg-accept")
    assert page.locator("h1").inner_text() == "Still here"


def test_the_choice_is_sent_as_the_form_would(page: Page, site: FakeSite) -> None:
    visit(page, site)
    page.click("#cg-choose")
    page.check("[value=analytics]")
    page.click("[value=save]")
    expect(page.locator("#cg-ask")).to_be_hidden()
    assert site.sent == [("script", [("return_to", "/here"), ("purpose", "analytics"), ("choice", "save")])]


def test_enter_on_a_toggle_never_accepts(page: Page, site: FakeSite) -> None:
    visit(page, site)
    page.click("#cg-choose")
    page.focus("[value=analytics]")
    page.keyboard.press("Enter")
    expect(page.locator("#cg-ask")).to_be_hidden()
    assert site.sent == [("script", [("return_to", "/here"), ("choice", "save")])]


def test_a_failure_grants_nothing_and_sends_the_form_itself(page: Page, site: FakeSite) -> None:
    site.answer = None
    visit(page, site, WITHHELD)
    with page.expect_navigation():
        page.click("#cg-reject")
    wanted = [("return_to", "/here"), ("choice", "reject")]
    assert site.sent == [("script", wanted), ("form", wanted)]
    assert page.title() == "Saved"


def test_an_answer_that_is_not_json_counts_as_a_failure(page: Page, site: FakeSite) -> None:
    visit(page, site, WITHHELD)
    page.route(
        "**/choices",
        lambda route: (
            route.fulfill(body="<p>no</p>") if "json" in route.request.headers["accept"] else route.continue_()
        ),
    )
    with page.expect_navigation():
        page.click("#cg-accept")
    assert site.sent == [("form", [("return_to", "/here"), ("choice", "accept")])]


def test_a_refusal_clears_storage_and_reloads_when_told(page: Page, site: FakeSite) -> None:
    visit(page, site, decided=True, allowed=["analytics"])
    page.evaluate(
        "for (const key of ['_hjSession', '_hj', 'mine', 'a_hj']) localStorage[key] = sessionStorage[key] = 1"
    )
    site.answer = {"allowed": [], "reload": True, "clear": [["local", "_hj*"], ["session", "mine"], ["local", "a.*"]]}
    page.evaluate("document.querySelector('#cg-back button').hidden = false")
    with page.expect_navigation():
        page.click("#cg-back button")
    assert site.sent == [("script", [("return_to", "/here"), ("choice", "reject")])]
    assert sorted(page.evaluate("Object.keys(localStorage)")) == ["a_hj", "mine"]
    assert sorted(page.evaluate("Object.keys(sessionStorage)")) == ["_hj", "_hjSession", "a_hj"]


def test_what_writes_on_its_way_out_is_cleared_too(page: Page, site: FakeSite) -> None:
    visit(page, site, "<script>addEventListener('pagehide', () => { localStorage._hjLate = 1 })</script>")
    site.answer = {"allowed": [], "reload": True, "clear": [["local", "_hj*"]]}
    with page.expect_navigation():
        page.click("#cg-reject")
    assert page.evaluate("Object.keys(localStorage)") == []


@pytest.mark.parametrize(("answer", "withdraw"), [(EVERYTHING, True), (NOTHING, False)])
def test_the_way_back_appears_and_says_so(page: Page, site: FakeSite, answer: dict[str, Any], withdraw: bool) -> None:
    site.answer = answer
    visit(page, site)
    assert page.locator("#cg-back").is_hidden()
    page.click("#cg-accept")
    expect(page.locator("#cg-back [role=status]")).to_have_text("Your choice has been saved.")
    assert page.locator("#cg-back a").get_attribute("href") == "/_privacy?return_to=/here"
    assert page.get_by_role("button", name="Withdraw consent").is_visible() is withdraw


def test_focus_returns_to_where_it_was(page: Page, site: FakeSite) -> None:
    visit(page, site, "<button id='before'>Before</button>")
    page.focus("#before")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "cg-accept"
    page.keyboard.press("Enter")
    expect(page.locator("#cg-ask")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "before"


def test_focus_goes_to_the_way_back_when_it_came_from_nowhere(page: Page, site: FakeSite) -> None:
    visit(page, site)
    page.focus("#cg-reject")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Privacy choices")).to_be_focused()


def test_escape_closes_and_grants_nothing(page: Page, site: FakeSite) -> None:
    visit(page, site, WITHHELD)
    page.click("#cg-choose")
    page.check("[value=analytics]")
    page.keyboard.press("Escape")
    assert page.locator("#cg-pick").is_hidden()
    expect(page.locator("#cg-choose")).to_be_focused()
    page.keyboard.press("Escape")
    assert page.locator("#cg-ask").is_hidden()
    assert site.sent == []
    assert page.evaluate("order") == []


def test_an_embed_is_loaded_by_its_button_even_inside_another_form(page: Page, site: FakeSite) -> None:
    site.answer = {**EVERYTHING, "allowed": ["marketing"]}
    stand = LAYER.placeholder(**EMBED, width="560", height="315").decode()
    frame = '<iframe data-cg="marketing" hidden data-cg-src="/film"></iframe>'
    visit(page, site, f'<form action="/search"><p>Watch {stand}{frame}</p></form>', decided=True)
    page.get_by_role("button", name="Load YouTube content").press("Enter")
    page.wait_for_function("!document.querySelector('.cg-embed')")
    assert site.sent == [("script", [("choice", "allow"), ("return_to", "/here"), ("purpose", "marketing")])]
    assert "/film" in site.asked
    expect(page.locator("iframe")).to_be_focused()
    assert page.get_by_role("button", name="Withdraw consent").is_visible()


def test_pages_can_ask_and_listen(page: Page, site: FakeSite) -> None:
    site.answer = {**EVERYTHING, "allowed": ["analytics"]}
    visit(page, site)
    assert page.evaluate("cookiegate.allows('analytics')") is False
    page.evaluate(
        "window.heard = []; document.addEventListener('cookiegate:change', event => heard.push(event.detail.allowed));"
        "window.end = cookiegate.onChange(change => heard.push(change.allowed)); null"
    )
    page.click("#cg-accept")
    page.wait_for_function("heard.length")
    assert page.evaluate("[cookiegate.allows('analytics'), cookiegate.allows('marketing')]") == [True, False]
    assert page.evaluate("heard") == [["analytics"], ["analytics"]]
    page.evaluate("end(); cookiegate.open()")
    assert page.locator("[value=analytics]").is_checked()
    assert not page.locator("[value=marketing]").is_checked()
    page.click("[value=save]")
    page.wait_for_function("heard.length == 3")


def test_open_leads_to_the_centre_where_there_is_no_first_layer(page: Page, site: FakeSite) -> None:
    site.pages["/_privacy"] = document("The centre")
    visit(page, site, decided=True, allowed=["analytics"])
    assert page.evaluate("cookiegate.allows('analytics')") is True
    with page.expect_navigation(url="**/_privacy?return_to=/here"):
        page.evaluate("cookiegate.open()")


def test_no_global_is_added_but_one(page: Page, site: FakeSite) -> None:
    site.pages["/bare"] = document("<p>Bare</p>")
    page.goto(site.origin + "/bare")
    before = set(page.evaluate("Object.getOwnPropertyNames(window)"))
    visit(page, site)
    assert set(page.evaluate("Object.getOwnPropertyNames(window)")) - before == {"cookiegate"}


def test_other_tabs_follow(page: Page, site: FakeSite) -> None:
    visit(page, site)
    other = page.context.new_page()
    visit(other, site, WITHHELD)
    site.now = {"allowed": ["analytics"], "undecided": False}
    page.click("#cg-accept")
    expect(other.locator("#cg-ask")).to_be_hidden()
    assert other.get_by_role("button", name="Withdraw consent").is_visible()
    assert other.evaluate("order") == [], "what somebody is writing there is not lost, and nothing half opens"


def test_a_tab_that_has_fallen_behind_is_loaded_anew_with_the_next_choice(page: Page, site: FakeSite) -> None:
    visit(page, site)
    other = page.context.new_page()
    visit(other, site, decided=True)
    site.now = {"allowed": ["analytics"], "undecided": False}
    page.click("#cg-accept")
    site.answer = {**EVERYTHING, "allowed": ["analytics"]}
    with other.expect_navigation():
        other.get_by_role("button", name="Withdraw consent").click()


def test_other_tabs_are_loaded_anew_on_withdrawal(page: Page, site: FakeSite) -> None:
    other = page.context.new_page()
    visit(other, site, decided=True, allowed=["analytics"])
    visit(page, site)
    site.answer = NOTHING
    with other.expect_navigation():
        page.click("#cg-reject")


def test_a_choice_on_the_centre_reaches_other_tabs(page: Page, site: FakeSite) -> None:
    other = page.context.new_page()
    visit(other, site)
    site.now = {"allowed": [], "undecided": False}
    verdict = sample_verdict(ASSETS.policy)
    centre = ASSETS.page("centre", locale="en", verdict=verdict, signals=Signals(), return_to="/", saved=True)
    site.pages["/_privacy"] = centre.decode()
    page.goto(site.origin + "/_privacy")
    expect(other.locator("#cg-ask")).to_be_hidden()


@pytest.mark.parametrize(
    ("now", "reloaded", "asking"),
    [
        ({"allowed": [], "undecided": True}, False, True),
        ({"allowed": [], "undecided": False}, False, False),
        ({"allowed": ["analytics"], "undecided": False}, True, True),
    ],
    ids=["nothing new", "refused elsewhere", "allowed elsewhere"],
)
def test_a_page_from_the_back_forward_cache_asks_again(
    page: Page, site: FakeSite, now: dict[str, Any], reloaded: bool, asking: bool
) -> None:
    visit(page, site)
    page.evaluate("window.old = true")
    site.now = now
    with page.expect_response("**/choices"):
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    page.wait_for_timeout(200)
    page.wait_for_load_state()
    assert page.evaluate("window.old === undefined") is reloaded
    assert page.locator("#cg-ask").is_visible() is asking


def test_a_strict_content_security_policy_is_kept(page: Page, site: FakeSite) -> None:
    site.headers["Content-Security-Policy"] = "default-src 'self'; script-src 'self' 'nonce-abc'"
    listening = (
        "<script nonce=abc>window.ran = []; window.broken = [];"
        "document.addEventListener('securitypolicyviolation', it => broken.push(it.violatedDirective))</script>"
    )
    visit(
        page,
        site,
        listening
        + LAYER.placeholder(**EMBED, width="50%", height="200").decode()
        + '<script type="text/plain" data-cg="analytics" nonce="abc">ran.push("with nonce")</script>'
        + '<script type="text/plain" data-cg="analytics">ran.push("without")</script>',
    )
    assert page.evaluate("broken") == []
    page.click("#cg-accept")
    for _ in range(200):  # waiting inside the page would need the `eval` that its policy forbids
        if page.evaluate("ran.length && broken.length"):
            break
        page.wait_for_timeout(50)
    assert page.evaluate("ran") == ["with nonce"]
    assert page.evaluate("broken") == ["script-src-elem"], "only the site's own script without a nonce"


def test_everything_works_without_script(browser: Browser, site: FakeSite) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    visit(page, site, LAYER.placeholder(**EMBED, width="560", height="315").decode())
    assert page.locator("#cg-pick").is_hidden()
    page.click("#cg-choose")
    page.check("[value=analytics]")
    page.click("[value=save]")
    page.goto(site.origin + "/here")
    page.click("#cg-reject")
    page.goto(site.origin + "/here")
    page.get_by_role("button", name="Load YouTube content").click()
    context.close()
    assert site.sent == [
        ("form", [("return_to", "/here"), ("purpose", "analytics"), ("choice", "save")]),
        ("form", [("return_to", "/here"), ("choice", "reject")]),
        ("form", [("purpose", "marketing"), ("choice", "allow"), ("return_to", "/here")]),
    ]
