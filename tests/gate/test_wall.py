"""The wall: one Content-Security-Policy per verdict, which lets in what is allowed and the site itself, and no more."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from cookiegate.gate.wall import Wall, without_reports
from cookiegate.policy import GateRules, Policy

from .support import POLICY, verdict

HOST = "www.site.example"


def sources(*grants: str, policy: Policy = POLICY, host: str = HOST) -> list[str]:
    """The sources of the wall's ``default-src``."""
    value = Wall(policy).header(verdict(*grants), host)
    assert value is not None
    directive = next(part for part in value.decode().split(";") if part.startswith("default-src"))
    return directive.split()[1:]


def gated(**rules: object) -> Policy:
    return replace(POLICY, gate=GateRules(**rules))  # type: ignore[arg-type]


def test_the_site_is_always_let_in() -> None:
    allowed = sources()
    assert {"'self'", "data:", "blob:", f"{HOST}:*", "site.example:*", "*.site.example:*"} <= set(allowed)
    assert "static.site-cdn.example:*" in allowed


def test_necessary_services_are_let_in_and_others_once_allowed() -> None:
    assert "n.example" in sources()
    assert not {"t.example", "*.t.example", "a.example"} & set(sources())
    assert {"t.example", "*.t.example"} <= set(sources("marketing"))
    assert "a.example" not in sources("marketing")
    assert "xn--bcher-kva.example" in sources("analytics")


def test_what_is_known_but_not_declared_never_is() -> None:
    assert not [source for source in sources("all") if "k.example" in source]


def test_a_path_is_let_in_as_a_whole_and_as_a_prefix() -> None:
    policy = replace(POLICY, services=tuple(each for each in POLICY.services if each.id == "maps"))
    allowed = set(sources("marketing", policy=policy))
    assert {"many.example/maps", "many.example/maps/", "*.many.example/maps/"} <= allowed
    assert "many.example" not in allowed


def test_no_source_is_named_twice() -> None:
    assert len(sources("all")) == len(set(sources("all")))


def test_an_address_of_version_six_is_bracketed() -> None:
    assert "[::1]:*" in sources(host="::1")


@pytest.mark.parametrize(
    ("rules", "name"),
    [
        ({}, b"content-security-policy"),
        ({"mode": "observe"}, b"content-security-policy-report-only"),
        ({"wall_mode": "report"}, b"content-security-policy-report-only"),
    ],
)
def test_a_policy_that_only_watches_is_marked_so(rules: dict[str, object], name: bytes) -> None:
    assert Wall(gated(**rules)).headers(verdict(), HOST, secure=False)[0][0] == name


def test_it_can_be_off() -> None:
    assert Wall(gated(wall="off")).headers(verdict(), HOST, secure=True) == []
    assert Wall(gated(wall="off")).header(verdict(), HOST) is None


def test_what_is_declared_may_be_let_in_until_it_is_refused() -> None:
    policy = gated(wall="declared")
    assert "t.example" in sources(policy=policy)
    assert "t.example" not in sources("analytics", policy=policy)


def test_files_are_walled_the_same_for_everybody() -> None:
    wall = Wall(POLICY)
    ((_, value),) = wall.headers_for_files(HOST)
    assert b"n.example" in value
    assert b"t.example" not in value


@pytest.mark.parametrize(
    ("before", "after", "needed"),
    [
        (set(), {"marketing"}, True),
        (set(), {"other"}, False),
        ({"marketing"}, set(), True),
        ({"other"}, set(), True),
        ({"marketing"}, {"marketing"}, False),
    ],
)
def test_a_page_keeps_the_wall_it_came_with(before: set[str], after: set[str], *, needed: bool) -> None:
    assert Wall(POLICY).reload_needed(frozenset(before), frozenset(after)) is needed


REPORTS = {
    b"default-src *; report-uri https://t.example/r": b"default-src *; ",
    b"report-uri /a https://t.example/r;default-src *": b"report-uri /a;default-src *",
    b"default-src *;  REPORT-URI\t//t.example , script-src 'self'": b"default-src *;  , script-src 'self'",
    b"default-src *; report-uri /a": b"default-src *; report-uri /a",
    b"default-src https://t.example": b"default-src https://t.example",
    b"x-report-uri //t.example": b"x-report-uri //t.example",
}


@pytest.mark.parametrize(("value", "kept"), REPORTS.items())
def test_the_sites_own_policy_reports_to_nobody_else(value: bytes, kept: bytes) -> None:
    assert without_reports(value, lambda uri: "t.example" in uri) == kept


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_chromium_obeys_it() -> None:
    """Scripts that hide their host from the scanner are stopped; with the purpose allowed they are not."""
    from .chromium import frames

    hosts = "'//' + ['t', 'example'].join('.')"
    page = f"<script>new Image().src = {hosts} + '/1'; fetch({hosts} + '/2'); import({hosts} + '/3')</script>".encode()
    with frames() as shown:
        for grants, asked in (((), 0), (("marketing",), 3)):
            shown.headers.update(Wall(POLICY).headers(verdict(*grants), HOST, secure=False))
            assert len(shown.requests([page], scripting=True)) == asked
