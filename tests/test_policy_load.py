"""The policy loader: what a file means, every mistake by name, and a reference that cannot drift."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.errors import PolicyError, Problem
from cookiegate.policy import (
    Basis,
    ConsentRules,
    Controller,
    GateRules,
    HostPattern,
    Period,
    Policy,
    Site,
    Usage,
    load_catalogue,
    load_policy,
    parse_policy,
)
from cookiegate.policy.schema import Invalid, Key, Location, Table
from cookiegate.policy.tables import NECESSARY_REASONS, POLICY
from cookiegate.policy.values import COOKIE_NAME, HOST, HOST_PATTERN, PERIOD, SIGNATURE, STORAGE_NAME

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "cookiegate.toml"
REFERENCE = ROOT / "docs" / "policy.md"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

MINIMAL = """
[site]
name = "Example"
policy_version = "1"
[controller]
name = "Example Ltd"
email = "privacy@example.com"
"""


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, file="p.toml")
    return list(caught.value.problems)


def problem_at(text: str, key: str) -> str:
    """The only problem of a text; it must stand at ``key``."""
    (problem,) = problems_of(text)
    assert (problem.file, problem.key) == ("p.toml", key)
    return problem.message


def values_in(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


# What a file means


def test_a_minimal_policy_has_the_defaults_of_the_model() -> None:
    policy = parse_policy(MINIMAL)
    assert policy.site == Site(name="Example", policy_version="1")
    assert policy.controller == Controller(name="Example Ltd", email="privacy@example.com")
    assert policy.consent == ConsentRules()
    assert policy.gate == GateRules()
    assert policy.usage is None
    assert policy.services == ()
    assert policy.known == load_catalogue()
    assert policy.source == MINIMAL
    assert [purpose.id for purpose in policy.purposes] == ["necessary"]
    assert policy.choosable == ()


def test_usage_alone_asks_about_analytics_with_the_defaults_of_the_model() -> None:
    policy = parse_policy(MINIMAL + '[usage]\nretention = "P14M"')
    assert policy.usage == Usage(retention=Period("P14M"))
    assert [purpose.id for purpose in policy.choosable] == ["analytics"]


def test_only_used_purposes_remain_in_the_built_in_order_and_then_the_sites_own() -> None:
    policy = parse_policy(
        'services = ["youtube", "google-analytics"]'
        + MINIMAL
        + '[[purpose]]\nid = "community"\nbasis = "consent"\n'
        + '[[cookie]]\nname = "theme"\npurpose = "preferences"\n'
    )
    assert list(policy.purpose_by_id) == ["necessary", "preferences", "analytics", "marketing", "community"]


def test_a_built_in_purpose_is_kept_when_a_table_names_it_and_keeps_what_the_table_leaves_out() -> None:
    policy = parse_policy(MINIMAL + '[[purpose]]\nid = "necessary"\ntitle = "Basics"')
    (necessary,) = policy.purposes
    assert (necessary.title, necessary.basis, necessary.necessary) == (
        "Basics",
        Basis.LEGITIMATE_INTERESTS,
        True,
    )


def test_a_purpose_may_be_made_necessary_on_another_basis() -> None:
    text = MINIMAL + '[[purpose]]\nid = "preferences"\nnecessary = true\nbasis = "contract"'
    assert parse_policy(text).choosable == ()


def test_a_service_used_for_another_purpose_takes_its_cookies_and_storage_along() -> None:
    entry = '{id = "youtube", purpose = "necessary", reason = "the course is a film"}'
    policy = parse_policy(f"services = [{entry}]{MINIMAL}")
    (youtube,) = policy.services
    assert youtube.purpose == "necessary"
    assert youtube.reason == "the course is a film"
    assert youtube.cookies
    assert youtube.storage
    assert {rule.purpose for rule in youtube.cookies} == {"necessary"}
    assert {rule.purpose for rule in youtube.storage} == {"necessary"}
    assert "youtube" not in {service.id for service in policy.known}
    assert policy.choosable == ()


def test_cookies_are_own_then_the_gates_then_those_of_services() -> None:
    policy = parse_policy(
        'services = ["google-analytics"]'
        + MINIMAL
        + '[consent]\nlifetime = "P3M"\n[[cookie]]\nname = "theme"\npurpose = "preferences"\nlifetime = "P1Y"'
    )
    names = [rule.name for rule in policy.cookies]
    assert names[:3] == ["theme", "__Host-cg_consent", "cg_consent"]
    assert {rule.service for rule in policy.cookies[3:]} == {"google-analytics"}
    for name in ("__Host-cg_consent", "cg_consent"):
        rule = policy.cookie_rule(name)
        assert rule is not None
        assert (rule.purpose, rule.reason, rule.lifetime) == ("necessary", "choice", Period("P3M"))
    theme = policy.cookie_rule("theme")
    assert theme is not None
    assert theme.kind == "persistent"


def test_framework_cookies_are_known_beside_the_declared_ones() -> None:
    policy = parse_policy(MINIMAL)
    assert "sessionid" not in {rule.name for rule in policy.cookies}
    session = policy.cookie_rule("sessionid")
    assert session is not None
    assert session.purpose == "necessary"


def test_usage_data_cannot_rest_on_what_nobody_is_asked_about() -> None:
    with pytest.raises(PolicyError, match=r"usage\.purpose: is necessary, so nobody is asked"):
        parse_policy(MINIMAL + '[usage]\npurpose = "necessary"\nretention = "P14M"')


def test_the_sites_own_word_on_a_cookie_wins() -> None:
    policy = parse_policy(
        'services = ["google-analytics"]'
        + MINIMAL
        + '[[cookie]]\nname = "_ga"\npurpose = "marketing"\n'
        + '[[cookie]]\nname = "sessionid"\npurpose = "analytics"\n'
    )
    assert [rule.purpose for rule in policy.cookies if rule.name == "_ga"] == ["marketing"]
    assert [rule.purpose for rule in policy.cookies if rule.name == "sessionid"] == ["analytics"]
    assert "sessionid" not in {rule.name for rule in policy.frameworks}


def test_a_service_of_the_sites_own_may_take_a_known_ones_place() -> None:
    service = '[[service]]\nid = "%s"\nname = "Ours"\npurpose = "analytics"\nhosts = ["google-analytics.com"]'
    replaced = parse_policy(MINIMAL + service % "google-analytics")
    assert "google-analytics" not in {known.id for known in replaced.known}

    beside = parse_policy(MINIMAL + service % "ours")
    known = next(known for known in beside.known if known.id == "google-analytics")
    assert HostPattern("google-analytics.com") not in known.hosts
    assert known.hosts


def test_hosts_are_kept_as_browsers_send_them() -> None:
    policy = parse_policy(MINIMAL.replace("[controller]", 'hosts = ["MÜNCHEN.example", "[::1]"]\n[controller]'))
    assert policy.site.hosts == ("xn--mnchen-3ya.example", "[::1]")


def test_the_example_is_valid_and_uses_every_table() -> None:
    policy = load_policy(EXAMPLE)
    assert list(policy.purpose_by_id) == ["necessary", "preferences", "analytics", "marketing", "reviews"]
    assert policy.site.profile == "auto"
    assert set(values_in(EXAMPLE.read_text())) == set(POLICY)
    reviews = policy.service_by_id["teatime-reviews"]
    assert reviews.cookies[0].lifetime == Period("P90D")
    assert reviews.storage[0].purpose == "reviews"


# Mistakes

SITE = MINIMAL.replace("[controller]", "%s\n[controller]")
OWN = '[[service]]\nid = "a"\nname = "A"\npurpose = "analytics"\n'

MISTAKES = [
    ("foo = 1" + MINIMAL, "foo", 'unknown key "foo"; known are: services, site'),
    ("sites = 1" + MINIMAL, "sites", 'did you mean "site"?'),
    (SITE % 'nmae = "x"', "site.nmae", 'unknown key "nmae"; did you mean "name"?'),
    (SITE % 'services = ["youtube"]', "site.services", "above the first [table]"),
    (MINIMAL + OWN + 'hosts = ["a.example"]\nhots = 1', "service[0].hots", 'did you mean "hosts"?'),
    (
        MINIMAL + OWN + '[[service.cookie]]\nname = "c"\nreason = "security"',
        "service[0].cookie[0].reason",
        'unknown key "reason"',
    ),
    ("services = [{id = 'youtube', why = 1}]" + MINIMAL, "services[0].why", "unknown key"),
    (SITE % '"odd key" = 1', 'site."odd key"', "unknown key"),
    # types
    ('services = "youtube"' + MINIMAL, "services", 'expected a list: write ["youtube"]'),
    ("services = [3]" + MINIMAL, "services[0]", "expected a service id, or a table with one, found a number"),
    (SITE % "profile = true", "site.profile", "expected text in quotes, found true"),
    (SITE % "hosts = 3", "site.hosts", "expected a list, found a number"),
    (SITE % "hosts = [3]", "site.hosts[0]", "expected text in quotes, found a number"),
    (
        MINIMAL.replace('policy_version = "1"', "policy_version = 2026-11-21"),
        "site.policy_version",
        'found a date: put it in quotes, "2026-11-21"',
    ),
    (MINIMAL + '[cookie]\nname = "x"', "cookie", "write [[cookie]], not [cookie]"),
    (MINIMAL + '[[usage]]\nretention = "P1Y"', "usage", "write [usage], not [[usage]]"),
    (MINIMAL + "[gate]\nmode = 1", "gate.mode", "expected text in quotes"),
    (
        MINIMAL + '[[purpose]]\nid = "x"\nbasis = "consent"\nnecessary = "no"',
        "purpose[0].necessary",
        "expected true or false, found text",
    ),
    # required
    (MINIMAL.replace('name = "Example"\n', ""), "site.name", "is missing"),
    (MINIMAL.replace('name = "Example"\n', 'name = ""\n'), "site.name", "is empty"),
    (MINIMAL.replace('name = "Example"\n', 'name = " "\n'), "site.name", "is empty"),
    (MINIMAL + '[usage]\nretention = ""', "usage.retention", "is empty"),
    (MINIMAL.replace('policy_version = "1"', ""), "site.policy_version", "is missing"),
    (MINIMAL.replace('name = "Example Ltd"', ""), "controller.name", "GDPR Art 13(1)(a)"),
    (MINIMAL.replace('email = "privacy@example.com"', ""), "controller.email", "is missing"),
    (MINIMAL + '[[cookie]]\nname = "x"', "cookie[0].purpose", "say what it is for: necessary, preferences"),
    # names
    ('services = ["google-analitics"]' + MINIMAL, "services[0]", 'did you mean "google-analytics"?'),
    ('services = ["Google Analytics"]' + MINIMAL, "services[0]", 'did you mean "google-analytics"?'),
    ('services = ["youtube.com"]' + MINIMAL, "services[0]", 'did you mean "youtube"?'),
    ('services = ["qqqqqq"]' + MINIMAL, "services[0]", "declare it yourself with a [[service]] table"),
    (MINIMAL + '[[cookie]]\nname = "x"\npurpose = "analitics"', "cookie[0].purpose", 'did you mean "analytics"?'),
    (MINIMAL + '[[storage]]\nname = "x"\npurpose = "statistik"', "storage[0].purpose", "unknown purpose"),
    (MINIMAL + '[usage]\nretention = "P1Y"\npurpose = "analytic"', "usage.purpose", 'did you mean "analytics"?'),
    ("services = [{id = 'youtube', purpose = 'marketting'}]" + MINIMAL, "services[0].purpose", '"marketing"?'),
    (SITE % 'profile = "eu-defaults"', "site.profile", 'did you mean "eu-default"?'),
    (MINIMAL + '[gate]\nmode = "block"', "gate.mode", "known are: enforce, observe"),
    (MINIMAL + '[gate]\nwall_mode = "off"', "gate.wall_mode", "known are: enforce, report"),
    # purposes
    (
        MINIMAL + '[[purpose]]\nid = "x"',
        "purpose[0].basis",
        "one of: consent, contract, legal_obligation, vital_interests, public_task, legitimate_interests",
    ),
    (MINIMAL + '[[purpose]]\nid = "x"\nbasis = "concent"', "purpose[0].basis", 'did you mean "consent"?'),
    (MINIMAL + '[[purpose]]\nid = "Big Data"\nbasis = "consent"', "purpose[0].id", "is no id"),
    (MINIMAL + '[[purpose]]\nid = "analytics"\nnecessary = true', "purpose[0].necessary", "cannot rest on consent"),
    (MINIMAL + '[[purpose]]\nid = "necessary"\nnecessary = false', "purpose[0].necessary", "cannot be false"),
    (
        MINIMAL + '[[purpose]]\nid = "x"\nbasis = "consent"\n' * 2,
        "purpose[1]",
        '"x" is declared twice, first as purpose[0]',
    ),
    # usage, consent
    (MINIMAL + "[usage]", "usage.retention", "usage data without a retention period"),
    (MINIMAL + '[consent]\nlifetime = "P14M"', "consent.lifetime", "more than 400 days"),
    (MINIMAL + '[consent]\nlifetime = "P401D"', "consent.lifetime", "more than 400 days"),
    (MINIMAL + '[consent]\nretention = "P0D"', "consent.retention", "is no time at all"),
    (MINIMAL + '[consent]\nretention = "-P1Y"', "consent.retention", "is not a period"),
    (MINIMAL + '[consent]\nretention = "6 months"', "consent.retention", "write an ISO 8601 period"),
    (MINIMAL + "[consent]\nretention = 180", "consent.retention", "write an ISO 8601 period"),
    (MINIMAL + f'[consent]\nretention = "P{"9" * 5000}Y"', "consent.retention", "more than 100 years"),
    (MINIMAL + '[[purpose]]\nid = "necessary"\nbasis = "consent"', "purpose[0].basis", "cannot rest on consent"),
    (MINIMAL + '[consent]\nretention = "P9999Y"', "consent.retention", "more than 100 years"),
    # services
    (MINIMAL + OWN, "service[0]", "without hosts, cookies and signatures"),
    (MINIMAL + OWN + "hosts = []", "service[0]", "without hosts, cookies and signatures"),
    (
        'services = ["youtube"]' + MINIMAL + OWN + 'hosts = ["youtube.com"]',
        "service[0].hosts",
        '"youtube" and "a" both claim youtube.com',
    ),
    ('services = ["youtube", "youtube"]' + MINIMAL, "services[1]", '"youtube" is declared twice'),
    (
        'services = ["youtube"]' + MINIMAL + OWN.replace('"a"', '"youtube"') + 'hosts = ["a.example"]',
        "service[0]",
        "first as services[0]",
    ),
    (
        SITE % 'hosts = ["shop.example.com"]' + OWN + 'hosts = ["example.com"]',
        "service[0].hosts",
        '"example.com" is the site itself',
    ),
    (MINIMAL + OWN + 'hosts = ["co.uk"]', "service[0].hosts[0]", "public suffix"),
    (MINIMAL + OWN + 'hosts = ["a.example", "A.example/"]', "service[0].hosts", '"a.example" is listed twice'),
    (MINIMAL + OWN + 'signatures = ["x"]', "service[0].signatures[0]", "write a longer piece"),
    (MINIMAL + OWN + 'hosts = ["a.example"]\ncountry = "uk"', "service[0].country", "two capital letters"),
    (MINIMAL + OWN + 'hosts = ["a.example"]\ndocs = "a.example"', "service[0].docs", "with https://"),
    (
        MINIMAL + OWN.replace("analytics", "necessary") + 'hosts = ["a.example"]',
        "service[0].reason",
        "what the visitor asked for",
    ),
    ("services = [{id = 'youtube', purpose = 'necessary'}]" + MINIMAL, "services[0].reason", "is missing"),
    (
        "services = [{id = 'youtube', purpose = 'necessary', reason = ''}]" + MINIMAL,
        "services[0].reason",
        "is missing",
    ),
    # cookies
    (
        MINIMAL + '[[cookie]]\nname = "x"\npurpose = "necessary"',
        "cookie[0].reason",
        f"one of: {', '.join(NECESSARY_REASONS)}",
    ),
    (
        MINIMAL + '[[cookie]]\nname = "x"\npurpose = "necessary"\nreason = "login"',
        "cookie[0].reason",
        "unknown value",
    ),
    (MINIMAL + '[[cookie]]\nname = "x"\npurpose = "analytics"\n' * 2, "cookie[1]", "is declared twice"),
    (
        MINIMAL + '[[cookie]]\nname = "x"\npurpose = "analytics"\nkind = "persistent"',
        "cookie[0].kind",
        "needs a lifetime",
    ),
    (
        MINIMAL + '[[cookie]]\nname = "x"\npurpose = "analytics"\nkind = "session"\nlifetime = "P1D"',
        "cookie[0].kind",
        "has no lifetime",
    ),
    (MINIMAL + '[[cookie]]\nname = "a b"\npurpose = "analytics"', "cookie[0].name", "is not a cookie name"),
    (MINIMAL + '[[cookie]]\nname = "*"\npurpose = "analytics"', "cookie[0].name", "declare every cookie"),
    (MINIMAL + '[[cookie]]\nname = "cg_consent"\npurpose = "analytics"', "cookie[0].name", "the gate's own"),
    (
        MINIMAL + OWN + '[[service.cookie]]\nname = "__Host-cg_consent"',
        "service[0].cookie[0].name",
        "the gate's own",
    ),
    (MINIMAL + OWN + '[[service.cookie]]\nname = "x"\n' * 2, "service[0].cookie[1]", "is declared twice"),
    (MINIMAL + '[[storage]]\nname = "x"\npurpose = "analytics"\n' * 2, "storage[1]", "is declared twice"),
    # site, controller, gate
    (SITE % 'hosts = ["https://example.com"]', "site.hosts[0]", "leave the scheme out"),
    (SITE % 'hosts = ["example.com:8000"]', "site.hosts[0]", "leave the port out"),
    (SITE % 'hosts = ["example.com/shop"]', "site.hosts[0]", "leave the path out"),
    (SITE % 'hosts = ["*.example.com"]', "site.hosts[0]", "leave the * out"),
    (SITE % 'hosts = ["exa mple.com"]', "site.hosts[0]", "is not a host"),
    (SITE % 'language = "english!"', "site.language", "is not a language tag"),
    (SITE % 'trusted_proxies = ["10.0.0.256"]', "site.trusted_proxies[0]", "is not an IP address"),
    (SITE % 'trusted_proxies = ["10.0.0.1/8"]', "site.trusted_proxies[0]", 'write "10.0.0.0/8"'),
    (SITE % 'country_header = "X-Country"', "site.country_header", "trusted_proxies"),
    (
        SITE % 'trusted_proxies = ["::1"]\ncountry_header = "X Country"',
        "site.country_header",
        "is not a header name",
    ),
    (MINIMAL.replace("privacy@example.com", "example.com"), "controller.email", "is not an e-mail address"),
    (MINIMAL + 'notice_url = "javascript:alert(1)"', "controller.notice_url", "is not a web address"),
    (MINIMAL + 'notice_url = "//evil.example"', "controller.notice_url", "is not a web address"),
    (MINIMAL + 'phone = "1\\n2"', "controller.phone", "one line"),
    (MINIMAL + '[gate]\nprefix = "privacy"', "gate.prefix", "is not a path"),
    (MINIMAL + '[gate]\nprefix = "/a/../b"', "gate.prefix", "is not a path"),
    (MINIMAL + '[gate]\nprefix = "/privacy/"', "gate.prefix", "is not a path"),
]


@pytest.mark.parametrize(("text", "key", "message"), MISTAKES, ids=[f"{key}-{it[:40]}" for _, key, it in MISTAKES])
def test_one_mistake_is_one_problem_at_its_key(text: str, key: str, message: str) -> None:
    assert message in problem_at(text, key)


def test_all_mistakes_are_reported_at_once() -> None:
    text = """
        services = ["nope-nope"]
        extra = 1
        [site]
        hosts = ["a b"]
        [[purpose]]
        id = "own"
        [[cookie]]
        name = "x"
        purpose = "own"
        kind = "persistent"
        [usage]
        [consent]
        lifetime = "P2Y"
    """
    assert {problem.key for problem in problems_of(text)} == {
        "services[0]",
        "extra",
        "site.name",
        "site.policy_version",
        "site.hosts[0]",
        "controller.name",
        "controller.email",
        "purpose[0].basis",
        "cookie[0].kind",
        "usage.retention",
        "consent.lifetime",
    }


def test_a_table_of_the_wrong_type_is_not_also_reported_as_incomplete() -> None:
    text = "site = 3\n" + MINIMAL[MINIMAL.index("[controller]") :]
    assert "expected a table, found a number" in problem_at(text, "site")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a = 1\nb = =\n", "line 2, column 5"),
        ("a = 1\na = 2\n", "line 2"),
        ('a = 1\nb = "x', "line 2, column 7"),
        ("[site\n", "line 1"),
    ],
)
def test_text_that_is_not_toml_is_one_problem_with_its_line(text: str, where: str) -> None:
    message = problem_at(text, "")
    assert message.startswith(where)
    assert "not valid TOML" in message


def test_absurd_nesting_is_an_error_and_no_crash() -> None:
    assert "nested too deeply" in problem_at("a = " + "[" * 5000 + "]" * 5000, "")


def test_more_purposes_than_a_choice_can_hold_is_an_error() -> None:
    purposes = "".join(f'[[purpose]]\nid = "p{number}"\nbasis = "consent"\n' for number in range(62))
    assert "65 purposes are more than the 64" in problem_at(MINIMAL + purposes, "purpose")


# Files


def test_a_missing_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cookiegate init"):
        load_policy(tmp_path / "none.toml")


def test_a_directory_and_a_file_in_another_encoding_are_policy_errors(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_policy(latin)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_text("\ufeff" + MINIMAL, encoding="utf-8")
    assert load_policy(str(path)).site.name == "Example"


# Properties


def dump(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {dump(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value)


def as_file(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{json.dumps(key)} = {dump(item)}" for key, item in values.items())


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values below a value."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def altered(values: Any, path: tuple[str | int, ...], item: Any) -> Any:
    """A copy with the value at ``path`` replaced."""
    if not path:
        return item
    copy: Any = dict(values) if isinstance(values, dict) else list(values)
    copy[path[0]] = altered(values[path[0]], path[1:], item)
    return copy


FULL = values_in(EXAMPLE.read_text())
PLACES = list(places(FULL))


def at(path: tuple[str | int, ...]) -> Any:
    value: Any = FULL
    for part in path:
        value = value[part]
    return value


def dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


words = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=12)
junk = st.recursive(
    st.one_of(
        words, st.integers(-(2**60), 2**60), st.booleans(), st.sampled_from(["P0D", "*", "a/b", "[", "cg_consent"])
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(path=st.sampled_from(PLACES), item=junk)
def test_whatever_stands_in_a_file_it_is_a_policy_or_a_policy_error(path: tuple[str | int, ...], item: Any) -> None:
    try:
        policy = parse_policy(as_file(altered(FULL, path, item)))
    except PolicyError:
        return
    assert policy.scopes.keys() == {purpose.id for purpose in policy.choosable}


@given(path=st.sampled_from([(), *(path for path in PLACES if isinstance(at(path), dict))]))
def test_an_unknown_key_is_named_at_any_depth(path: tuple[str | int, ...]) -> None:
    table = {**at(path), "zzz": 1}
    message = problem_at(as_file(altered(FULL, path, table)), dotted((*path, "zzz")))
    assert message.startswith('unknown key "zzz"')


NOWHERE = Location("", [])


@given(st.from_regex(r"P([0-9]{1,4}Y)?([0-9]{1,4}M)?([0-9]{1,3}W)?([0-9]{1,4}D)?(T([0-9]{1,4}H)?)?", fullmatch=True))
def test_a_period_that_is_read_can_be_counted_from_today(text: str) -> None:
    try:
        period: Period = PERIOD.read(text, NOWHERE)
    except Invalid:
        return
    assert period.before(NOW) < NOW < period.after(NOW)
    assert period.approximate() > timedelta(0)


@given(st.text(max_size=20) | st.from_regex(r"[a-zA-Zä0-9.:/*_-]{1,20}(/[a-z./?#*]*)?", fullmatch=True))
def test_reading_a_host_that_was_read_changes_nothing(text: str) -> None:
    for reader in (HOST, HOST_PATTERN):
        try:
            host = reader.read(text, NOWHERE)
        except Invalid:
            continue
        assert reader.read(str(host), NOWHERE) == host
        assert not re.search(r"[\s?#*\\A-Z]", str(host).partition("/")[0])


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("Example.com/Maps/", "example.com", "/Maps"),
        ("example.com/", "example.com", ""),
        ("bücher.example/über", "xn--bcher-kva.example", "/%C3%BCber"),
        ("example.com/a/../b", "example.com", "/b"),
        ("storage.googleapis.com", "storage.googleapis.com", ""),
        ("localhost", "localhost", ""),
    ],
)
def test_a_host_pattern_is_kept_as_a_url_parser_would_see_it(text: str, host: str, path: str) -> None:
    assert HOST_PATTERN.read(text, NOWHERE) == HostPattern(host, path)


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "", "a" * 64 + ".com", "a%2eb", "x:y:z", "http://a", "a@b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    for reader in (HOST, HOST_PATTERN):
        with pytest.raises(Invalid):
            reader.read(text, NOWHERE)


@pytest.mark.parametrize("name", ["_ga_*", "AMCV_*@AdobeOrg", "a[b]", "__Host-x", "foo%40bar", "sess!on"])
def test_cookie_names_that_browsers_accept_are_accepted(name: str) -> None:
    assert COOKIE_NAME.read(name, NOWHERE) == name


@pytest.mark.parametrize("name", ["a;b", "a=b", "a,b", "**", "a*[b]", "a*?", "a\tb", 'a"'])
def test_cookie_names_that_could_not_match_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        COOKIE_NAME.read(name, NOWHERE)


def test_storage_keys_and_signatures_may_hold_what_cookie_names_may_not() -> None:
    assert STORAGE_NAME.read("persist:root = 1", NOWHERE) == "persist:root = 1"
    assert SIGNATURE.read("gtag('config'", NOWHERE) == "gtag('config'"


# The reference

_HEADINGS = {"Top level": "", "`services`": "services"}


def documented() -> dict[str, dict[str, tuple[str, str]]]:
    """Table path to its keys in docs/policy.md, each with type and default."""
    tables: dict[str, dict[str, tuple[str, str]]] = {}
    current = ""
    for line in REFERENCE.read_text().splitlines():
        if line.startswith("##"):
            title = line.lstrip("# ")
            current = _HEADINGS.get(title, title.strip("`[]"))
        elif match := re.match(r"\| `(\w+)` \| ([^|]+) \| ([^|]+) \| [^|]+\|$", line):
            name, kind, default = match.groups()
            tables.setdefault(current, {})[name] = (kind, default)
    return tables


def accepted(table: Table, path: str = "") -> Iterator[tuple[str, Table]]:
    """Table path to the keys that the loader accepts there, at every depth."""
    yield path, table
    for name, key in table.items():
        if key.reader.table is not None:
            yield from accepted(key.reader.table, f"{path}.{name}".removeprefix("."))


def default_of(key: Key) -> str | None:
    """A key's default as the reference writes it, or None where it may say so in words."""
    if key.required:
        return "required"
    if isinstance(key.default, Period):
        return f'`"{key.default.text}"`'
    return f'`"{key.default}"`' if key.default and isinstance(key.default, str) else None


ACCEPTED = dict(accepted(POLICY))


@pytest.mark.parametrize(("path", "table"), ACCEPTED.items(), ids=ACCEPTED.keys())
def test_every_key_is_documented_with_its_type_and_default(path: str, table: Table) -> None:
    described = documented()[path]
    assert list(described) == list(table)
    for name, key in table.items():
        kind, default = described[name]
        assert kind == key.reader.label, name
        assert default_of(key) in (None, default), name


def test_nothing_is_documented_that_the_loader_does_not_accept() -> None:
    assert set(documented()) == ACCEPTED.keys()


EXAMPLES = re.findall(r"```toml\n(.*?)```", REFERENCE.read_text(), re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=[text.partition("\n")[0] for text in EXAMPLES])
def test_every_example_of_the_reference_is_valid(text: str) -> None:
    values = {**values_in(MINIMAL), **values_in(text)}
    assert isinstance(parse_policy(as_file(values)), Policy)


@pytest.mark.parametrize(
    ("name", "kind"), [("site", Site), ("controller", Controller), ("consent", ConsentRules), ("gate", GateRules)]
)
def test_the_tables_of_the_file_are_the_fields_of_the_model(name: str, kind: type) -> None:
    table = POLICY[name].reader.table
    assert table is not None
    assert set(table) == {field.name for field in fields(kind)}
