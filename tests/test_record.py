"""What may be written down: fields, precision, masks, and nothing at all without a basis."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from http_samples import FIREFOX, sample_policy
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cookiegate.lawful import Verdict, decide
from cookiegate.policy import Basis, Period, Policy, Usage, parse_policy
from cookiegate.preview import verdict_for
from cookiegate.record import (
    Count,
    Request,
    Salts,
    UsageRecord,
    client_address,
    count,
    minimise,
    referrer_origin,
    scrub_path,
    truncate_ip,
    visit_key,
)
from cookiegate.signals import Signals

NOON = datetime(2026, 11, 22, 12, 34, 56, 789_000, tzinfo=UTC)
POLICY = sample_policy()
SALTS = Salts("2026-11-22", b"today" * 6, b"before" * 5)
ALLOWED = verdict_for(POLICY, ["analytics"], NOON)
UNDECIDED = decide(POLICY, Signals(), None, NOON)
REFUSED = verdict_for(POLICY, ["preferences", "marketing"], NOON)
UUID = "550e8400-e29b-41d4-a716-446655440000"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)
IPAD = IPHONE.replace("iPhone;", "iPad;").replace("CPU iPhone OS", "CPU OS")
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "at": NOON,
        "host": "site.test",
        "path": "/journal/the-light",
        "client": "203.0.113.77",
        "user_agent": FIREFOX,
        "referrer": "https://search.example/?q=me",
        "status": 200,
        "duration_ms": 12,
    }
    return Request(**values | changes)


def record(verdict: Verdict = ALLOWED, policy: Policy = POLICY, **changes: Any) -> UsageRecord | None:
    return minimise(policy, Signals(country="SE"), verdict, request(**changes), SALTS)


# Which fields ---------------------------------------------------------------------------------------------------------


def test_exactly_the_fields_of_the_strict_profile() -> None:
    made = record()
    assert made is not None
    kept = {name: value for name, value in asdict(made).items() if value is not None}
    assert len(kept.pop("visit_key")) == len(kept.pop("previous_key")) == 24
    assert uuid.UUID(kept.pop("consent_id")).version == 4
    assert kept == {
        "at": datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC),
        "host": "site.test",
        "path": "/journal/the-light",
        "purpose": "analytics",
        "basis": Basis.CONSENT,
        "policy_version": "2026-11-21",
        "status": 200,
        "duration_ms": 12,
        "referrer": "https://search.example",
        "ip": "203.0.113.0",
        "country": "SE",
        "browser": "Firefox",
        "browser_version": "140",
        "os": "Linux",
        "device": "desktop",
    }


@pytest.mark.parametrize("verdict", [UNDECIDED, REFUSED])
def test_nothing_without_a_basis(verdict: Verdict) -> None:
    assert record(verdict) is None


def test_nothing_where_the_policy_has_no_usage_data() -> None:
    assert record(policy=replace(POLICY, usage=None)) is None


def test_nothing_but_consent_covers_a_person_in_the_strict_profile() -> None:
    policy = parse_policy(
        '[site]\nname = "S"\npolicy_version = "1"\n[controller]\nname = "C"\nemail = "a@b.test"\n'
        '[[purpose]]\nid = "operations"\nbasis = "legitimate_interests"\nnecessary = true\ntitle = "T"\ntext = "T"\n'
        '[usage]\npurpose = "analytics"\nretention = "P1M"'
    )
    # The loader refuses this; a policy built by hand could still say it.
    policy = replace(policy, usage=Usage(Period("P1M"), purpose="operations"))
    verdict = decide(policy, Signals(), None, NOON)
    assert verdict.allows("operations")
    assert record(verdict, policy) is None


@given(st.sampled_from([UNDECIDED, REFUSED]), st.text(), st.text(), st.text(), st.text())
def test_whatever_is_sent_nothing_is_kept_without_a_basis(
    verdict: Verdict, path: str, client: str, agent: str, referrer: str
) -> None:
    assert record(verdict, path=path, client=client, user_agent=agent, referrer=referrer) is None


@given(st.text(), st.text(), st.text(), st.text(max_size=600))
@example("/\ud800", "\ud800", "\ud800", "\ud800")
@example("", "", "http://[", "")
def test_whatever_is_sent_a_record_is_made(path: str, client: str, referrer: str, agent: str) -> None:
    made = record(path=path, client=client, user_agent=agent, referrer=referrer)
    if made is not None:
        assert made.ip is None or ip_address(made.ip)
        assert len(made.path) <= 512


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (FIREFOX, ("Firefox", "140", "Linux", "desktop")),
        (IPHONE, ("Mobile Safari", "18", "iOS", "mobile")),
        (IPAD, ("Mobile Safari", "18", "iOS", "tablet")),
        ("", ("Other", None, "Other", "other")),
        ("nonsense", ("Other", None, "Other", "other")),
    ],
)
def test_families_and_major_versions(agent: str, expected: tuple[str | None, ...]) -> None:
    made = record(user_agent=agent)
    assert made is not None
    assert (made.browser, made.browser_version, made.os, made.device) == expected
    assert made.os_version is None


@pytest.mark.parametrize("agent", [GOOGLEBOT, "SomeCrawler/1.0 (+http://x)", "Mozilla/5.0 (compatible; bingbot/2.0)"])
def test_declared_bots_are_nobody(agent: str) -> None:
    assert record(user_agent=agent) is None


def test_a_huge_user_agent_costs_little() -> None:
    started = time.perf_counter()
    for number in range(50):
        assert record(user_agent=f"Mozilla/5.0 {number} " + "x" * 60_000)
    assert time.perf_counter() - started < 1


# IP addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("203.0.113.0", "203.0.113.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("2001:DB8::1", "2001:db8::"),
        ("::1", "::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("::ffff:cb00:714d", "203.0.113.0"),
        ("2002:cb00:714d::1", "203.0.113.0"),  # 6to4 holds all of the IPv4 address in its first 48 bits
        ("fe80::1%eth0", "fe80::"),
        ("fe80::dead:beef%25en0", "fe80::"),
        ("", None),
        ("unknown", None),
        ("203.0.113.77:443", None),
        ("[2001:db8::1]", None),
        ("203.0.113", None),
        ("203.0.113.077", None),
        ("0x7f.1", None),
        ("testclient", None),
        ("203.0.113.77\n", None),
    ],
)
def test_addresses_are_truncated(address: str, kept: str | None) -> None:
    assert truncate_ip(address) == kept


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_loses_its_last_octet(address: Any) -> None:
    assert truncate_ip(str(address)) == str(ip_network(f"{address}/24", strict=False).network_address)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_keeps_48_bits_at_most(address: Any) -> None:
    kept = truncate_ip(str(address))
    assert kept is not None
    embedded = address.ipv4_mapped or address.sixtofour
    network = ip_network(f"{embedded}/24" if embedded else f"{address}/48", strict=False)
    assert kept == str(network.network_address)


@given(st.text(max_size=60))
def test_what_is_no_address_is_none(text: str) -> None:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        assert truncate_ip(text) is None


PROXIES = ("10.0.0.0/8", "192.0.2.9")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.77", [], "203.0.113.77"),
        ("203.0.113.77", ["198.51.100.1"], "203.0.113.77"),  # said by somebody nobody trusts
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),  # what the visitor made up stands to the left
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("192.0.2.9", ["198.51.100.1,10.1.2.3 ,192.0.2.9"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ("10.0.0.1", ["198.51.100.1:50432"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8::7]:50432"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["6.6.6.6, unknown"], ""),
        ("10.0.0.1", ["jane@example.com"], ""),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_visitors_address(peer: str, forwarded: list[str], client: str) -> None:
    raw = [(b"X-Forwarded-For", value.encode()) for value in forwarded]
    assert client_address(raw, peer=peer, proxies=PROXIES) == client


# Paths ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/2026/11/22/",
        "/blog/2026-11-22-hello-world",
        "/archive/2026.11.22/2026_11_22",
        "/product/123456",
        "/docs/3.11.2/whatsnew/3.12.html",
        "/report/2024-25",
        "/blog/how-to-configure-python-3-in-2026",
        "/shop/kitchen-table-oak-120x80cm-v2",
        "/phones/iPhone15ProMax-vs-GalaxyS24Ultra",
        "/wiki/Donaudampfschifffahrtsgesellschaftskapitaen",
        "/wiki/Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz",
        "/the-quick-brown-fox-jumps-over-the-lazy-dog-and-runs-away-into-the-woods",
        "/watch/dQw4w9WgXcQ",
        "/pages/%C3%BCber-uns",
        "/~jane/index.html",
        "/people/{name}/posts/{post}",
    ],
)
def test_ordinary_paths_stay(path: str) -> None:
    assert scrub_path(path) == path


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/invite/jane.doe@example.com", "/invite/:email"),
        ("/invite/jane.doe%40example.com/accept", "/invite/:email/accept"),
        ("/invite/mailto:jane+x@example.com", "/invite/:email"),
        ("/@jane/posts", "/:email/posts"),
        (f"/orders/{UUID}", "/orders/:id"),
        (f"/orders/{UUID.upper()}/x", "/orders/:id/x"),
        (f"/orders/{UUID.replace('-', '')}", "/orders/:id"),
        (f"/orders/order-{UUID}.pdf", "/orders/order-:id.pdf"),
        ("/reset/x8Be274XqvnUX152JompEQ", "/reset/:token"),
        ("/reset/5f4dcc3b5aa765d61d8327deb882cf9", "/reset/:token"),
        ("/reset/507f1f77bcf86cd799439011", "/reset/:token"),
        ("/s/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_ghi", "/s/:token"),
        ("/s/da39a3ee5e6b4b0d3255bfef95601890afd80709/edit", "/s/:token/edit"),
        ("/call/+49 170 1234567", "/call/:number"),
        ("/call/0170-1234567", "/call/:number"),
        ("/call/+1.415.555.0132", "/call/:number"),
        ("/customer/10293847", "/customer/:number"),
        ("/customer-10293847-invoices", "/customer-:number-invoices"),
        ("/host/203.0.113.77", "/host/:number"),
        ("/born/1984-05-06-8501234", "/born/1984-05-06-:number"),
        ("/x?email=jane@example.com", "/x"),
        ("/x#jane@example.com", "/x"),
        ("/x;jsessionid=A1B2", "/x"),
        ("/" + "a" * 201, "/:long"),
        ("/a" * 100, "/a" * 63),
    ],
)
def test_what_could_name_a_person_is_masked(path: str, kept: str) -> None:
    assert scrub_path(path) == kept


@given(st.text(max_size=80), st.emails(), st.text(max_size=80))
def test_no_e_mail_address_survives(before: str, email: str, after: str) -> None:
    local = email.partition("@")[0]
    assume(len(local) > 3 and "/" not in email and local not in before + after)
    assert email not in scrub_path(f"/{before}{email}{after}")


@given(st.uuids(), st.sampled_from(["/{}", "/x/{}/y", "/x-{}", "/{}.json"]))
def test_no_uuid_survives(value: uuid.UUID, path: str) -> None:
    assert str(value)[:13] not in scrub_path(path.format(value))


@given(st.integers(10**6, 10**20))
def test_no_long_number_survives(number: int) -> None:
    assert not re.search("[0-9]{7}", scrub_path(f"/n/{number}/x{number}y"))


@given(st.text())
def test_scrubbing_twice_is_scrubbing_once(path: str) -> None:
    once = scrub_path(path)
    assert scrub_path(once) == once
    assert "?" not in once
    assert len(once) <= 512


@pytest.mark.parametrize("filling", ["a", "a1", "1-", "/", "@", "(1", "0.", "ab-", "%40", "é", "1 "])
def test_a_long_path_costs_little(filling: str) -> None:
    started = time.perf_counter()
    scrub_path("/" + filling * (60_000 // len(filling)))
    assert time.perf_counter() - started < 0.2


# Referrers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("referrer", "kept"),
    [
        ("https://search.example/find?q=jane#x", "https://search.example"),
        ("http://Search.Example:8080/", "http://search.example"),
        ("https://jane:secret@search.example/", "https://search.example"),
        ("https://site.test/journal?token=abc", "https://site.test/journal"),
        ("https://site.test/invite/jane%40example.com", "https://site.test/invite/:email"),
        ("https://site.test/invite/%6aane@example.com", "https://site.test/invite/:email"),
        ("https://site.test", "https://site.test"),
        ("https://[2001:db8::1]:8000/x", "https://[2001:db8::1]"),
        ("android-app://com.example.app/", None),
        ("about:client", None),
        ("data:text/html,x", None),
        ("file:///home/jane", None),
        ("", None),
        ("//search.example/", None),
        ("https://", None),
        ("https://[bad", None),
        ("https://jane doe.example/", None),
        ("https://" + "a" * 300 + ".example/", None),
        ("nonsense", None),
    ],
)
def test_referrers_are_origins(referrer: str, kept: str | None) -> None:
    assert referrer_origin(referrer, "site.test") == kept


@given(st.text(max_size=100))
@example("http://[::1")
@example("http://a]b/")
@example("https://\u2100.example/")
def test_no_referrer_raises(referrer: str) -> None:
    kept = referrer_origin(referrer, "site.test")
    assert kept is None or kept.startswith(("http://", "https://"))


# Visit keys -----------------------------------------------------------------------------------------------------------


def test_a_visit_key_tells_visitors_and_days_apart() -> None:
    same = visit_key(SALTS.current, request(path="/other", referrer="", status=404))
    assert visit_key(SALTS.current, request()) == same
    others = [
        visit_key(b"another day's salt", request()),
        visit_key(SALTS.current, request(client="203.0.113.78")),
        visit_key(SALTS.current, request(user_agent=IPHONE)),
        visit_key(SALTS.current, request(host="other.test")),
        visit_key(SALTS.current, request(host="site.test\n203.0.113.77", client="")),
    ]
    assert len({same, *others}) == 6


def test_the_day_befores_key_is_there_while_its_salt_is() -> None:
    made = record()
    assert made is not None
    yesterday = minimise(POLICY, Signals(), ALLOWED, request(), Salts("2026-11-21", SALTS.previous or b""))
    assert yesterday is not None
    assert made.previous_key == yesterday.visit_key != made.visit_key
    assert yesterday.previous_key is None


# Counters -------------------------------------------------------------------------------------------------------------


def counted(verdict: Verdict = UNDECIDED, *, consented: bool = False, gpc: bool = False, dnt: bool = False) -> Any:
    said = Signals(gpc=gpc, dnt=dnt, country="SE")
    return count(said, verdict, request(path="/invite/jane@example.com"), consented=consented)


def test_a_count_is_of_nobody() -> None:
    assert counted() == Count(
        hour=datetime(2026, 11, 22, 12, tzinfo=UTC),
        host="site.test",
        page="/invite/:email",
        country="SE",
        consented=False,
        undecided=True,
    )
    assert {field.name for field in fields(Count)} == {"hour", "host", "page", "country", "consented", "undecided"}


def test_a_count_prefers_the_routes_template() -> None:
    made = count(Signals(), REFUSED, request(path="/people/jane", template="/people/{name}"), consented=False)
    assert made is not None
    assert made.page == "/people/{name}"
    assert not made.undecided


def test_an_objecting_browser_is_not_even_counted() -> None:
    assert counted(gpc=True) is None
    assert counted(REFUSED, dnt=True) is None
    assert counted(ALLOWED, gpc=True, consented=True) is not None, "this visitor chose with the signal on"


@given(st.text(), st.text(), st.text())
def test_a_count_holds_nothing_of_the_visitor(client: str, agent: str, referrer: str) -> None:
    one = count(Signals(), UNDECIDED, request(client=client, user_agent=agent, referrer=referrer), consented=False)
    assert one == count(Signals(), UNDECIDED, request(), consented=False)
