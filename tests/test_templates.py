"""What visitors are shown: in every language, complete, valid, the same for yes and no, readable, within reach."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import html5lib
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
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser, Page, expect

from cookiegate.assets import Assets, asset_root
from cookiegate.lawful import REASONS
from cookiegate.policy import Basis, Controller, Purpose, Site
from cookiegate.policy.tables import NECESSARY_REASONS
from cookiegate.signals import Signals

ASSETS = Assets(sample_policy())
LOCALES = {
    path.stem: tomllib.loads(path.read_text("utf-8"))
    for path in (Path(__file__).parents[1] / "cookiegate" / "locales").glob("*.toml")
}
EMBED = {"purpose": "marketing", "service": "youtube", "host": "youtube.com", "kind": "iframe"}
each_locale = pytest.mark.parametrize("locale", sorted(LOCALES))


def flat(tree: dict[str, Any], path: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


ENGLISH = flat(LOCALES["en"])


def placeholder(**changes: str) -> str:
    fields = {**EMBED, "width": "560", "height": "315", **changes}
    return ASSETS.layer("en").placeholder(**fields).decode()


def pages(assets: Assets, locale: str) -> dict[str, str]:
    """Every page, with what it can show."""
    verdict = sample_verdict(assets.policy, "analytics", consent_id="0f8fad5b-d9cb-469f-a165-70867728950e")
    signals = Signals(gpc=True)
    found = {
        "centre": assets.page("centre", locale=locale, verdict=verdict, signals=signals, return_to="/a?b", saved=True),
        "details": assets.page("details", locale=locale),
        "notice": assets.page("notice", locale=locale),
        "message": assets.page("message", locale=locale, title="No", text="Not so.", status=403, link="/"),
    }
    return {name: page.decode() for name, page in found.items()}


def parts(locale: str) -> str:
    """Everything that is put into pages."""
    layer = ASSETS.layer(locale)
    shown = layer.banner(return_to="/", signal=True)
    shown += layer.placeholder(**EMBED, width="560", height="315")
    shown += layer.placeholder(purpose="", service="", host="a.example", kind="iframe", width="9", height="9")
    return shown.decode()


def soup(markup: str | bytes) -> BeautifulSoup:
    return BeautifulSoup(markup if isinstance(markup, str) else markup.decode(), "html5lib")


def ask(**policy: Any) -> Tag:
    """The first layer of a policy, in English."""
    found = soup(Assets(sample_policy(**policy)).layer("en").banner(return_to="/")).find(id="cg-ask")
    assert isinstance(found, Tag)
    return found


# Languages ---------------------------------------------------------------------------------------------------------


@each_locale
def test_every_language_has_every_text(locale: str) -> None:
    texts = flat(LOCALES[locale])
    extra = {f"units.{unit}.few" for unit in LOCALES["en"]["units"]} if locale == "pl" else set()
    assert set(texts) == set(ENGLISH) | extra
    assert [key for key, text in texts.items() if not text.strip()] == []


@each_locale
def test_every_text_has_the_same_places_to_fill(locale: str) -> None:
    texts = flat(LOCALES[locale])
    differing = [
        key
        for key in ENGLISH
        if sorted(re.findall(r"\{\w*\}", texts[key])) != sorted(re.findall(r"\{\w*\}", ENGLISH[key]))
    ]
    assert differing == []


@each_locale
def test_no_text_was_left_in_english(locale: str) -> None:
    if locale == "en":
        return
    texts = flat(LOCALES[locale])
    long = [key for key in ENGLISH if len(ENGLISH[key]) > 22 and not key.startswith("countries.")]
    assert [key for key in long if texts[key] == ENGLISH[key]] == []


def test_every_reason_and_basis_has_its_words() -> None:
    assert {f"reason.{reason}" for reason in REASONS} <= set(ENGLISH)
    assert {f"exempt.{reason}" for reason in NECESSARY_REASONS} <= set(ENGLISH)
    assert {f"basis.{basis}" for basis in Basis} <= set(ENGLISH)


def test_every_text_is_used() -> None:
    sources = "".join(path.read_text("utf-8") for path in asset_root("templates").glob("*.html"))
    by_prefix = ("countries.", "units.", "exempt.", "reason.", "basis.", "purposes.", "details.", "direction", "name")
    unused = [key for key in ENGLISH if not key.startswith(by_prefix) and f"'{key}'" not in sources]
    assert unused == []


@each_locale
def test_all_markup_is_valid(locale: str) -> None:
    parser = html5lib.HTMLParser(strict=True)
    for markup in [*pages(ASSETS, locale).values(), document(parts(locale))]:
        parser.parse(markup)


@each_locale
def test_everything_says_its_language(locale: str) -> None:
    for name, markup in pages(ASSETS, locale).items():
        root = soup(markup).html
        assert root is not None
        assert (root["lang"], root["dir"]) == (locale, "ltr"), name
    for found in soup(parts(locale)).select("#cg-ask, #cg-back, .cg-embed"):
        assert found["lang"] == locale


# The first layer ---------------------------------------------------------------------------------------------------


@each_locale
def test_accept_reject_and_choose_stand_side_by_side(locale: str) -> None:
    layer = soup(ASSETS.layer(locale).banner(return_to="/here"))
    buttons = layer.select("#cg-all .cg-button")
    assert [(it.name, it.get("value")) for it in buttons] == [
        ("button", "accept"),
        ("button", "reject"),
        ("summary", None),
    ]
    assert [it.get("class") for it in buttons] == [["cg-button"]] * 3
    assert len({it.get_text() for it in buttons}) == 3


@each_locale
def test_nothing_is_ticked_and_the_necessary_has_no_box(locale: str) -> None:
    boxes = soup(ASSETS.layer(locale).banner(return_to="/")).select("input[type=checkbox]")
    assert [box["value"] for box in boxes] == ["preferences", "analytics", "marketing"]
    assert not any(box.has_attr("checked") for box in boxes)


@each_locale
def test_the_first_layer_says_what_a_scanner_and_a_visitor_look_for(locale: str) -> None:
    layer = soup(ASSETS.layer(locale).banner(return_to="/")).find(id="cg-ask")
    assert isinstance(layer, Tag)
    assert layer["role"] == "dialog"
    text = layer.get_text(" ")
    assert re.search("cookie", str(layer["aria-label"]), re.IGNORECASE)
    assert re.search("cookie", text, re.IGNORECASE)
    assert "Google Analytics" in text
    assert "YouTube" in text
    assert LOCALES[locale]["units"]["month"].get("other").format(n=6) in text
    assert LOCALES[locale]["back"]["link"] in text
    for purpose in ("preferences", "analytics", "marketing"):
        assert LOCALES[locale]["purposes"][purpose]["short"] in text
    assert [link["href"] for link in layer.select("a")] == ["/_privacy/notice", "/_privacy/details"]


def test_the_stock_phrases_are_whole() -> None:
    assert [it.get_text() for it in ask().select("#cg-all .cg-button")] == ["Accept all", "Reject all", "Choose"]
    assert [it.get_text() for it in ask().select("a")] == ["Privacy policy", "Cookie table"]


def test_the_forms_post_to_the_choices() -> None:
    layer = soup(ASSETS.layer("en").banner(return_to="/here?a=b"))
    forms = layer.select("form")
    assert [form["id"] for form in forms] == ["cg-all", "cg-pick", "cg-back", "cg-load"]
    assert {(form["method"], form["action"]) for form in forms} == {("post", "/_privacy/choices")}
    assert [it["value"] for it in layer.select("[name=return_to]")] == ["/here?a=b"] * 4
    assert [it["value"] for it in layer.select("#cg-pick [name=choice], #cg-load [name=choice]")] == ["save", "allow"]


def test_nothing_is_inline_and_nothing_is_elsewhere() -> None:
    for markup in [parts("en"), *pages(ASSETS, "en").values()]:
        found = soup(markup)
        assert found.select("style, [style], script:not([src])") == []
        assert not [name for it in found.find_all(True) for name in it.attrs if name.startswith("on")]
        loaded = [str(it.get("src") or it.get("href")) for it in found.select("[src], link")]
        assert loaded
        assert all(address.startswith("/_privacy/files/") for address in loaded)


def test_a_signal_is_acknowledged() -> None:
    assert "not to be tracked" in ASSETS.layer("en").banner(return_to="/", signal=True).decode()
    assert "not to be tracked" not in ASSETS.layer("en").banner(return_to="/").decode()


def test_many_third_parties_are_counted_not_listed() -> None:
    services = tuple(replace(VIDEO, id=f"service-{n}", name=f"Service {n}") for n in range(9))
    sentence = ask(services=services).select_one(".cg-words p")
    assert sentence is not None
    assert "Third parties involved: Service 0, Service 1, Service 2, Service 3, Service 4 +4." in sentence.get_text(" ")
    assert "Service 8" in ask(services=services).get_text()


def test_a_site_that_provides_everything_itself_names_no_third_party() -> None:
    own = replace(ANALYTICS, provider="Morrow Light AB")
    assert "Third parties" not in ask(services=(own,)).get_text()


def test_the_sites_own_words_stand_in_its_own_language() -> None:
    purposes = (*PURPOSES[:3], Purpose("club_events", Basis.CONSENT, title="Evenings", text="Tells you what is on."))
    layer = soup(Assets(sample_policy(purposes=purposes)).layer("de").banner(return_to="/"))
    item = next(it for it in layer.select(".cg-item") if "Evenings" in it.get_text())
    assert item["lang"] == "en"
    assert "Evenings" in layer.select(".cg-words p")[0].get_text()


def test_a_purpose_without_words_is_named_after_its_id() -> None:
    assert "Club events" in ask(purposes=(*PURPOSES, Purpose("club_events", Basis.CONSENT))).get_text()


def test_the_notice_may_be_the_sites_own() -> None:
    controller = Controller(name="A", email="a@b.test", notice_url="https://site.test/privacy")
    assert ask(controller=controller).select("a")[0]["href"] == "https://site.test/privacy"


def test_withdrawal_is_one_button_once_something_is_granted() -> None:
    layer = ASSETS.layer("en")
    granted = soup(layer.way_back(return_to="/a?b=c", granted=True)).select_one("#cg-back")
    refused = soup(layer.way_back(return_to="/", granted=False)).select_one("#cg-back")
    assert granted is not None
    assert refused is not None
    button = granted.select("button")[0]
    assert (button["name"], button["value"], button.get_text()) == ("choice", "reject", "Withdraw consent")
    assert not button.has_attr("hidden")
    assert not granted.has_attr("hidden")
    assert refused.select("button")[0].has_attr("hidden")
    assert granted.select("a")[0]["href"] == "/_privacy?return_to=/a%3Fb%3Dc"


# Pages -------------------------------------------------------------------------------------------------------------


def centre(*allowed: str, reason: str = "refused", **context: Any) -> BeautifulSoup:
    verdict = sample_verdict(ASSETS.policy, *allowed, reason=reason, consent_id="0f8fad5b")
    given = {"verdict": verdict, "signals": Signals(), "return_to": "/from?x=1", "saved": False, **context}
    return soup(ASSETS.page("centre", locale="en", **given))


def test_the_centre_shows_what_holds_now() -> None:
    page = centre("analytics")
    boxes = {str(box["value"]): box.has_attr("checked") for box in page.select("input[type=checkbox]")}
    assert boxes == {"preferences": False, "analytics": True, "marketing": False}
    assert "You allowed this." in page.get_text()
    assert [it["value"] for it in page.select("form button")] == ["save", "accept", "reject"]
    assert page.select("[role=status]") == []
    assert "0f8fad5b" in page.get_text()


@pytest.mark.parametrize("reason", ["refused", "unknown", "expired", "changed", "gpc", "dnt"])
def test_the_centre_says_why_something_is_off(reason: str) -> None:
    assert ENGLISH[f"reason.{reason}"] in centre(reason=reason).get_text()


def test_the_centre_confirms_and_names_the_signal() -> None:
    page = centre(saved=True, signals=Signals(gpc=True))
    notes = [it.get_text() for it in page.select("[role=status]")]
    assert notes == [ENGLISH["centre.saved"], ENGLISH["centre.gpc"]]
    assert page.select("script[data-changed]"), "other tabs are told"
    assert [it.get_text() for it in centre(signals=Signals(dnt=True)).select("[role=status]")] == [
        ENGLISH["centre.dnt"]
    ]


def test_the_centre_leads_back_and_stays_the_centre_on_saving() -> None:
    page = centre()
    assert page.select_one("[name=return_to]")["value"] == "/_privacy?return_to=/from%3Fx%3D1"  # type: ignore[index]
    assert "/from?x=1" in [link["href"] for link in page.select("main a")]


def test_the_centre_lists_services_with_provider_country_and_cookies() -> None:
    text = centre().get_text(" ")
    for words in ("Google Ireland Ltd, Ireland", "Plays videos.", "VISITOR_INFO1_LIVE", "Privacy policy of YouTube"):
        assert words in text


def test_the_cookie_table_has_every_column() -> None:
    page = soup(ASSETS.page("details", locale="en"))
    assert "Version 2026-11-21" in page.get_text()
    tables = page.select("table")
    assert [str(table.caption.get_text()) for table in tables if table.caption] == [
        f"Cookies and stored entries: {title}" for title in ("Necessary", "Preferences", "Analytics", "Marketing")
    ]
    rows = [
        [re.sub(r"\s+", " ", cell.get_text()).strip() for cell in row.select("th, td")]
        for row in page.select("tbody tr")
    ]
    label = ["Provider ", "Kind ", "Duration ", "Access by third parties ", "What for "]
    cells = [[row[0], *(cell.removeprefix(word) for cell, word in zip(row[1:], label, strict=True))] for row in rows]
    own, video = "Morrow Light AB", "Google Ireland Ltd"
    assert cells == [
        ["sessionid", own, "Session cookie", "until the browser is closed", "No", "Keeps you signed in."],
        ["theme", own, "Persistent cookie", "1 year", "No", "Light or dark."],
        ["_ga", "Google LLC", "Persistent cookie", "2 years", "Yes", "A number."],
        ["_hj*", "Google LLC", "Local storage", "until it is deleted", "Yes", "State of a recording."],
        ["VISITOR_INFO1_LIVE", video, "Persistent cookie", "6 months", "Yes", "Knows the browser."],
        ["YSC", video, "Session cookie", "until the browser is closed", "Yes", "Counts views."],
    ]


def test_the_notice_says_what_the_law_asks_for() -> None:
    text = soup(ASSETS.page("notice", locale="en")).get_text(" ")
    for words in (
        *("Morrow Light AB", "privacy@site.test", "Hamngatan 3", "GDPR Art 6(1)(a)", "GDPR Art 6(1)(b)", "YouTube"),
        *("With your consent to “Analytics”", "after 14 months", "holds for 6 months", "3 years", "authority"),
        *("withdraw consent at any time", "Version 2026-11-21", "ePrivacy Directive, Art 5(3)"),
    ):
        assert words in text, words


def test_the_notice_leaves_out_what_is_not_done() -> None:
    text = soup(Assets(sample_policy(usage=None, services=())).page("notice", locale="en")).get_text(" ")
    assert "page view" not in text
    assert "No other party is declared" in text


def test_a_message_shows_its_status_and_where_to_go() -> None:
    page = soup(pages(ASSETS, "en")["message"])
    assert "Error 403" in page.get_text()
    assert page.select_one("main a")["href"] == "/"  # type: ignore[index]
    fine = ASSETS.page("message", locale="en", title="Done", text="So.", status=200, link="")
    assert "Error" not in soup(fine).get_text()
    assert soup(fine).select("main a") == []


# In Chromium -------------------------------------------------------------------------------------------------------

WIDTHS = (320, 390, 768, 1280)
BUTTONS = """[...document.querySelectorAll('#cg-all .cg-button')].map(it => {
  const box = it.getBoundingClientRect(), style = getComputedStyle(it);
  return [Math.round(box.width * 10), Math.round(box.height * 10), style.fontFamily, style.fontSize, style.fontWeight,
    style.fontStyle, style.color, style.backgroundColor, style.borderTopColor, style.borderTopWidth, style.opacity,
    style.borderTopLeftRadius, style.textDecorationLine, style.textTransform, style.boxShadow, style.padding];
})"""
CONTRAST = """() => {
  const numbers = colour => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d');
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = it => it <= .04045 ? it / 12.92 : ((it + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(it => linear(it / 255))
    .reduce((sum, it, i) => sum + it * [.2126, .7152, .0722][i], 0);
  const behind = it => {
    for (; it; it = it.parentElement) {
      const colour = numbers(getComputedStyle(it).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const it = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !it.checkVisibility() || it.closest('script')) continue;
    const [one, two] = [light(numbers(getComputedStyle(it).color)), light(behind(it))].sort((a, b) => b - a);
    found.push([walker.currentNode.data.trim(), (one + .05) / (two + .05)]);
  }
  return found;
}"""
UGLY = """<style>
* { letter-spacing: .1em } html { font-size: 62.5% } body { font: italic 30px/3 serif; text-align: right }
button { width: 40%; text-transform: uppercase; background: lime; float: left; border-radius: 50% }
button[value=accept] { background: green; font-size: 2em } summary { color: red; display: inline }
details { margin: 3em } input { display: none } form { border: 9px solid; padding: 2em; position: absolute }
label, p, h2 { color: red; margin: 2em } a { color: white } svg { width: 9px; height: 9px } span { display: none }
[hidden] { display: block }
</style>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def site() -> Iterator[FakeSite]:
    with serving(ASSETS) as served:
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")
    yield context.new_page()
    context.close()


def show(page: Page, site: FakeSite, markup: str, *, head: str = "", width: int = 1280, height: int = 800) -> None:
    """Open a page of our own, or one with some markup in it."""
    site.pages["/here"] = markup if markup.startswith("<!doctype") else document(markup, head=head)
    page.set_viewport_size({"width": width, "height": height})
    page.goto(site.origin + "/here")


def filler(lines: int = 60) -> str:
    return "".join(f'<p><a href="#{n}">Line {n}</a></p>' for n in range(lines))


@each_locale
def test_yes_no_and_choose_look_the_same(page: Page, site: FakeSite, locale: str) -> None:
    for width in WIDTHS:
        show(page, site, ASSETS.layer(locale).banner(return_to="/").decode(), width=width)
        looks = page.evaluate(BUTTONS)
        assert looks[0] == looks[1] == looks[2], width
        assert looks[0][1] >= 440, "as high as a finger"
        page.click("#cg-choose")
        page.mouse.move(0, 0)
        opened = page.evaluate(BUTTONS)
        assert opened[0] == opened[1] == opened[2], width


def test_a_sites_own_style_does_not_tell_them_apart(page: Page, site: FakeSite) -> None:
    show(page, site, ASSETS.layer("en").banner(return_to="/").decode(), head=UGLY)
    looks = page.evaluate(BUTTONS)
    assert looks[0] == looks[1] == looks[2]
    page.click("#cg-choose")
    assert page.locator("#cg-pick input[type=checkbox]").first.is_visible()
    assert page.locator("#cg-back").is_hidden()
    assert min(ratio for _, ratio in page.evaluate(CONTRAST)) >= 4.5


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("locale", ["en", "de"])
def test_the_first_layer_fits_and_leaves_the_page_in_sight(page: Page, site: FakeSite, width: int, locale: str) -> None:
    height = 568 if width == 320 else 800
    show(page, site, filler() + ASSETS.layer(locale).banner(return_to="/").decode(), width=width, height=height)
    box = page.locator("#cg-ask").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["height"] <= 0.75 * height
    assert box["y"] + box["height"] <= height
    for button in page.locator("#cg-all .cg-button").all():
        inner = button.bounding_box()
        assert inner is not None
        assert inner["y"] + inner["height"] <= height, "all three are in sight without scrolling"
        assert inner["y"] >= box["y"]
    page.get_by_role("link", name="Line 0", exact=True).click()
    assert page.url.endswith("#0"), "the page stays usable"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["first layer", "way back and placeholders", "centre", "details", "notice", "message"])
def test_every_text_can_be_read(browser: Browser, site: FakeSite, scheme: Any, name: str) -> None:
    layer = ASSETS.layer("en")
    shown = {
        "first layer": layer.banner(return_to="/", signal=True).decode(),
        "way back and placeholders": placeholder()
        + placeholder(purpose="", service="")
        + layer.way_back(return_to="/", granted=True).decode(),
        **pages(ASSETS, "en"),
    }
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    show(page, site, shown[name], head='<meta name="color-scheme" content="light dark">')
    page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true })")
    found = page.evaluate(CONTRAST)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    context.close()
    assert dark is (scheme == "dark")
    assert len(found) > 3
    assert [(text, round(ratio, 2)) for text, ratio in found if ratio < 4.5] == []


def test_the_first_layer_follows_the_pages_colour_scheme(page: Page, site: FakeSite) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        head = f'<meta name="color-scheme" content="{scheme}">'
        show(page, site, ASSETS.layer("en").banner(return_to="/").decode(), head=head)
        colours.add(page.locator("#cg-ask").evaluate("it => getComputedStyle(it).backgroundColor"))
    assert len(colours) == 2


def test_a_site_sets_its_own_colours(page: Page, site: FakeSite) -> None:
    head = "<style>:root { --cg-button: rgb(1, 2, 3); --cg-radius: 0px }</style>"
    show(page, site, ASSETS.layer("en").banner(return_to="/").decode(), head=head)
    looks = page.evaluate(BUTTONS)
    assert looks[0] == looks[1] == looks[2]
    assert "rgb(1, 2, 3)" in looks[0]


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("name", ["centre", "details", "notice", "message", "parts"])
def test_nothing_is_wider_than_a_narrow_screen(page: Page, site: FakeSite, name: str, direction: str) -> None:
    shown = {**pages(ASSETS, "de"), "parts": document(parts("de") + placeholder(width="100%", height="400"))}
    show(page, site, shown[name].replace('dir="ltr"', f'dir="{direction}"'), width=320)
    page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@each_locale
def test_the_way_back_fits_a_narrow_screen(page: Page, site: FakeSite, locale: str) -> None:
    show(page, site, ASSETS.layer(locale).way_back(return_to="/", granted=True).decode(), width=320)
    box = page.locator("#cg-back").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    assert box["height"] <= 60
    assert page.locator("#cg-back").evaluate("it => it.scrollWidth <= it.offsetWidth")


def test_every_target_is_large_enough(page: Page, site: FakeSite) -> None:
    small = """[...document.querySelectorAll('a, button, summary, input:not([type=hidden])')]
      .filter(it => it.checkVisibility()).map(it => [it.innerText || it.value, it.getBoundingClientRect()])
      .filter(([, box]) => Math.min(box.width, box.height) < 24).map(([text, box]) => [text, box.width, box.height])"""
    way_back = ASSETS.layer("en").way_back(return_to="/", granted=True).decode()
    for markup in (
        ASSETS.layer("en").banner(return_to="/").decode(),
        placeholder() + way_back,
        pages(ASSETS, "en")["centre"],
    ):
        show(page, site, markup, width=390)
        page.evaluate("document.querySelectorAll('details').forEach(it => { it.open = true })")
        assert page.evaluate(small) == []


def test_nothing_moves_when_the_first_layer_appears(page: Page, site: FakeSite) -> None:
    watch = """<script>window.shifts = [];
      new PerformanceObserver(list => shifts.push(...list.getEntries().map(it => it.value)))
        .observe({ type: 'layout-shift', buffered: true })</script>"""
    show(page, site, watch + filler() + ASSETS.layer("en").banner(return_to="/").decode())
    page.wait_for_timeout(300)
    assert page.evaluate("shifts") == []


@pytest.mark.parametrize("scripted", [True, False])
def test_focus_is_never_hidden_behind_it(browser: Browser, site: FakeSite, scripted: bool) -> None:
    context = browser.new_context(java_script_enabled=scripted)
    page = context.new_page()
    show(page, site, filler(30) + ASSETS.layer("en").banner(return_to="/").decode(), width=390, height=700)
    top = page.locator("#cg-ask").bounding_box()
    assert top is not None
    for n in range(25):
        page.keyboard.press("Tab")
        box = page.get_by_role("link", name=f"Line {n}", exact=True).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= top["y"] + 1, n
    context.close()


def test_focus_can_be_seen(page: Page, site: FakeSite) -> None:
    way_back = ASSETS.layer("en").way_back(return_to="/", granted=True).decode()
    show(
        page,
        site,
        placeholder() + way_back.replace('id="cg-load"', 'id="x"') + ASSETS.layer("en").banner(return_to="/").decode(),
    )
    for selector in ("#cg-accept", "#cg-choose", "#cg-ask a", "#cg-back a", ".cg-embed button"):
        page.keyboard.press("Tab")
        page.locator(selector).first.focus()
        assert page.locator(selector).first.evaluate("it => getComputedStyle(it).outlineStyle") == "solid", selector


def test_names_and_roles_for_assistive_technology(page: Page, site: FakeSite) -> None:
    show(page, site, ASSETS.layer("en").banner(return_to="/").decode())
    dialog = page.get_by_role("dialog", name="Cookies and privacy choices")
    assert dialog.get_by_role("heading", name="Cookies on Morrow Light").is_visible()
    page.click("#cg-choose")
    for name in ("Preferences", "Analytics", "Marketing"):
        expect(dialog.get_by_role("checkbox", name=name)).not_to_be_checked()
    assert dialog.get_by_role("button", name="Save my choices").is_visible()


def test_it_is_not_printed(page: Page, site: FakeSite) -> None:
    show(page, site, "<h1>Printed</h1>" + ASSETS.layer("en").banner(return_to="/").decode())
    page.emulate_media(media="print")
    assert page.locator("#cg-ask").is_hidden()
    assert page.locator("h1").is_visible()


def test_toggles_show_their_state_in_forced_colours(page: Page, site: FakeSite) -> None:
    show(page, site, ASSETS.layer("en").banner(return_to="/").decode())
    page.emulate_media(forced_colors="active")
    page.click("#cg-choose")
    assert page.locator("[value=analytics]").evaluate("it => getComputedStyle(it).appearance") == "auto"
    looks = page.evaluate(BUTTONS)
    assert looks[0] == looks[1] == looks[2]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [("560", "315", (560, 315)), ("50%", "200", (300, 200)), ("100%", "300", (600, 300)), ("", "", (600, 337.5))],
)
def test_a_placeholder_takes_the_place_of_its_embed(
    page: Page, site: FakeSite, width: str, height: str, expected: tuple[float, float]
) -> None:
    wide = "<style>body { margin: 0; width: 600px } svg { width: 9px; height: 1em }</style>"
    show(page, site, f"<p>{placeholder(width=width, height=height)}</p>" + parts("en"), head=wide)
    box = page.locator("p .cg-embed").bounding_box()
    assert box is not None
    assert (round(box["width"], 1), round(box["height"], 1)) == expected


def test_a_placeholder_keeps_its_proportions_on_a_narrow_screen(page: Page, site: FakeSite) -> None:
    show(page, site, f"<p>{placeholder(width='1000', height='1000')}</p>" + parts("en"), width=390)
    box = page.locator("p .cg-embed").bounding_box()
    assert box is not None
    assert box["width"] == box["height"] == 374


def test_a_version_is_shown_as_written() -> None:
    odd = Site(name="A", policy_version="v7 <draft>", hosts=("site.test",))
    assert "Version v7 &lt;draft&gt;" in Assets(sample_policy(site=odd)).page("details", locale="en").decode()
