"""Pages that are XML: read by XML's rules, whole or in pieces, and withheld where they redefine their own meaning."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cookiegate.errors import UnreadableBody
from cookiegate.gate.elements import Elements
from cookiegate.gate.resources import Decider, Resources, Withheld
from cookiegate.gate.xml import XmlScanner
from cookiegate.policy import Policy, parse_policy
from cookiegate.preview import verdict_for

POLICY = """
services = ["youtube"]
[site]
name = "Site"
hosts = ["site.test"]
policy_version = "1"
[controller]
name = "Site"
email = "a@site.test"
"""
XHTML = b'<html xmlns="http://www.w3.org/1999/xhtml">%s</html>'


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse_policy(POLICY)


def gated(policy: Policy, body: bytes, *, grants: tuple[str, ...] = (), size: int = 0) -> tuple[bytes, list[Withheld]]:
    """A document through the scanner, whole or in pieces of ``size`` bytes."""
    noted: list[Withheld] = []
    verdict = verdict_for(policy, grants, datetime(2026, 11, 22, tzinfo=UTC))
    decider = Decider(Resources(policy), verdict, url="https://site.test/page")
    scanner = XmlScanner(Elements(decider, placeholders=None, note=noted.append))
    pieces = [body[at : at + size] for at in range(0, len(body), size)] if size else [body]
    return b"".join([*(scanner.feed(piece) for piece in pieces), scanner.close()]), noted


@pytest.mark.parametrize(
    "markup",
    [
        b'<script src="//t.example/x"/>',
        b'<title><script src="//t.example/x"/></title>',
        b'<textarea><img src="//t.example/x"/></textarea>',
        b'<noscript><iframe src="//t.example/x"/></noscript>',
        b'<h:img xmlns:h="http://www.w3.org/1999/xhtml" src="//t.example/x"/>',
        b'<a title="a > b"><img src="//t.example/x" /></a>',
        b'<!-- --!> <img> --><img src="//t.example/x"/>',
        b'<?php echo "<b>" ?><img src="//t.example/x"/>',
        b'<![CDATA[ > ]]><img src="//t.example/x"/>',
        b'<link rel="preconnect" href="https://t.example"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="//t.example/x"/></svg>',
        b'<svg:svg xmlns:svg="http://www.w3.org/2000/svg"><svg:use xlink:href="//t.example/x#a"/></svg:svg>',
        b"<script><![CDATA[ load('youtube.com', a < b) ]]></script>",
        b"<script>load('youtube&#46;com')</script>",
        b"<style>a { background: url(//t.example/x) }</style>",
    ],
)
def test_what_fetches_is_withheld(policy: Policy, markup: bytes) -> None:
    body = XHTML % markup
    out, noted = gated(policy, body)
    assert noted
    assert b"data-cg" in out
    assert b' src="//' not in out
    for size in (1, 2, 7, 64):
        assert gated(policy, body, size=size)[0] == out


@pytest.mark.parametrize(
    "markup",
    [
        b"<p>Fish &amp; chips</p><br/>",
        b'<script src="/own.js"/><script><![CDATA[ if (a < b && c) go("<p>"); ]]></script>',
        b'<!-- <img src="//t.example/x"/> -->',
        b'<![CDATA[ <img src="//t.example/x"/> ]]>',
        b'<img src="/x.png" alt="1 &gt; 0"/><style>a > b { color: red }</style>',
        b'<p unfinished="',
    ],
)
def test_what_does_not_is_untouched(policy: Policy, markup: bytes) -> None:
    body = XHTML % markup
    for size in (0, 1, 5):
        assert gated(policy, body, size=size) == (body, [])


def test_what_is_allowed_is_untouched(policy: Policy) -> None:
    body = XHTML % b'<iframe src="https://www.youtube.com/embed/x"/>'
    assert gated(policy, body, grants=("all",)) == (body, [])


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html [<!ENTITY e \"<script src='//t.example/x'/>\">]><html>&e;</html>",
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x" [<!ATTLIST image href CDATA "//t.example/x">]><svg/>',
        b'<svg xmlns:l="http://www.w3.org/1999/xlink"><image l:href="//t.example"/></svg>',
    ],
)
def test_a_document_that_redefines_its_meaning_is_refused(policy: Policy, body: bytes) -> None:
    for size in (0, 1):
        with pytest.raises(UnreadableBody):
            gated(policy, body, size=size)
