"""Cookies through the gate: what a response may set, what a request may show the app, what a withdrawal removes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from ..cookies import expire, parse_set_cookie, registrable_domain, rewrite
from ..headers import HeaderList, RawHeaders, cookie_pairs, without
from ..lawful import Verdict
from ..policy import Policy
from .resources import Withheld

Note = Callable[[Withheld], None]
UNREADABLE = Withheld("cookie", "", "", name="(unreadable)")


def judge_cookie(policy: Policy, verdict: Verdict, name: str) -> Withheld | None:
    """None where a cookie of this name may be stored and read, else why not."""
    rule = policy.cookie_rule(name)
    if rule is None:
        return Withheld("cookie", "", "", name=name)
    if verdict.allows(rule.purpose):
        return None
    return Withheld("cookie", "", rule.purpose, rule.service, name)


def filter_set_cookies(raw: RawHeaders, policy: Policy, verdict: Verdict, *, now: datetime, note: Note) -> HeaderList:
    """The response's headers less every Set-Cookie that is denied or undeclared.

    A deletion of such a cookie passes, written anew: browsers misread some deletions, and a slow clock others.
    """
    kept: HeaderList = []
    for key, value in raw:
        if key.lower() != b"set-cookie":
            kept.append((key, value))
            continue
        cookie = parse_set_cookie(value, now=now)
        withheld = UNREADABLE if cookie is None else judge_cookie(policy, verdict, cookie.name)
        if withheld is None:
            kept.append((key, value))
        elif cookie is not None and cookie.kind == "deletion":
            kept.append((key, rewrite(value, max_age=0)))
        else:
            note(withheld)
    return kept


def hide_request_cookies(
    raw: RawHeaders, policy: Policy, verdict: Verdict, *, note: Note
) -> tuple[HeaderList, tuple[str, ...]]:
    """The request's headers with only the cookies the app may read, and the names of those denied by choice.

    Withdrawal must stop reading as well as setting (ePrivacy Directive Art 5(3): "gaining of access").
    """
    headers = list(raw)
    pairs = cookie_pairs(headers)
    judged = [(name, pair, judge_cookie(policy, verdict, name)) for name, pair in pairs]
    if all(withheld is None for _, _, withheld in judged):
        return headers, ()
    for _, _, withheld in judged:
        if withheld is not None:
            note(replace(withheld, what="request cookie"))
    kept = b"; ".join(pair for _, pair, withheld in judged if withheld is None)
    rest = without(headers, b"cookie")
    denied = tuple(name for name, _, withheld in judged if withheld is not None and withheld.purpose)
    return ([*rest, (b"cookie", kept)] if kept else rest), denied


class Readable:
    """Tells fast that an app may read all the cookies of a request, where names like these were judged before.

    Names are kept, never values, and no more of them than a site has cookies.
    """

    _MOST, _LONGEST = 256, 64

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: Callable[[frozenset[str]], set[bytes]] = lru_cache(maxsize=64)(lambda _: set())

    def all(self, names: Iterable[bytes] | None, verdict: Verdict, allowed: frozenset[str]) -> bool:
        """Whether each of these may be read by a visitor whose verdict allows just the purposes ``allowed``.

        False where the names are not known (None).
        """
        if names is None:
            return False
        known = self._known(allowed)
        return known.issuperset(names) or all(self._is_readable(name, verdict, known) for name in names)

    def _is_readable(self, name: bytes, verdict: Verdict, known: set[bytes]) -> bool:
        readable = judge_cookie(self._policy, verdict, name.decode("latin-1")) is None
        if readable and len(known) < self._MOST and len(name) <= self._LONGEST:
            known.add(name)
        return readable


def expire_cookies(
    names: Iterable[str], *, host: str, path: str, secure: bool, turn: int = 0
) -> Iterator[tuple[bytes, bytes]]:
    """Set-Cookie headers that delete cookies under the paths and domains they can have been seen with.

    A request shows a cookie's name only; its path is some prefix of the request's, its domain the host or a parent.
    Proxies refuse an answer whose header is larger than some kilobytes, so one answer deletes in `_MOST_EXPIRED`
    places at most. What is still there comes with the browser's next request, and goes then.

    Args:
        turn: any number that changes from answer to answer: it chooses among the places that do not fit.
    """
    domains = [None, *_cookie_domains(host)][::-1]  # scripts set most cookies for the whole site
    names = list(dict.fromkeys(names))[:_MOST_NAMES]
    likely = [(name, "/", domain) for domain in domains for name in names if domain is None or not _is_bound(name)]
    prefixes = [prefix for prefix in _path_prefixes(path) if prefix != "/"]
    others = [(n, prefix, domain) for prefix in prefixes for domain in domains for n in names if not _is_bound(n)]
    chosen = _rotated(likely, turn)[: _MOST_EXPIRED - min(len(others), _KEPT_FOR_PATHS)]
    chosen += _rotated(others, turn)[: _MOST_EXPIRED - len(chosen)]
    for name, prefix, domain in chosen:
        with suppress(ValueError):  # a path or name that no Set-Cookie can carry was not set by one either
            yield b"set-cookie", expire(name, path=prefix, domain=domain, secure=secure)


_MOST_EXPIRED, _KEPT_FOR_PATHS, _MOST_NAMES = 24, 6, 64
_Place = tuple[str, str, str | None]


def _rotated(places: list[_Place], turn: int) -> list[_Place]:
    """The places, from another one on each turn where there are too many for one answer."""
    start = turn * _KEPT_FOR_PATHS % len(places) if len(places) > _KEPT_FOR_PATHS else 0
    return places[start:] + places[:start]


def _is_bound(name: str) -> bool:
    """Whether browsers keep a cookie of this name for the whole host and no other (rfc6265bis 4.1.3.2)."""
    return name.lower().startswith("__host-")


def _path_prefixes(path: str) -> Iterator[str]:
    """``/a/b`` yields ``/``, ``/a``, ``/a/`` and ``/a/b``: at most eight, the shortest first."""
    yield "/"
    parts = [part for part in path.split("/") if part][:4]
    for depth in range(1, len(parts) + 1):
        prefix = "/" + "/".join(parts[:depth])
        yield prefix
        if depth < len(parts):
            yield prefix + "/"


def _cookie_domains(host: str) -> Iterator[str]:
    site = registrable_domain(host)
    while site is not None and len(host) >= len(site):
        yield host
        host = host.partition(".")[2]
