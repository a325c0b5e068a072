"""What a browser takes a response for, from all that its headers say (Fetch, extract a MIME type; MIME Sniffing)."""

from __future__ import annotations

import re

from ..headers import HeaderList, get_all, replaced
from .elements import JAVASCRIPT_TYPES

PAGES_OF_XML = frozenset({b"application/xhtml+xml", b"application/xslt+xml", b"text/xsl"})
"""XML that browsers make a page of, whatever it was asked for as: a style sheet in XSLT holds the page it makes."""
SPECULATION_RULES = b"application/speculationrules+json"

_MEMBER = re.compile(rb"(?:[^,\"]++|\"(?:\\.|[^\"\\])*+\"?+)++", re.DOTALL)
_END = re.compile(rb"[\t\n\r ;,(]")
"""Where Chromium ends the type, whatever the grammar says: ``text/html (x`` is HTML to it."""
_PARAMETER = re.compile(rb";[\t\n\r ]*+([^;=]*+)(?:=(?:\"((?:\\.|[^\"\\])*+)\"?[^;]*+|([^;]*+)))?+", re.DOTALL)
_XML = re.compile(rb"(?:text/(?:xml|xsl)|application/xml|.+\+xml)\Z")
_SNIFFED = frozenset({b"", b"*/*", b"unknown/unknown", b"application/unknown"})
_JAVASCRIPT = frozenset(essence.encode() for essence in JAVASCRIPT_TYPES)


def essence(value: bytes) -> bytes:
    """Type and subtype of a ``Content-Type``, in lower case."""
    return _END.split(value.strip(), maxsplit=1)[0].lower()


def charset(value: bytes) -> str:
    """The ``charset`` parameter of a ``Content-Type``: the first that can be read, or ""."""
    for name, quoted, plain in _PARAMETER.findall(value):
        label = re.sub(rb"\\(.)", rb"\1", quoted) if quoted else plain.rstrip(b"\t\n\r ")
        if name.lower() == b"charset" and label:
            return str(label.decode("latin-1"))
    return ""


def is_sniffed(essence: bytes) -> bool:
    """Whether browsers look at the body to find out what it is."""
    return essence in _SNIFFED or b"/" not in essence


def is_xml(essence: bytes) -> bool:
    """Whether browsers may show it by the rules of XML."""
    return _XML.match(essence) is not None


def is_javascript(essence: bytes) -> bool:
    """Whether browsers run it, in a page or as a worker."""
    return essence in _JAVASCRIPT


def settled(raw: HeaderList) -> HeaderList:
    """The headers with one content type where they hold several: the one that browsers go by, the last that is any."""
    members = [member.strip() for value in get_all(raw, b"content-type") for member in _MEMBER.findall(value)]
    if len(members) < 2:
        return raw
    valid = [member for member in members if not is_sniffed(essence(member))] or members
    same = [member for member in valid if essence(member) == essence(valid[-1])]
    labelled = [member for member in same if b"charset" in member.lower()]
    return replaced(raw, b"content-type", (labelled or same)[-1])
