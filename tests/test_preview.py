"""A page as a given visitor would get it, without a server."""

from __future__ import annotations

import pytest
from http_samples import CHOOSABLE, PAGE, TAG, sample_policy

from cookiegate.errors import CookiegateError
from cookiegate.preview import preview, verdict_for
from cookiegate.testing import FrozenClock

NOW = FrozenClock().now
POLICY = sample_policy()
LOADED = f' src="{TAG}"'.encode()


@pytest.mark.parametrize(
    ("grants", "allowed"),
    [((), ()), (("analytics",), ("analytics",)), (("all",), CHOOSABLE), (("all", "analytics"), CHOOSABLE)],
)
def test_grants(grants: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    verdict = verdict_for(POLICY, grants, NOW)
    assert verdict.allowed == {"necessary", *allowed}
    assert verdict.undecided == (not grants)
    result = preview(POLICY, PAGE.encode(), now=NOW, grants=grants)
    assert (LOADED in result.html) == ("analytics" in allowed)
    assert bool(result.withheld) == ("analytics" not in allowed)


@pytest.mark.parametrize("grants", [("statistics",), ("necessary",), ("all", "statistics"), ("",)])
def test_grants_that_nobody_is_asked_for(grants: tuple[str, ...]) -> None:
    with pytest.raises(CookiegateError, match="there are analytics, marketing, preferences"):
        verdict_for(POLICY, grants, NOW)


@pytest.mark.parametrize("url", ["nonsense", "http://", "https://[x", "ftp://site.test/", "//site.test/", "data:,x"])
def test_what_is_no_pages_url(url: str) -> None:
    with pytest.raises(CookiegateError, match="write it like https://example"):
        preview(POLICY, b"", now=NOW, url=url)


def test_the_page_is_that_of_its_url() -> None:
    result = preview(POLICY, PAGE.encode(), now=NOW, url="http://other.test:8000/a?b=1#c", locale="de")
    assert b'value="/a?b=1"' in result.html
    assert b'lang="de"' in result.html
    assert preview(POLICY, PAGE.encode(), now=NOW, fragment=True).html.count(b"<form") == 0
