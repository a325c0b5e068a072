"""What was withheld is told once, with lines of TOML that really declare it, and counted."""

from __future__ import annotations

import logging
import threading
import tomllib
from datetime import date

import pytest

from cookiegate.gate.notices import Notices, cure, cures, layer_of
from cookiegate.gate.resources import Withheld
from cookiegate.policy import parse_policy
from cookiegate.policy.starter import starter

HOST = Withheld("img", "cdn.Unheard-Of.example", "")
COOKIE = Withheld("cookie", "", "", name="_x.y~*")
KNOWN = Withheld("script", "www.youtube.com", "", "youtube", "YouTube")
DENIED = Withheld("img", "t.example", "marketing", "t", "T")


def test_each_thing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cookiegate.gate")
    notices = Notices()
    for _ in range(3):
        for withheld in (HOST, COOKIE, KNOWN, DENIED):
            notices(withheld)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "WARNING", "INFO"]
    assert "the policy does not declare it" in caplog.messages[0]
    assert 'hosts = ["cdn.Unheard-Of.example"]' in caplog.messages[0]
    assert 'services = ["youtube"]' in caplog.messages[2]
    assert caplog.messages[3] == "withheld img t.example: the purpose 'marketing' is not allowed"


def test_it_is_counted_and_handed_over_once() -> None:
    notices = Notices()
    for withheld in (HOST, DENIED, HOST):
        notices(withheld)
    assert notices.drain() == {HOST: 2, DENIED: 1}
    assert notices.drain() == {}
    notices(HOST)
    assert notices.drain() == {HOST: 1}


def test_what_is_told_apart_is_bounded_layer_by_layer(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(limit=10)
    for number in range(100):
        notices(Withheld("request cookie", "", "", name=f"c{number}"))
    notices(HOST)
    assert len(notices.drain()) == 11
    assert len(caplog.records) == 11


def test_threads_lose_no_count() -> None:
    notices = Notices()

    def notice() -> None:
        for _ in range(1000):
            notices(DENIED)

    threads = [threading.Thread(target=notice) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert notices.drain() == {DENIED: 4000}


@pytest.mark.parametrize(
    ("what", "layer"),
    [
        *(("img", "markup"), ("inline script", "markup"), ("ambiguous style", "markup"), ("cookie", "headers")),
        *(
            ("Link header", "headers"),
            ("nel header", "headers"),
            ("request cookie", "request"),
            ("wall: img-src", "wall"),
        ),
    ],
)
def test_which_layer_it_was(what: str, layer: str) -> None:
    assert layer_of(Withheld(what, "", "")) == layer


@pytest.mark.parametrize("withheld", [HOST, COOKIE, KNOWN])
def test_a_cure_is_toml(withheld: Withheld) -> None:
    assert tomllib.loads(cure(withheld))


@pytest.mark.parametrize(
    "withheld",
    [
        Withheld("ambiguous style", "", ""),
        Withheld("img", "?", ""),
        Withheld("img", "[::1]", ""),
        Withheld("cookie", "", "", name=""),
        Withheld("cookie", "", "", name="(unreadable)"),
        Withheld("request cookie", "", "", name='"]\nmode = "observe'),
    ],
)
def test_what_cannot_be_declared_has_none(withheld: Withheld) -> None:
    assert cure(withheld) == ""


def test_the_cures_really_declare_it() -> None:
    """Filled in and put into a starter policy, they make one that knows all of it."""
    services, end, blocks = cures([HOST, COOKIE, KNOWN, KNOWN, HOST]).partition("]\n")
    filled = blocks.replace('country = "…"', 'country = "DE"').replace('purpose = "…"', 'purpose = "analytics"')
    text = starter(name="A", hosts=("a.example",), email="a@a.example", today=date(2026, 11, 22))
    policy = parse_policy(text.replace("services = []", services + end) + filled.replace('"…"', '"Somebody"'))
    assert {"youtube", "cdn-unheard-of-example"} <= policy.service_by_id.keys()
    assert [rule.purpose for rule in policy.cookies if rule.name == COOKIE.name] == ["analytics"]
