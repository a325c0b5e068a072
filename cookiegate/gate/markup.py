"""The byte grammar of HTML: where tags, comments and raw text begin and end, and how a tag is edited in place.

Follows the tokenizer of the HTML standard (13.2.5) for every state that decides what is a tag or an attribute. It works
on bytes: in every encoding the gate scans directly, the bytes of markup are those of ASCII.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.entities import html5 as _NAMED  # noqa: N812 - a table, not a class
from typing import Final

WS: Final = rb"\t\n\x0c\r "
_NAME = rb"[^" + WS + rb"/>][^" + WS + rb"/=>]*+"
_VALUE = rb"[" + WS + rb"]*+=[" + WS + rb"]*+(?:\"[^\"]*+\"|'[^']*+'|[^" + WS + rb">\"'][^" + WS + rb">]*+|(?=>))"
# A name is bare only where no `=` follows: otherwise an unterminated quoted value would fall back to a bare name.
_ATTRIBUTE_TAIL = rb"(?:" + _VALUE + rb"|(?![" + WS + rb"]*+=))"
_REST = rb"(?:[" + WS + rb"/]++|" + _NAME + _ATTRIBUTE_TAIL + rb")*+>"

_FLAGGED_ATTRIBUTES = rb"style|background|ping|attributionsrc|manifest|on[a-z]+"
_ACTION = rb"(?:xlink:)?href|action|formaction"
# What may turn out to be a `javascript:` URL, spelled with references or behind control characters.
_JAVASCRIPT = rb"[" + WS + rb"]*+=[" + WS + rb"]*+[\"']?[\x00-\x20]*+[jJ&]"
_BORING_REST = (
    rb"(?:["
    + WS
    + rb"/]++|(?!(?i:"
    + _FLAGGED_ATTRIBUTES
    + rb")["
    + WS
    + rb"/=>]|(?i:"
    + _ACTION
    + rb")"
    + _JAVASCRIPT
    + rb")"
    + _NAME
    + _ATTRIBUTE_TAIL
    + rb")*+>"
)

INTERESTING: Final = frozenset(
    "applet audio base body col embed frame frameset iframe image img input link math meta noembed noframes noscript "
    "object param plaintext portal fencedframe script select source style svg template textarea title track video "
    "xmp".split()
)
"""HTML elements that fetch, that hold raw text, or that change how what follows is read."""

_COMMENT = rb"<!--(?:-?>|(?:[^-]++|-(?!-!?>))*+--!?>)"
_NOT_MARKUP = rb"|<\?[^>]*+>|</(?:>|[^A-Za-z>][^>]*+>)|<(?=[^A-Za-z/!?])"
_OTHER = _COMMENT + rb"|<!(?!--)[^>]*+>" + _NOT_MARKUP  # DOCTYPE and bogus comments both end at the first `>`

TEXT: Final = re.compile(rb"(?:[^<]++|" + _OTHER + rb")*+")
"""Text and comments, up to the next tag or the first thing that is not complete."""

TEXT_OR_CDATA: Final = re.compile(rb"(?:[^<]++|" + _COMMENT + rb"|<!(?!--|\[CDATA\[)[^>]*+>" + _NOT_MARKUP + rb")*+")
"""As `TEXT`, where ``<![CDATA[`` opens a section rather than a bogus comment (13.2.5.42)."""

BORING: Final = re.compile(
    rb"(?:[^<]++|<(?!(?i:"
    + "|".join(sorted(INTERESTING)).encode()
    + rb")["
    + WS
    + rb"/>])[A-Za-z][^"
    + WS
    + rb"/>]*+"
    + _BORING_REST
    + rb"|"
    + rb"</(?!(?i:template)["
    + WS
    + rb"/>])[A-Za-z][^"
    + WS
    + rb"/>]*+"
    + _REST
    + rb"|"
    + _OTHER
    + rb")*+"
)
"""As `TEXT`, and also over every tag that can neither fetch nor change the tokenizer's state."""

TAG: Final = re.compile(rb"<(/?)([A-Za-z][^" + WS + rb"/>]*+)(" + _REST + rb")")
"""One complete start or end tag."""

_ATTRIBUTE = re.compile(
    rb"["
    + WS
    + rb"/]*+("
    + _NAME
    + rb")(?:["
    + WS
    + rb"]*+=["
    + WS
    + rb"]*+(?:\"([^\"]*+)\"|'([^']*+)'|([^"
    + WS
    + rb">\"'][^"
    + WS
    + rb">]*+)|(?=>)))?"
)

COMMENT_END: Final = re.compile(rb"--!?>")
"""Where a comment ends. Right behind ``<!--`` also ``>`` and ``->`` end it; ``!>`` there does not."""
_RAW_END = {
    name: re.compile(rb"</" + name.encode() + rb"(?=[" + WS + rb"/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "noscript", "style", "textarea", "title", "xmp", "script")
}
_SCRIPT_TOKEN = re.compile(rb"<!--|-->|<(/?)script(?=[" + WS + rb"/>])", re.IGNORECASE)

VOID: Final = frozenset(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr".split()
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a tag. Offsets count from its ``<``; ``value`` is raw bytes, or None where there is none."""

    name: bytes
    start: int
    end: int
    value: bytes | None


class Tag:
    """A start tag, read lazily and edited in place: bytes that no edit names stay as they are."""

    __slots__ = ("_by_name", "_edits", "_name_end", "attributes", "name", "raw", "self_closing")

    def __init__(self, raw: bytes, name: bytes, *, local: bool = False) -> None:
        """``local`` takes a namespace prefix off the name, which only XML has."""
        self.raw = raw
        self._name_end = 1 + len(name)
        self.name = (name.rpartition(b":")[2] if local else name).lower().decode("latin-1")
        self.attributes = tuple(_attributes(raw, 1 + len(name)))
        self.self_closing = raw.endswith(b"/>") and not _ends_in_unquoted_slash(self.attributes, len(raw))
        self._by_name: dict[bytes, list[Attribute]] = {}
        for attribute in self.attributes:
            self._by_name.setdefault(attribute.name, []).append(attribute)
        self._edits: dict[tuple[int, int, bytes], None] = {}  # in the order made

    def raw_value(self, name: str) -> bytes | None:
        """The undecoded value of the first attribute of this name; duplicates are ignored (13.2.5.33)."""
        found = self._by_name.get(name.encode("latin-1"))
        return None if found is None else found[0].value or b""

    def get(self, name: str) -> str | None:
        """The value of the first attribute of this name with character references decoded, or None."""
        raw = self.raw_value(name)
        return None if raw is None else decode_value(raw)

    def has(self, name: str) -> bool:
        """Whether the attribute is present, with or without a value."""
        return self.raw_value(name) is not None

    def neutralise(self, *names: str) -> None:
        """Rename every attribute of these names, duplicates too, so that the browser keeps but does not use it."""
        for name in names:
            key = name.encode("latin-1")
            for attribute in self._by_name.get(key, ()):
                # `xlink:href` may not stand in a dataset key as it is; a colon becomes a hyphen.
                safe = b"data-cg-" + key.replace(b":", b"-")
                self._edits[attribute.start, attribute.start + len(key), safe] = None

    def lead(self, attributes: bytes) -> None:
        """Insert attributes right behind the tag's name, where they win over later ones of the same name."""
        self._edits[self._name_end, self._name_end, b" " + attributes] = None

    def replace_value(self, name: str, value: bytes) -> None:
        """Give the first attribute of this name a new value, quoted and escaped here."""
        key = name.encode("latin-1")
        attribute = self._by_name[key][0]
        self._edits[attribute.start, attribute.end, key + b'="' + escape_value(value) + b'"'] = None

    def open_up(self) -> bytes:
        """Take the slash from ``<name/>``; return the end tag that then has to follow."""
        self._edits[len(self.raw) - 2, len(self.raw) - 1, b""] = None
        return b"</" + self.raw[1 : self._name_end] + b">"

    def edited(self) -> bytes:
        """The tag with every edit made."""
        pieces: list[bytes] = []
        last = 0
        for start, end, text in sorted(self._edits, key=lambda edit: edit[:2]):
            pieces += (self.raw[last:start], text)
            last = end
        return b"".join([*pieces, self.raw[last:]])


def _attributes(raw: bytes, at: int) -> list[Attribute]:
    found = []
    end = len(raw) - 1
    while (match := _ATTRIBUTE.match(raw, at)) is not None and match.start(1) < end:
        value = next((group for group in match.group(2, 3, 4) if group is not None), None)
        start = match.start(1)
        found.append(Attribute(match.group(1).lower(), start, match.end(), value))
        at = match.end()
    return found


def _ends_in_unquoted_slash(attributes: tuple[Attribute, ...], length: int) -> bool:
    """Whether the slash before ``>`` belongs to an unquoted value, as in ``<a href=x/>`` (13.2.5.38)."""
    return bool(attributes) and attributes[-1].end == length - 1 and attributes[-1].value is not None


def raw_text_end(buffer: bytes | bytearray, name: str, start: int) -> int:
    """Where the end tag of a raw text element begins, searched from ``start``; -1 where it is not there yet."""
    match = _RAW_END[name].search(buffer, start)
    return match.start() if match else -1


class ScriptEnd:
    """Finds the end of a script element's text, through its escaped states (13.2.5.4, .20 to .30), resumably.

    ``<!--`` escapes; within, ``<script`` escapes doubly, so that the next ``</script`` only ends that; ``-->`` ends
    both. `find` may be called again with a longer buffer and goes on where it stopped.
    """

    __slots__ = ("_at", "_state")
    _LONGEST = len(b"</script>") + 1

    def __init__(self) -> None:
        self._at = 0
        self._state = 0  # 0 script data, 1 escaped, 2 double escaped

    def find(self, buffer: bytes | bytearray, start: int) -> int:
        """Where the closing ``</script`` begins in a buffer in which the text starts at ``start``; -1 where not yet."""
        while (match := _SCRIPT_TOKEN.search(buffer, start + self._at)) is not None:
            token = match.group()
            # `<!-->` both opens and closes: its dashes may serve twice.
            self._at = (match.start() + 2 if token == b"<!--" else match.end()) - start
            if token == b"<!--":
                self._state = self._state or 1
            elif token == b"-->":
                self._state = 0
            elif match.group(1):
                if self._state != 2:
                    return match.start()
                self._state = 1
            elif self._state == 1:
                self._state = 2
        self._at = max(self._at, len(buffer) - start - self._LONGEST)
        return -1


_REFERENCE = re.compile(r"&(?:#[xX]([0-9A-Fa-f]+);?|#([0-9]+);?|([0-9A-Za-z]+;?))")
_WINDOWS_1252 = {code: bytes([code]).decode("cp1252", "replace") for code in range(0x80, 0xA0)}
_MOST_DIGITS = 9
"""Digits that make a code point, or more than any; zeros before them do not count."""
_LONGEST_LEGACY = max(len(name) for name in _NAMED if not name.endswith(";"))


def decode_value(raw: bytes) -> str:
    """An attribute's value as the browser reads it: UTF-8, with character references decoded (13.2.5.72 ff.)."""
    text = raw.decode("utf-8", "replace")
    if "&" not in text:
        return text
    return _REFERENCE.sub(lambda match: _character(match, text), text)


def _character(match: re.Match[str], text: str) -> str:
    hexadecimal, decimal, name = match.groups()
    if name is None:
        digits, base = (hexadecimal, 16) if hexadecimal else (decimal, 10)
        return _code_point(int(digits.lstrip("0")[:_MOST_DIGITS] or "0", base))
    if name.endswith(";") and name in _NAMED:
        return _NAMED[name]
    following = text[match.end() : match.end() + 1]
    return _legacy_reference(name, following) or match.group()


def _legacy_reference(name: str, following: str) -> str | None:
    """A reference without semicolon counts in an attribute only if no letter, digit or ``=`` comes next."""
    for length in range(min(len(name), _LONGEST_LEGACY), 1, -1):
        value = _NAMED.get(name[:length])
        if value is not None:
            next_character = name[length : length + 1] or following
            if next_character == "=" or (next_character.isascii() and next_character.isalnum()):
                return None
            return value + name[length:]
    return None


def _code_point(code: int) -> str:
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return _WINDOWS_1252.get(code) or chr(code)


def escape_value(value: bytes) -> bytes:
    """A value as it may stand between double quotes."""
    return value.replace(b"&", b"&amp;").replace(b'"', b"&quot;").replace(b"<", b"&lt;").replace(b">", b"&gt;")


_DIGITS = re.compile(rb"[\t\n\x0c\r ]*([0-9.]+%?)")


def dimension(tag: Tag, name: str) -> str:
    """The ``width`` or ``height`` of an embed as a number or percentage, or "" (2.4.4.4, dimension values)."""
    match = _DIGITS.match(tag.raw_value(name) or b"")
    return match.group(1).decode() if match else ""
