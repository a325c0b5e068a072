"""What an inline script has a browser do that no Content-Security-Policy stops (CSP Level 3).

A browser connects to a frame's host before the wall blocks the frame; hints, refreshes, speculation rules and peer
connections the wall does not govern at all, nor where a page goes. A script that plainly makes one of these for a third
party is therefore withheld as a whole, as one is that belongs to a service. An address counts only near the word that
tells what it is for: the same script may hold data with any number of addresses that nobody asks for anything.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator

_NEAR = 400
"""Characters between an address and the word that tells what it is for."""

_WORDS = (
    "iframe frames fencedframe contentwindow preconnect dns-prefetch prerender speculationrules equiv rtcpeer"
).split()
"""Without any of these a script makes nothing of the kind, which is quickly said of most."""
_MAKES = re.compile(
    r"<iframe\b|[\"'`](?:[a-z]+:)?iframe[\"'`]|\bframes\s*[\[(.]|\.contentwindow\b|\bfencedframe\b"
    r"|\bpreconnect\b|\bdns-prefetch\b|\bprerender\b|\bspeculationrules\b|\bhttp-?equiv\b|\brtcpeerconnection\b"
)
_REST = r"[^\s\"'`<>\\)]*+"
_ADDRESS = re.compile(
    rf"(?:[\"'`]\s*+(?P<quoted>(?:(?:https?|wss?):)?//{_REST})"
    rf"|[=;,(]\s*+(?P<bare>(?:https?|wss?)://{_REST})"
    rf"|\b(?:src|href|url)=(?P<relative>//{_REST})"
    rf"|[\"'`](?:stuns?|turns?):(?P<peer>{_REST}))"
    r"(?P<more>[\"'`]\s*+\+\s*+[\w$.]*+)?"
)
_LEAVES = re.compile(
    r"(?:\s++|;|[\"']use strict[\"'])*+(?:(?:window|document|self|top)\.)?+location"
    rf"(?:(?:\.href)?+\s*+=|\.(?:assign|replace)\()\s*+[\"'`](?P<url>(?:https?:)?//{_REST})",
    re.IGNORECASE,
)
_BEGINNING = re.compile(r"(?:\w+:)?//(?:\$\{|\Z)")
"""An address whose host the script puts in later."""
UNKNOWN = "//\ufffd"
"""Stands for an address that cannot be read, and so counts as undeclared."""


def references(code: str) -> Iterator[str]:
    """The addresses that a script connects to past the wall.

    Args:
        code: the script in lower case, escapes in its strings resolved.
    """
    if not any(word in code for word in _WORDS):
        return
    places = [match.start() for match in _MAKES.finditer(code)]
    for match in _ADDRESS.finditer(code) if places else ():
        following = bisect(places, match.start())
        if any(abs(place - match.start()) <= _NEAR for place in places[max(0, following - 1) : following + 1]):
            yield from _address(match)


def leaving(code: str) -> Iterator[str]:
    """Where a script leads that begins by leaving the page, as a refresh does.

    Later in a script, or in what handles a click, leaving may well wait for the visitor.
    """
    match = _LEAVES.match(code)
    if match is not None:
        yield match["url"]


def _address(match: re.Match[str]) -> Iterator[str]:
    if match["peer"] is not None:
        yield f"//{match['peer']}"
        return
    url = match["quoted"] or match["bare"] or match["relative"]
    if not _BEGINNING.match(url):
        yield url
    elif "location" not in match.group() and (match["more"] or "${" in url):
        yield UNKNOWN
