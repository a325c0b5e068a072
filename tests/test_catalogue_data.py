"""The catalogue's facts, read straight from TOML: complete, well-formed, and told apart from each other.

What a loader makes of them is tested elsewhere. Here stand the rules a wrong line would break in the field: a signature
that stops a page's own script, a pattern that swallows the site's own cookie, a host that two services claim.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import isodate
import pytest
from publicsuffixlist import PublicSuffixList

FOLDER = Path(__file__).parents[1] / "cookiegate" / "policy" / "services"
AT_LEAST = 450
"""Services: raise it when the catalogue has grown, so that none gets lost."""

Entry = dict[str, Any]

PURPOSES = {"necessary", "preferences", "analytics", "marketing"}
REASONS = {
    *("authentication", "csrf", "session", "load-balancing", "security"),
    *("user-input", "media-player", "customisation", "choice"),
}
SERVICE_TEXTS = {"id", "name", "provider", "country", "purpose", "description", "docs", "privacy"}
SERVICE_KEYS = SERVICE_TEXTS | {"hosts", "signatures", "reason", "cookie", "storage"}
FILES = {
    *("analytics", "tag-managers", "advertising", "social", "video", "maps-fonts", "support-crm"),
    *("payments-security", "cdn", "other", "necessary"),
}
HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
PATH = re.compile(r"(?:/[A-Za-z0-9._@~-]+)*")
COOKIE_TOKEN = re.compile(r"[^\x00-\x20\x7f\"(),;<=>?@\[\]\\{}]+")
"""A token of RFC 2616 2.2 but for "/" and ":", which browsers let pass and services do use."""

NAMED_IN_THE_ISSUE = (
    *("google-analytics", "google-tag-manager", "google-ads", "meta-pixel", "facebook", "youtube", "vimeo"),
    *("google-maps", "google-fonts", "hotjar", "microsoft-clarity", "matomo", "plausible", "linkedin-insight"),
    *("x", "x-ads", "tiktok", "tiktok-pixel", "pinterest", "pinterest-tag", "hubspot", "intercom", "stripe", "paypal"),
    *("recaptcha", "hcaptcha", "cloudflare", "jsdelivr", "cdnjs", "unpkg", "sentry", "segment", "mixpanel"),
    *("amplitude", "posthog", "optimizely", "adobe-analytics", "adobe-target", "adobe-experience-cloud"),
    *("microsoft-advertising", "criteo", "taboola", "outbrain", "spotify", "soundcloud", "instagram", "mailchimp"),
    *("surveymonkey", "disqus"),
)
FRAMEWORK_COOKIES = {
    "Django": ("sessionid", "csrftoken", "messages"),
    "Flask, Starlette, Quart": ("session", "remember_token", "QUART_AUTH"),
    "FastAPI": ("fastapiusersauth", "fastapi-csrf-token", "access_token_cookie", "csrf_access_token"),
    "Litestar, Tornado, CherryPy": ("csrftoken", "_xsrf", "session_id"),
    "PHP, Laravel, Symfony": ("PHPSESSID", "laravel_session", "XSRF-TOKEN", "REMEMBERME"),
    "WordPress": ("wordpress_logged_in_0a1b2c", "wordpress_sec_0a1b2c", "wp_woocommerce_session_0a1b2c"),
    "Drupal": ("SESS49960de5880e8c687434170f6476605b", "SSESS49960de5880e8c687434170f6476605b"),
    "Rails": ("_myapp_session", "remember_user_token"),
    "Node": ("connect.sid", "next-auth.session-token", "__Secure-next-auth.session-token", "authjs.csrf-token"),
    "ASP.NET": ("ASP.NET_SessionId", ".AspNetCore.Session", ".AspNetCore.Antiforgery.cdV5uW_Ejgc"),
    "Java": ("JSESSIONID", "PLAY_SESSION"),
    "Phoenix": ("_myapp_key",),
    "sign-in": ("AUTH_SESSION_ID", "KEYCLOAK_IDENTITY", "_oauth2_proxy", "_oauth2_proxy_csrf", "authelia_session"),
    "balancers": ("AWSALB", "AWSALBCORS", "AWSALBAPP-0", "ARRAffinity", "GCLB", "SERVERID", "BIGipServerpool"),
}
A_SITES_OWN = (
    *("session", "sessionid", "session_id", "sid", "user", "user_id", "uid", "id", "uuid", "token", "access_token"),
    *("auth", "lang", "language", "locale", "country", "region", "currency", "theme", "dark_mode", "layout", "sidebar"),
    *("cart", "cart_id", "basket", "wishlist", "recently_viewed", "consent", "cookie_consent", "privacy", "prefs"),
    *("first_visit", "last_visit", "visits", "visitor", "referrer", "ref", "utm_source", "utm_campaign", "campaign"),
    *("variant", "experiment", "flash", "notice", "message", "next", "return_to", "login", "username", "email", "tz"),
    *("page", "player", "volume", "quality", "debug", "test", "version", "app", "mode", "view", "sort", "filter"),
    *("search", "poll", "survey", "feedback", "order_id", "coupon", "device", "device_id", "city", "location", "push"),
    *("newsletter", "popup", "banner", "tour", "media", "audit", "state", "nonce", "aws_region", "awesome", "partner"),
    *("mp_lang", "amp_mode", "ab_test", "map_zoom", "A", "a", "C", "c", "i", "PREF", "LANG", "SID", "GEO", "_lang"),
)
"""Names sites give to cookies of their own. A declared service must not take them over."""
COVERED_BY_NECESSARY = {
    *("SESSIONDATA", "__kla_session", "_answer_bot_service_session", "_calendly_session", "_gd_session"),
    *("_help_center_session", "_osm_session", "_parsely_session", "_scribd_session", "_zendesk_nps_session"),
    *("_zendesk_session", "_zendesk_shared_session"),
}
"""Cookies of services that the wide patterns of Rails and Drupal cover too: here an exact name must go first."""
OVERLAPS = {
    ("AMP_TOKEN", "AMP_*"),
    ("_pk_id.*-*-*-*-*.*", "_pk_id*"),
    ("_pk_ses.*-*-*-*-*.*", "_pk_ses*"),
}
"""Names of one service that another's pattern covers: the longer, or exact, name is meant."""
INNOCENT = (
    "document.documentElement.classList.replace('no-js', 'js')",
    "window.dataLayer = window.dataLayer || []; dataLayer.push({page_type: 'article'})",
    "window.dataLayer = window.dataLayer || []; function gtag(){dataLayer.push(arguments)}",
    "window.__INITIAL_STATE__ = {user: null, csrfToken: 'x', ANALYTICS_CONFIG: {enabled: false}}",
    "track('signup'); page('home'); identify(user); analytics.track('Signed up')",
    "fire('identify', el); require('identify'); hire('trackConversion')",
    "stats.start(); http.push('/'); queue.push(item); flux.init(); FLUX.init(); saga.run(root)",
    "const tradition = {}; tradition.name = 'x'; edition.load(); condition.wait()",
    "dispatch({type: 'ADD_LOGS'}); dispatch({type: 'ADD_RUM'}); const SOURCE_SNAPSHOT_NAME = 1",
    "var giftTag = 1, leftTag = 2, strNotify = '', prevDisplay = 'none', webRandom = Math.random()",
    "get_pagename(); set_pagename(); misc_project; desc_security; is_account_holder; users_account",
    "function form_transition(){} var src = 'x'; el.className = 'src-widget arc-widget'",
    "new MinHeap([3, 1, 2]).load([4]); heap.push(1); heap.load(data)",
    "clarity(image); spotify = null; tiktok.tick(); reddit(); intercom = document.querySelector('#door')",
    "const map = new Map(); map.set('a', 1); L.map('map').setView([51.5, -0.1], 13)",
    "new Chart(ctx, {type: 'bar'}); hljs.highlightAll(); MathJax = {tex: {}}; Prism.highlightAll()",
    "$(function () { $('.carousel').carousel(); $('[data-toggle]').tooltip() })",
    "Alpine.start(); htmx.process(document.body); Turbo.start(); Stimulus.register('x', X)",
    "self.__next_f = self.__next_f || []; self.__next_f.push([0])",
    "window.__NUXT__ = (function (a) { return {data: [a]} })('hello')",
    "navigator.serviceWorker.register('/sw.js'); localStorage.getItem('theme')",
    "if (window.matchMedia('(prefers-color-scheme: dark)').matches) setTheme('dark')",
    "fetch('/api/events', {method: 'POST', body: JSON.stringify({event: 'view', path: location.pathname})})",
    "try { boot() } catch (e) { console.error(e); if (window.Sentry) Sentry.captureException(e) }",
    "var _state = {}; _state.push = function () {}; init('config'); create('auto'); send('pageview')",
    "document.querySelectorAll('video').forEach(v => v.addEventListener('play', onPlay))",
    "class Player { play() {} } const player = new Player(); player.on('ready', start)",
    "const url = new URL('/search', location.href); url.searchParams.set('q', q); history.pushState({}, '', url)",
    "webpackChunk = self.webpackChunk || []; webpackChunk.push([[179], {}])",
    "wp.i18n.setLocaleData({'text direction\u0004ltr': ['ltr']}); window._wpemojiSettings = {}",
    "jQuery.migrateMute = true; Drupal.behaviors.x = {attach(c) {}}; drupalSettings.path = {}",
    "mw.loader.load(['site']); RLCONF = {}; RLSTATE = {}",
    '{"@context": "https://schema.org", "@type": "Article", "headline": "x"}',
)
"""Inline scripts as sites write them for themselves, with words near to those of services."""


@dataclass(frozen=True)
class Claim:
    """One cookie of the catalogue, with whose it is."""

    owner: str
    pattern: str

    @property
    def sample(self) -> str:
        """A name it stands for."""
        return self.pattern.replace("*", "x")


def documents() -> dict[str, Entry]:
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}


DOCUMENTS = documents()
SERVICES: list[Entry] = [entry for document in DOCUMENTS.values() for entry in document.get("service", [])]
NECESSARY: list[Entry] = DOCUMENTS["necessary"]["cookie"]
CLAIMS = [Claim(entry["id"], cookie["name"]) for entry in SERVICES for cookie in entry.get("cookie", [])]
NECESSARY_CLAIMS = [Claim("necessary", cookie["name"]) for cookie in NECESSARY]
SUFFIXES = PublicSuffixList(accept_unknown=False)


def cookies() -> Iterator[Entry]:
    yield from NECESSARY
    yield from (cookie for entry in SERVICES for cookie in entry.get("cookie", []))


def stored() -> Iterator[Entry]:
    yield from cookies()
    yield from (key for entry in SERVICES for key in entry.get("storage", []))


def places() -> list[tuple[str, str]]:
    """Every host with its path, once per service that claims it."""
    split = (host.partition("/") for entry in SERVICES for host in entry["hosts"])
    return [(host, f"/{path}".rstrip("/") if slash else "") for host, slash, path in split]


def signatures() -> list[str]:
    return [text for entry in SERVICES for text in entry.get("signatures", [])]


def repeated(items: Iterator[Any] | list[Any]) -> list[Any]:
    return [item for item, count in Counter(items).items() if count > 1]


def test_the_files_are_those_the_documentation_names() -> None:
    assert set(DOCUMENTS) == FILES
    assert all(set(document) == {"service"} for name, document in DOCUMENTS.items() if name != "necessary")
    assert set(DOCUMENTS["necessary"]) == {"cookie"}


def test_the_catalogue_is_large_enough() -> None:
    assert len(SERVICES) >= AT_LEAST


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.get("id", "?"))
def test_a_service_is_complete(entry: Entry) -> None:
    assert set(entry) <= SERVICE_KEYS
    assert {key for key in SERVICE_TEXTS if not str(entry.get(key, "")).strip()} == set()
    assert entry["purpose"] in PURPOSES
    assert re.fullmatch(r"[A-Z]{2}", entry["country"])
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"])
    assert len(entry["id"]) < 28, "too long for the columns it is listed in"
    assert entry["hosts"] or entry.get("signatures"), "nothing to recognise it by"
    assert not {"signatures", "cookie", "storage"} & {key for key, value in entry.items() if value == []}


def test_ids_and_names_are_unique() -> None:
    assert repeated([entry["id"] for entry in SERVICES]) == []
    assert repeated([entry["name"] for entry in SERVICES]) == []


@pytest.mark.parametrize("identity", NAMED_IN_THE_ISSUE)
def test_the_services_everybody_embeds_are_known(identity: str) -> None:
    assert identity in {entry["id"] for entry in SERVICES}


def test_links_are_https_with_a_host() -> None:
    links = [entry[key] for entry in SERVICES for key in ("docs", "privacy")]
    parts = [(link, urlsplit(link)) for link in links]
    assert [link for link, part in parts if part.scheme != "https" or not HOST.fullmatch(part.netloc)] == []


def test_hosts_are_bare_lower_case_a_labels() -> None:
    assert [host for host, _ in places() if not HOST.fullmatch(host) or len(host) > 253] == []
    assert [path for _, path in places() if not PATH.fullmatch(path)] == []


def test_no_place_is_claimed_twice() -> None:
    assert repeated(places()) == []


def test_no_host_is_a_public_suffix() -> None:
    assert [host for host, _ in places() if SUFFIXES.is_public(host)] == []


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry["id"])
def test_a_service_lists_no_host_below_another_of_its_own(entry: Entry) -> None:
    whole = {host for host in entry["hosts"] if "/" not in host}
    others = {place.partition("/")[0] for other in SERVICES if other is not entry for place in other["hosts"]}
    for place in entry["hosts"]:
        host = place.partition("/")[0]
        above = [parent for parent in parents(host) if parent in whole]
        between = [parent for parent in (host, *parents(host)) if parent in others]
        assert not above or between, f"{place} is covered by {above[0]}"


def parents(host: str) -> list[str]:
    """``a.b.c`` gives ``b.c`` and ``c``."""
    labels = host.split(".")
    return [".".join(labels[index:]) for index in range(1, len(labels))]


def test_a_cookie_is_a_session_one_or_has_a_lifetime() -> None:
    for cookie in cookies():
        assert cookie["kind"] in {"session", "persistent"}, cookie
        assert ("lifetime" in cookie) == (cookie["kind"] == "persistent"), cookie


def test_lifetimes_are_periods_a_cookie_may_have() -> None:
    start = isodate.parse_datetime("2025-01-01T00:00:00")
    for cookie in cookies():
        if "lifetime" in cookie:
            end = start + isodate.parse_duration(cookie["lifetime"])
            assert timedelta() < end - start <= timedelta(days=50 * 366), cookie


def test_every_stored_thing_is_described() -> None:
    keys = {"name", "kind", "lifetime", "area", "reason", "description"}
    for entry in stored():
        assert set(entry) <= keys, entry
        assert re.fullmatch(r"[A-Z].*\.", entry["description"]), entry
        assert ("area" in entry) != ("kind" in entry), entry
        assert entry.get("area", "local") in {"local", "session"}, entry


def test_descriptions_are_sentences_for_people() -> None:
    for entry in SERVICES:
        assert re.fullmatch(r"[A-Z].*\.", entry["description"]), entry["id"]
        assert len(entry["description"]) <= 200, entry["id"]


def test_names_are_ones_browsers_keep() -> None:
    assert [cookie["name"] for cookie in cookies() if not COOKIE_TOKEN.fullmatch(cookie["name"])] == []


def test_patterns_name_something() -> None:
    """Two literal characters at least, and at most those special characters that pattern matching means literally."""
    for entry in stored():
        assert len(entry["name"].replace("*", "")) >= 2, entry
        assert "**" not in entry["name"], entry
        assert not re.search(r"[?\[\]]", entry["name"]), entry


def test_no_cookie_is_declared_twice() -> None:
    assert repeated([claim.pattern for claim in (*CLAIMS, *NECESSARY_CLAIMS)]) == []


def test_no_storage_key_is_declared_twice_in_a_service() -> None:
    for entry in SERVICES:
        assert repeated([(key["name"], key["area"]) for key in entry.get("storage", [])]) == [], entry["id"]


def test_patterns_keep_to_their_own_service() -> None:
    wide = [claim for claim in CLAIMS if "*" in claim.pattern]
    found = {
        (claim.pattern, pattern.pattern)
        for pattern in wide
        for claim in CLAIMS
        if claim.owner != pattern.owner and fnmatchcase(claim.sample, pattern.pattern)
    }
    assert found == OVERLAPS


@pytest.mark.parametrize("name", A_SITES_OWN)
def test_no_service_takes_over_a_sites_own_cookie(name: str) -> None:
    assert [claim for claim in CLAIMS if fnmatchcase(name, claim.pattern)] == []


def test_necessary_patterns_cover_no_other_services_cookie() -> None:
    covered = {
        claim.pattern for claim in CLAIMS for rule in NECESSARY_CLAIMS if fnmatchcase(claim.sample, rule.pattern)
    }
    assert covered == COVERED_BY_NECESSARY
    assert not any("*" in name for name in covered), "only an exact name wins over a pattern"


def test_what_is_stored_without_asking_says_why() -> None:
    storing = [entry for entry in SERVICES if entry.get("cookie") or entry.get("storage")]
    assert {cookie["reason"] for cookie in NECESSARY} <= REASONS
    assert {entry["reason"] for entry in storing if entry["purpose"] == "necessary"} <= REASONS
    assert [entry["id"] for entry in SERVICES if "reason" in entry and entry["purpose"] != "necessary"] == []


@pytest.mark.parametrize(("framework", "names"), FRAMEWORK_COOKIES.items())
def test_the_cookies_of_frameworks_are_necessary(framework: str, names: tuple[str, ...]) -> None:
    patterns = [cookie["name"] for cookie in NECESSARY]
    assert [name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)] == []


def test_signatures_are_long_enough_and_told_apart() -> None:
    assert [text for text in signatures() if len(text) < 4 or text != text.strip()] == []
    assert repeated(signatures()) == []


@pytest.mark.parametrize("script", INNOCENT)
def test_no_signature_stops_a_sites_own_script(script: str) -> None:
    assert [text for text in signatures() if text in script] == []


@pytest.mark.parametrize(
    ("identity", "script"),
    [
        (
            "google-analytics",
            "window.dataLayer = window.dataLayer || []; gtag('js', new Date()); gtag('config', 'G-X')",
        ),
        ("google-tag-manager", "(function(w,d,s,l,i){w[l].push({'gtm.start': new Date().getTime()})})(window)"),
        ("meta-pixel", "fbq('init', '1234567890'); fbq('track', 'PageView');"),
        ("matomo", "var _paq = window._paq = window._paq || []; _paq.push(['trackPageView']);"),
        ("hotjar", "(function(h,o,t,j,a,r){h._hjSettings={hjid:1,hjsv:6}})(window,document)"),
        ("microsoft-clarity", '(function(c,l,a,r,i,t,y){})(window, document, "clarity", "script", "abc");'),
        ("linkedin-insight", '_linkedin_partner_id = "123";'),
        ("tiktok-pixel", "!function (w, d, t) { w.TiktokAnalyticsObject=t; ttq.load('X'); ttq.page(); }(window)"),
        ("pinterest-tag", "pintrk('load', '123'); pintrk('page');"),
        ("microsoft-advertising", '(function(w,d,t,r,u){w[u]=w[u]||[]})(window,document,"script","//x","uetq");'),
        ("segment", "!function(){var analytics=window.analytics=window.analytics||[]}();"),
        ("mixpanel", "mixpanel.init('token', {track_pageview: true})"),
        ("posthog", "posthog.init('phc_x', {api_host: 'https://eu.i.posthog.com'})"),
        ("hubspot", "hbspt.forms.create({portalId: '1', formId: '2'})"),
        ("intercom", "window.intercomSettings = {app_id: 'x'};"),
        ("google-maps", "new google.maps.Map(document.getElementById('map'), {zoom: 8})"),
        ("recaptcha", "grecaptcha.ready(function () { grecaptcha.execute('key') })"),
        ("disqus", "var disqus_config = function () { this.page.url = location.href }"),
    ],
)
def test_the_snippets_that_services_hand_out_are_recognised(identity: str, script: str) -> None:
    owners = {entry["id"] for entry in SERVICES for text in entry.get("signatures", []) if text in script}
    assert owners == {identity}
