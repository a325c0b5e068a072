"""`cookiegate init` writes what `cookiegate check` accepts; `check` names every mistake."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.cli import main
from cookiegate.policy import load_catalogue, load_policy, parse_policy
from cookiegate.policy.starter import starter

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, obj=lambda: NOON)


def test_what_init_writes_passes_check() -> None:
    assert run("init").exit_code == 0
    policy = load_policy("cookiegate.toml")
    assert policy.site.policy_version == "2026-11-21"
    assert policy.site.hosts == ()
    assert policy.services == ()
    assert run("check").exit_code == 0


def test_init_fills_in_what_it_is_told() -> None:
    result = run(
        *("init", "-o", "other.toml", "--name", 'Ann "A" \\ Sons', "--host", "Shop.Example", "--host", "b.example"),
        *("--email", "a@b.example", "--service", "youtube", "--service", "google-analytics", "--service", "youtube"),
    )
    assert result.exit_code == 0, result.output
    assert "other.toml" in result.output
    policy = load_policy("other.toml")
    assert policy.site.name == policy.controller.name == 'Ann "A" \\ Sons'
    assert policy.site.hosts == ("shop.example", "b.example")
    assert policy.controller.email == "a@b.example"
    assert [service.id for service in policy.services] == ["youtube", "google-analytics"]


def test_init_names_site_and_address_after_the_host_when_not_told() -> None:
    run("init", "--host", "shop.example")
    policy = load_policy("cookiegate.toml")
    assert (policy.site.name, policy.controller.email) == ("shop.example", "privacy@shop.example")


def test_init_never_overwrites_without_force() -> None:
    path = Path("cookiegate.toml")
    path.write_text("mine")
    result = run("init")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert path.read_text() == "mine"
    assert run("init", "--force").exit_code == 0
    assert path.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--service", "google-analitics"), 'did you mean "google-analytics"?'),
        (("--host", "https://example.com"), "leave the scheme out"),
        (("--email", "nobody"), "is not an e-mail address"),
        (("--name", "a\nb"), "one line"),
    ],
)
def test_init_refuses_what_check_would_refuse_and_writes_nothing(arguments: tuple[str, ...], message: str) -> None:
    result = run("init", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("cookiegate.toml").exists()


def test_init_says_so_when_it_cannot_write() -> None:
    result = run("init", "-o", "no/such/folder/cookiegate.toml")
    assert result.exit_code == 1
    assert "no/such/folder" in result.stderr


def test_init_lists_every_known_service() -> None:
    result = run("init", "--list")
    assert result.exit_code == 0
    listed = {line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")}
    assert listed == {service.id for service in load_catalogue()}
    assert not Path("cookiegate.toml").exists()


def test_every_setting_that_the_starter_comments_out_is_valid() -> None:
    text = starter(name="Example", email="a@b.example", today=date(2026, 11, 21))
    switched_on = re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)
    policy = parse_policy(switched_on)
    assert policy.site.hosts == ("example.com",)
    assert "example-widget" in policy.service_by_id
    assert policy.cookie_rule("basket") is not None


ONE_LINE = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=30)


@given(name=ONE_LINE.filter(str.strip))
def test_any_name_of_one_line_survives_being_written(name: str) -> None:
    text = starter(name=name, email="a@b.example", today=date(2026, 11, 21))
    assert parse_policy(text).site.name == name.strip()


def test_check_prints_every_problem_and_fails() -> None:
    Path("bad.toml").write_text('services = ["yutube"]\n[site]\nname = "x"\npolicy_versoin = "1"\n')
    result = run("check", "bad.toml")
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert 'bad.toml: services[0]: unknown service "yutube"; did you mean "youtube"?' in lines
    assert 'bad.toml: site.policy_versoin: unknown key "policy_versoin"; did you mean "policy_version"?' in lines
    assert {line.split(": ")[1] for line in lines} == {
        "services[0]",
        "site.policy_versoin",
        "site.policy_version",
        "controller.name",
        "controller.email",
    }


def test_check_of_a_missing_file_names_the_cure() -> None:
    result = run("check")
    assert result.exit_code == 1
    assert result.stderr == "cookiegate.toml: no such file: `cookiegate init` writes a starter\n"


def test_check_reports_problems_as_json() -> None:
    Path("bad.toml").write_text("[site")
    result = run("check", "bad.toml", "--format", "json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["valid"] is False
    assert answer["problems"][0]["file"] == "bad.toml"
    assert "line 1" in answer["problems"][0]["message"]


def test_check_sums_up_what_is_declared() -> None:
    Path("cookiegate.toml").write_text(
        starter(name="Example", email="a@b.example", today=NOON.date(), services=["google-analytics"])
        + '[[cookie]]\nname = "theme"\npurpose = "preferences"\nlifetime = "P1Y"\n'
        + '[[cookie]]\nname = "basket"\npurpose = "necessary"\nreason = "user-input"\n'
    )
    result = run("check")
    assert result.exit_code == 0
    assert "cookiegate.toml is valid: Example, policy version 2026-11-21" in result.stdout
    assert "analytics (asked about, on consent): google-analytics" in result.stdout
    assert "necessary (not asked about, on legitimate interests)" in result.stdout
    session, _, persistent = result.stdout.partition("Persistent cookies")
    assert "necessary, own: basket" in session
    assert "preferences, own: theme P1Y" in persistent
    assert "usage: recorded for analytics, kept P14M" in result.stdout


def test_check_sums_up_as_json() -> None:
    run("init", "--service", "youtube")
    answer = json.loads(run("check", "--format", "json").stdout)
    assert answer["valid"] is True
    assert [(it["id"], it["services"]) for it in answer["purposes"]] == [
        ("necessary", []),
        ("analytics", []),
        ("marketing", ["youtube"]),
    ]
    assert answer["usage"] == {"purpose": "analytics", "retention": "P14M"}
    consent = next(it for it in answer["cookies"] if it["name"] == "__Host-cg_consent")
    assert (consent["kind"], consent["lifetime"], consent["reason"]) == ("persistent", "P6M", "choice")
    assert answer["framework_cookies"] > 0
    assert any(it["name"] == "yt-remote-device-id" and it["service"] == "youtube" for it in answer["storage"])


def test_check_warns_that_observe_mode_blocks_nothing() -> None:
    run("init")
    path = Path("cookiegate.toml")
    path.write_text(path.read_text().replace('mode = "enforce"', 'mode = "observe"'))
    assert "blocks NOTHING" in run("check").stdout
