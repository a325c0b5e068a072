"""What a style sheet in the page fetches: ``url()``, ``@import``, ``image-set()``, and how to take it out.

Only the tokens that can hold a URL, or that decide where those begin, are read (CSS Syntax 3, 4.3): comments, strings,
``url(`` however it is spelled, and escapes. Every string is judged like a URL, because a custom property can carry it
anywhere. Where a sheet can be read in two ways and might lead away in one of them, all of it is withheld.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .resources import Withheld

_SPACE = r"[ \t\n]"


def _string(quote: str, name: str) -> str:
    """A string token: it ends at its quote, at a newline, or with the sheet."""
    return rf"{quote}(?P<{name}>(?:[^{quote}\\\n]++|\\(?:.|\Z))*+){quote}?"


def _letter(letter: str) -> str:
    """A letter in either case, plain or by one of its escapes."""
    codes = "|".join(f"{ord(form):x}" for form in (letter, letter.upper()))
    return rf"(?:\\?{letter}|\\0{{0,4}}(?:{codes}){_SPACE}?)"


_TOKEN = re.compile(
    r"/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"
    + "|".join(("", _string('"', "double"), _string("'", "single"), ""))
    + "".join(map(_letter, "url"))
    + rf"\({_SPACE}*+(?:(?=[\"'])|(?P<url>(?:[^)\\]++|\\(?:.|\Z))*+)\)?)"
    + r"|\\(?:.|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_NAMESPACE = re.compile(r"@namespace\s+(?:[\w-]+\s+)?\Z", re.IGNORECASE)
_SELECTED = re.compile(r"=\s*\Z")
"""What stands before the value in an attribute selector."""
_NAME_BEFORE = re.compile(r"(?:[\w\\@#+?-]|[^\x00-\x7f]|\\.|\\[0-9a-f]{1,6}[ \t\n])\Z", re.IGNORECASE)
"""What may make ``url`` the end of some longer name, depending on the edition of the grammar."""
_ODD_IN_URL = re.compile(r"[\"'(\\]|/\*")
_IMPORT = re.compile(r"@import\s*(?:url\(\s*)?[\"']?([^\"')\s;]+)", re.IGNORECASE)
_LOOK_BACK = 60

_NEWLINE = re.compile(r"\r\n?|\f")
_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})[ \t\n]?|(\n)|(.)|\Z)", re.DOTALL)
_HALF_CHARACTER = re.compile("[\udc80-\udcff\ufffd]\\\\")
"""Bytes that are no UTF-8 before a backslash: in Shift_JIS, GBK or Big5 the two can be one character."""
_MAY_LEAVE = re.compile(r"[/\\]\s*[/\\]|\\|(?:h\s*t\s*t\s*p\s*s?|w\s*s\s*s?|f\s*t\s*p)\s*:|@import", re.IGNORECASE)
"""Without any of these no reference can lead to another host, so long as the base is the site's own."""

EMPTY = "data:,"
AMBIGUOUS = Withheld("ambiguous style", "", "")

Judge = Callable[[str], Withheld | None]


def gate(text: str, judge: Judge, *, own_base: bool = False) -> tuple[str, tuple[Withheld, ...]]:
    """A style sheet or ``style`` attribute without the resources that are withheld.

    Args:
        text: the CSS.
        judge: what is withheld, if anything, for a URL.
        own_base: relative references lead to the site itself, so that most sheets need no second look.

    Returns:
        The CSS, unchanged where nothing was withheld, and what was.
    """
    if own_base and not _MAY_LEAVE.search(text):
        return text, ()
    gated, withheld = _replace(_NEWLINE.sub("\n", text).replace("\0", "\ufffd"), judge)
    if _HALF_CHARACTER.search(gated):
        hidden = _replace(_HALF_CHARACTER.sub("\ufffd", gated), judge)[1]
        withheld, gated = (*withheld, *hidden), "" if hidden else gated
    if AMBIGUOUS in withheld:
        return "", withheld
    return (gated, withheld) if withheld else (text, ())


def _replace(text: str, judge: Judge) -> tuple[str, tuple[Withheld, ...]]:
    withheld: list[Withheld] = []

    def replace(match: re.Match[str]) -> str:
        group = match.lastgroup
        if group is None or not match[group]:
            return match.group()
        before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
        if _preloads(match[group], judge):
            withheld.append(AMBIGUOUS)
        if group == "url" and _NAME_BEFORE.search(before) and _ODD_IN_URL.search(match["url"]):
            withheld.append(AMBIGUOUS)
        only_named = _NAMESPACE.search(before) or (group != "url" and _SELECTED.search(before))
        found = None if only_named else judge(unescape(match[group]))
        if found is None:
            return match.group()
        withheld.append(found)
        start, end = (place - match.start() for place in match.span(group))
        return match.group()[:start] + EMPTY + match.group()[end:]

    return _TOKEN.sub(replace, text), tuple(withheld)


def _preloads(text: str, judge: Judge) -> bool:
    """Whether a preload scanner, for which a rule ends at any ``;``, would find an import inside a string or URL."""
    return any(judge(unescape(match[1])) for match in _IMPORT.finditer(text))


def unescape(text: str) -> str:
    """CSS escapes resolved (CSS Syntax 3, 4.3.7)."""
    return _ESCAPE.sub(_escaped, text) if "\\" in text else text


def _escaped(match: re.Match[str]) -> str:
    code, newline, character = match.groups()
    if code is None:
        return "" if newline else str(character or "\ufffd")
    number = int(code, 16)
    return chr(number) if 0 < number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"
