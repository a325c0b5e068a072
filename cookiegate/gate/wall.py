"""The second wall: a Content-Security-Policy derived from the verdict (CSP Level 3).

Only the browser can stop what a permitted script inserts later. The policy is sent as a header of its own: several
policies intersect, so it never weakens one the site has, and it forbids nothing but third parties. Browsers report
what it kept out to `REPORTS` below the prefix, where the policy is only watching as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from ..cookies import registrable_domain
from ..headers import HeaderList
from ..lawful import Verdict
from ..policy import HostPattern, Policy

REPORTS = "reports"
"""The name, below the gate's prefix, to which browsers report."""

_REPORT_URI = re.compile(rb"(?P<before>(?:\A|[;,])[\t\n\f\r ]*)(?i:report-uri)(?P<uris>[\t\n\f\r ][^;,]*)")
_OWN = ("'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:", "mediastream:", "filesystem:")


class Wall:
    """Content-Security-Policy values for one policy, each computed once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._reports = f"{policy.gate.prefix}/{REPORTS}".encode("ascii")
        self._value = lru_cache(maxsize=512)(self._build)

    @property
    def enforced(self) -> bool:
        """Whether browsers obey the wall, and not just report what it would keep out."""
        rules = self._policy.gate
        return rules.wall != "off" and rules.wall_mode == "enforce" and rules.mode == "enforce"

    def header(self, verdict: Verdict, host: str) -> bytes | None:
        """The policy for a page of ``host``, or None where the wall is off."""
        if self._policy.gate.wall == "off":
            return None
        return self._value(self._open(verdict), host)

    def headers(self, verdict: Verdict, host: str, *, secure: bool) -> HeaderList:
        """What a page of ``host`` is sent with: the policy, and where to report; nothing where the wall is off.

        A browser that knows ``report-to`` ignores ``report-uri`` beside it, but takes the endpoints of the Reporting
        API from HTTPS only. So a page in plain HTTP, as in development, names the older one alone.
        """
        value = self.header(verdict, host)
        if value is None:
            return []
        if not secure:
            return [(self._name, value)]
        return [(self._name, value + b"; report-to cg"), (b"reporting-endpoints", b'cg="%s"' % self._reports)]

    def headers_for_files(self, host: str) -> HeaderList:
        """What a script, a drawing or other XML is sent with: a worker, or a page, made of it has no other wall.

        Caches keep such files, so it is the same for every visitor: only what is necessary.
        """
        if self._policy.gate.wall == "off":
            return []
        necessary = frozenset(purpose.id for purpose in self._policy.purposes if purpose.necessary)
        return [(self._name, self._value(necessary, host))]

    @property
    def _name(self) -> bytes:
        return b"content-security-policy" if self.enforced else b"content-security-policy-report-only"

    def reload_needed(self, before: frozenset[str], after: frozenset[str]) -> bool:
        """Whether a page sent under ``before`` must be fetched again to show what ``after`` allows.

        A page keeps the Content-Security-Policy it came with, so what the wall kept out cannot come in later.
        """
        if self._policy.gate.wall != "verdict" or not self.enforced:
            return bool(before - after)
        return bool(before - after) or any(self._third_party(purpose) for purpose in after - before)

    def _third_party(self, purpose: str) -> bool:
        return any(service.hosts for service in self._policy.services_of(purpose))

    def _open(self, verdict: Verdict) -> frozenset[str]:
        if self._policy.gate.wall == "verdict":
            return verdict.allowed
        unanswered = {"unknown", "changed", "expired"}
        asked = {ruling.purpose for ruling in verdict.rulings.values() if ruling.reason in unanswered}
        return verdict.allowed | asked

    def _build(self, purposes: frozenset[str], host: str) -> bytes:
        sources = [*_OWN, *_own_hosts(self._policy, host)]
        for service in self._policy.services:
            if service.purpose in purposes:
                sources += (source for pattern in service.hosts for source in _sources(pattern))
        allowed = " ".join(dict.fromkeys(sources)).encode("ascii")
        return b"default-src %s; report-uri %s" % (allowed, self._reports)


def without_reports(value: bytes, withheld: Callable[[str], bool]) -> bytes:
    """A policy of the site's own less the ``report-uri`` addresses that are withheld (CSP Level 3, 6.5.1).

    Args:
        value: of a ``Content-Security-Policy`` header, or of its report-only twin.
    """

    def replace(match: re.Match[bytes]) -> bytes:
        uris = match["uris"].split()
        kept = [uri for uri in uris if not withheld(uri.decode("utf-8", "replace"))]
        if len(kept) == len(uris):
            return match.group()
        return match["before"] + (b"report-uri " + b" ".join(kept) if kept else b"")

    return _REPORT_URI.sub(replace, value)


def _own_hosts(policy: Policy, host: str) -> Iterator[str]:
    """The site's own hosts on every port: cookies and consent do not know ports (RFC 6265 8.5)."""
    for own in (host, *policy.site.hosts, *policy.gate.first_party):
        bracketed = f"[{own.strip('[]')}]" if ":" in own else own
        yield f"{bracketed}:*"
        parent = registrable_domain(own)
        if parent is not None:
            yield f"{parent}:*"
            yield f"*.{parent}:*"


def _sources(pattern: HostPattern) -> Iterator[str]:
    """A path that ends in a slash is a prefix to CSP, any other is matched whole (CSP 3, 6.7.2.12)."""
    if not pattern.path:
        yield pattern.host
        yield f"*.{pattern.host}"
        return
    for host in (pattern.host, f"*.{pattern.host}"):
        yield f"{host}{pattern.path}"
        yield f"{host}{pattern.path.rstrip('/')}/"
