"""From a URL to the service behind it, and from there to whether this visitor's browser may ask for it.

URLs are read by the WHATWG URL standard (`ada_url`), so that tabs, backslashes, upper case, credentials,
percent-encoded and internationalised hosts mean here what they mean to a browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

import ada_url

from ..cookies import registrable_domain
from ..lawful import Verdict
from ..policy import HostPattern, Policy, Service
from . import unwalled

Place = Literal["own", "local", "service", "undeclared", "unfetchable"]
"""Where a URL leads: to the site itself; into the document (data:, about:); to a known service; to a third party that
policy and catalogue do not know; or nowhere, because a browser would not fetch it."""

NETWORK_SCHEMES = frozenset({"http:", "https:", "ws:", "wss:", "ftp:"})
LOCAL_SCHEMES = frozenset({"data:", "javascript:", "about:", "blob:", "filesystem:"})

_PLAINLY_OWN = re.compile(r"(?:[A-Za-z0-9_.~%-]+(?:[/?#]|\Z)|/(?![/\\\t\n\r])|[?#]|\Z)")
"""A reference that no base URL of the site's own can turn into another host's. Misses are decided by parsing."""

_LONGEST_HOST = 253
_LONGEST_CACHED_URL = 1024
_MOST_SCRIPTS = 4096
_MOST_BASES = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads. ``url`` is its serialisation, "" where it could not be parsed."""

    place: Place
    host: str = ""
    service: Service | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Withheld:
    """One thing kept from the visitor, and why.

    ``purpose`` is "" for what is undeclared: no choice of the visitor's can allow it. ``service`` is the id of the
    service where it is known, declared or not.
    """

    what: str
    host: str
    purpose: str
    service: str = ""
    name: str = ""


OWN = Target("own")
UNFETCHABLE = Target("unfetchable")


class Resources:
    """A policy's view of the web: which host and path belongs to whom. Immutable, shared by all requests."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._declared = frozenset(service.id for service in policy.services)
        self._own = frozenset(host.lower() for host in (*policy.site.hosts, *policy.gate.first_party))
        self._patterns = _index(_claims((*policy.services, *policy.known)))
        self.inline = InlineIndex((*policy.services, *policy.known))
        self._locate = lru_cache(maxsize=8192)(self._locate_uncached)

    def declares(self, service: Service) -> bool:
        """Whether the policy itself names the service (the catalogue knows many more)."""
        return service.id in self._declared

    def is_own(self, host: str, page_host: str) -> bool:
        """Whether a host is the site's own by declaration, or the page's own host."""
        return host == page_host or any(parent in self._own for parent in _parents(host))

    def claimed(self, host: str) -> bool:
        """Whether some service claims part of a host."""
        return any(parent in self._patterns for parent in _parents(host))

    def locate(self, reference: str, base: str, page_host: str) -> Target:
        """Where a reference leads when resolved against ``base`` on a page of ``page_host``.

        Args:
            reference: the attribute's value, character references already decoded.
            base: the document's base URL, absolute.
        """
        if len(reference) > _LONGEST_CACHED_URL:
            return self._locate_uncached(reference, base, page_host)
        return self._locate(reference, base, page_host)

    def _locate_uncached(self, reference: str, base: str, page_host: str) -> Target:
        try:
            url = ada_url.URL(reference, base=base)
        except ValueError:
            # Bytes that are no UTF-8 may spell a host in the page's own encoding.
            return Target("undeclared", "?") if "\ufffd" in reference else UNFETCHABLE
        return self.place(url, page_host)

    def place(self, url: ada_url.URL, page_host: str) -> Target:
        """Where a URL that is already parsed leads. Remembers nothing, unlike `locate`."""
        if url.protocol in LOCAL_SCHEMES:
            return Target("local", url=url.href)
        if url.protocol not in NETWORK_SCHEMES:
            return UNFETCHABLE
        host = url.hostname.rstrip(".")
        service = self.service_at(host, url.pathname)
        # A declared service counts on the site's own host too (a self-hosted or proxied tool); the catalogue does not.
        if service is not None and (self.declares(service) or not self.is_own(host, page_host)):
            return Target("service", host, service, url.href)
        if self.is_own(host, page_host):
            return Target("own", host, url=url.href)
        same_site = registrable_domain(host)
        if same_site is not None and same_site == registrable_domain(page_host):
            return Target("own", host, url=url.href)
        return Target("undeclared", host, url=url.href)

    def service_at(self, host: str, path: str) -> Service | None:
        """The service that claims a host and path: the longest host first, then the longest path."""
        plain = unquote(path)
        for parent in _parents(host):
            for prefix, service in self._patterns.get(parent, ()):
                if _under(plain, prefix):
                    return service
        return None

    def sole_service(self, host: str) -> Service | None:
        """The service that is meant where only the host is known: the only one declared for a part of it, or, with
        none declared, the only one known."""
        claims = {service.id: service for parent in _parents(host) for _, service in self._patterns.get(parent, ())}
        candidates = [service for service in claims.values() if self.declares(service)] or list(claims.values())
        return candidates[0] if len(candidates) == 1 else None


class Decider:
    """Answers, for one page and one verdict, what is withheld and why. Made per response."""

    def __init__(self, resources: Resources, verdict: Verdict, *, url: str) -> None:
        self.resources = resources
        self.verdict = verdict
        self._page_host = ada_url.URL(url).hostname.rstrip(".")
        self._bases = [url]
        self.base_is_own = not resources.claimed(self._page_host)

    def set_base(self, reference: str) -> Withheld | None:
        """Judge a ``<base href>``, and from now on every reference against it as well.

        A browser obeys the first base in its tree. Which one that is, if any, the markup alone does not always tell
        (templates, frames that carry their page), so a reference has to be harmless under each.
        """
        target = self.resources.locate(reference, self._bases[0], self._page_host)
        withheld = self._judge("base", target)
        if withheld is not None or not target.url or target.place == "local" or target.url in self._bases:
            return withheld
        if len(self._bases) > _MOST_BASES:
            return Withheld("base beyond what a page can use", target.host, "")
        self._bases.append(target.url)
        self.base_is_own &= target.place == "own" and not self.resources.claimed(target.host)
        return None

    def url(self, what: str, reference: str) -> Withheld | None:
        """None where the browser may fetch the reference, else what is withheld."""
        if self.base_is_own and _PLAINLY_OWN.match(reference):
            return None
        for base in self._bases:
            withheld = self._judge(what, self.resources.locate(reference, base, self._page_host))
            if withheld is not None:
                return withheld
        return None

    def is_local(self, reference: str) -> str | None:
        """The serialised URL where a reference leads into the document itself (``data:``, ``javascript:``), or None."""
        target = self.resources.locate(reference, self._bases[0], self._page_host)
        return target.url if target.place == "local" else None

    def urls(self, what: str, references: Iterable[str]) -> Withheld | None:
        """The first of several references that is withheld."""
        return next(filter(None, (self.url(what, reference) for reference in references)), None)

    def code(self, what: str, text: str) -> Withheld | None:
        """None where an inline script may run: it belongs to no service that is withheld, nor passes by the wall."""
        inline = self.resources.inline.read(text)
        for service in inline.services:
            withheld = self._judge(what, Target("service", "", service))
            if withheld is not None:
                return withheld
        return self.urls(what, inline.unwalled)

    def script(self, what: str, text: str) -> Withheld | None:
        """As `code`, for a script that runs by itself: it may not begin by leaving for a third party either."""
        return self.code(what, text) or self.urls(what, unwalled.leaving(text))

    def _judge(self, what: str, target: Target) -> Withheld | None:
        if target.place == "undeclared":
            return Withheld(what, target.host, "")
        service = target.service
        if service is None:
            return None
        host = target.host or (service.hosts[0].host if service.hosts else "")
        if not self.resources.declares(service):
            return Withheld(what, host, "", service.id, service.name)
        if self.verdict.allows(service.purpose):
            return None
        return Withheld(what, host, service.purpose, service.id, service.name)


class Inline(NamedTuple):
    """What an inline script says: the services it belongs or speaks to, and the addresses no wall keeps it from."""

    services: tuple[Service, ...]
    unwalled: tuple[str, ...]


class InlineIndex:
    """Finds the services an inline script belongs to: by its signatures, or because it names one of their hosts."""

    _HOST = re.compile(r"(?<![a-z0-9_-])[a-z0-9_-]++(?:\.[a-z0-9_-]++)++")

    def __init__(self, services: tuple[Service, ...]) -> None:
        self._hosts = _index(_claims(services))
        self._signatures = tuple((signature, service) for service in services for signature in service.signatures)
        self._any = any_of({signature for signature, _ in self._signatures})
        self._ends = frozenset(host.rpartition(".")[2] for host in self._hosts)
        self._found: dict[bytes, Inline] = {}

    def read(self, text: str) -> Inline:
        """What a script says.

        It is remembered by the script's digest: scripts are long, and some hold what belongs to one visitor.
        """
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._found.get(digest)
        if found is None:
            if len(self._found) >= _MOST_SCRIPTS:
                self._found.clear()
            found = self._found[digest] = self._read(text)
        return found

    def _read(self, text: str) -> Inline:
        found = {service.id: service for service in self._by_signature(text)}
        plain = _ESCAPED.sub(_unescaped, text).lower()
        found.update((service.id, service) for service in self._by_host(plain))
        return Inline(tuple(found.values()), tuple(unwalled.references(plain)))

    def _by_signature(self, text: str) -> Iterator[Service]:
        if self._any is None or self._any.search(text) is None:
            return
        for signature, service in self._signatures:
            if signature in text:
                yield service

    def _by_host(self, text: str) -> Iterator[Service]:
        """Services one of whose hosts the script names. A path pattern counts only with its path right behind."""
        for match in self._HOST.finditer(text):
            if match.group().rpartition(".")[2] not in self._ends:
                continue  # most are no hosts but what scripts are made of, such as `window.location`
            path = text[match.end() : match.end() + 80]
            for parent in _parents(match.group().rstrip(".")):
                claims = self._hosts.get(parent)
                if claims is None:
                    continue
                owner = next(
                    (service for prefix, service in claims if not prefix or path.startswith(prefix.lower())), None
                )
                if owner is not None:
                    yield owner
                    break


_ESCAPED = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{0*([0-9A-Fa-f]{1,6})\}|/)|%([2-7][0-9A-Fa-f])")
"""What spells a character of a host or path in JavaScript strings, and in what `unescape` or `decodeURI` is given."""


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[match.lastindex], 16) if match.lastindex else ord("/")
    return chr(code) if code < 0x80 else match.group()


def any_of(literals: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern that finds any of many literal texts, or None for none.

    Built as a prefix tree: with 800 signatures it reads 28 MB/s where a plain alternation reads 1.5.
    """
    root: dict[str, Any] = {}
    for literal in literals:
        node = root
        for character in literal:
            node = node.setdefault(character, {})
        node[""] = {}
    return re.compile(_branches(root)) if root else None


def _branches(node: dict[str, Any]) -> str:
    """The regular expression of a prefix tree's node. One that ends a literal needs no more: found is found."""
    if "" in node:
        return ""
    parts = [re.escape(character) + _branches(child) for character, child in node.items()]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _claims(services: Iterable[Service]) -> Iterator[tuple[HostPattern, Service]]:
    return ((pattern, service) for service in services for pattern in service.hosts)


def _index(claims: Iterable[tuple[HostPattern, Service]]) -> Mapping[str, list[tuple[str, Service]]]:
    """Host to its ``(path prefix, service)`` claims, the longest path first."""
    index: dict[str, list[tuple[str, Service]]] = {}
    for pattern, service in claims:
        index.setdefault(pattern.host, []).append((pattern.path.rstrip("/"), service))
    for entries in index.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return index


def _parents(host: str) -> Iterator[str]:
    """``a.b.c`` yields ``a.b.c``, ``b.c`` and ``c``. Of what is too long for a host (RFC 1035), the end counts."""
    host = host[-_LONGEST_HOST:]
    while host:
        yield host
        _, _, host = host.partition(".")


def _under(path: str, prefix: str) -> bool:
    """Whether a URL path lies under a pattern's path, by whole segments."""
    return path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/" or not prefix)
