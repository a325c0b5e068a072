"""The catalogue is held to the rules of a site's own policy, and to each other."""

from __future__ import annotations

import pytest

from cookiegate.errors import PolicyError
from cookiegate.policy import CookieRule, HostPattern, Period, load_catalogue, necessary_cookies
from cookiegate.policy.catalogue import parse_necessary, parse_services, unknown_service
from cookiegate.policy.tables import BUILT_IN, NECESSARY_REASONS

SERVICE = """
[[service]]
id = "{id}"
name = "Name"
provider = "Provider Ltd"
country = "IE"
purpose = "analytics"
hosts = ["{host}"]
docs = "https://example.com/cookies"
"""


def service(identity: str = "a", host: str = "a.example") -> str:
    return SERVICE.format(id=identity, host=host)


def problems_of(files: dict[str, str]) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse_services(files)
    return [str(problem) for problem in caught.value.problems]


def test_services_are_built_with_their_cookies_and_storage() -> None:
    (it,) = parse_services(
        {
            "a.toml": service(host="a.example/x")
            + '[[service.cookie]]\nname = "c"\nkind = "persistent"\nlifetime = "P1Y"\n'
            + '[[service.cookie]]\nname = "d_*"\nkind = "session"\n'
            + '[[service.storage]]\nname = "s"\narea = "session"\n'
        }
    )
    assert it.hosts == (HostPattern("a.example", "/x"),)
    assert it.cookies == (
        CookieRule("c", "persistent", "analytics", lifetime=Period("P1Y"), service="a"),
        CookieRule("d_*", "session", "analytics", service="a"),
    )
    assert [(rule.name, rule.area, rule.purpose, rule.service) for rule in it.storage] == [
        ("s", "session", "analytics", "a")
    ]


def test_one_id_in_two_files_is_an_error() -> None:
    (problem,) = problems_of({"a.toml": service(host="a.example"), "b.toml": service(host="b.example")})
    assert problem.startswith('b.toml: service[0]: "a" is declared twice')


def test_two_services_cannot_claim_one_host_and_path() -> None:
    (problem,) = problems_of({"a.toml": service("a", "x.example/p"), "b.toml": service("b", "X.example/p/")})
    assert problem.startswith('b.toml: service[0].hosts: "a" and "b" both claim x.example/p')


def test_a_path_or_a_host_below_another_tells_services_apart() -> None:
    hosts = {"a": "x.example", "b": "x.example/p", "c": "sub.x.example"}
    assert len(parse_services({"a.toml": "".join(service(*item) for item in hosts.items())})) == 3


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (service().replace("analytics", "statistics"), "service[0].purpose"),
        (service().replace('docs = "https://example.com/cookies"', ""), "service[0].docs"),
        (service().replace('country = "IE"', ""), "service[0].country"),
        (service().replace("name =", "nmae ="), "service[0].nmae"),
        (service() + '[[service.cookie]]\nname = "c"\nkind = "persistent"', "service[0].cookie[0].kind"),
        (
            service() + '[[service.cookie]]\nname = "c"\nkind = "session"\nlifetime = "P1D"',
            "service[0].cookie[0].kind",
        ),
        (service() + '[[service.cookie]]\nname = "c"\n' * 2, "service[0].cookie[1]"),
        ('[[cookie]]\nname = "c"', "cookie"),
    ],
)
def test_a_mistake_in_a_catalogue_file_is_named(text: str, where: str) -> None:
    assert any(problem.startswith(f"a.toml: {where}: ") for problem in problems_of({"a.toml": text}))


def test_necessary_cookies_need_a_known_reason() -> None:
    (rule,) = parse_necessary('[[cookie]]\nname = "c"\nreason = "csrf"', file="n.toml")
    assert (rule.purpose, rule.kind, rule.reason, rule.service) == ("necessary", "session", "csrf", "")
    for text in ('[[cookie]]\nname = "c"', '[[cookie]]\nname = "c"\nreason = "because"'):
        with pytest.raises(PolicyError, match=r"n.toml: cookie\[0\].reason"):
            parse_necessary(text, file="n.toml")
    with pytest.raises(PolicyError, match="declared twice"):
        parse_necessary('[[cookie]]\nname = "c"\nreason = "csrf"\n' * 2, file="n.toml")


def test_the_packaged_catalogue_loads_once_and_is_consistent() -> None:
    services = load_catalogue()
    assert services is load_catalogue()
    assert len(services) >= 40
    assert len({it.id for it in services}) == len(services)
    claims = [pattern for it in services for pattern in it.hosts]
    assert len(set(claims)) == len(claims)
    assert {it.purpose for it in services} <= set(BUILT_IN)
    for rule in (rule for it in services for rule in it.cookies):
        assert (rule.kind == "persistent") == (rule.lifetime is not None), rule


def test_the_packaged_framework_cookies_are_necessary_and_say_why() -> None:
    rules = necessary_cookies()
    assert rules is necessary_cookies()
    assert {"sessionid", "csrftoken"} <= {rule.name for rule in rules}
    assert {rule.purpose for rule in rules} == {"necessary"}
    assert {rule.reason for rule in rules} <= set(NECESSARY_REASONS)


def test_an_unknown_service_is_answered_by_id_name_or_host() -> None:
    assert 'did you mean "google-analytics"?' in unknown_service("google_analytics")
    assert 'did you mean "google-analytics"?' in unknown_service("Google Analytics")
    assert 'did you mean "google-analytics"?' in unknown_service("google-analytics.com")
    assert "[[service]]" in unknown_service("zzzzzzzz")
