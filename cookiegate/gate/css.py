"""What a style sheet in the page fetches: ``url()``, ``@import``, ``image-set()``, and how to take it out.

Only tokens that can name a resource are read (CSS Syntax 3, 4.3). Text that hides a URL behind escapes so that the
tokens alone do not show it is caught by a second look at the unescaped text, and then the whole sheet is withheld.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .resources import Withheld

_TOKEN = re.compile(
    r"/\*.*?(?:\*/|\Z)"
    r"|\"(?P<double>(?:\\.|[^\"\\\n])*)(?:\"|(?=\n)|\Z)"
    r"|'(?P<single>(?:\\.|[^'\\\n])*)(?:'|(?=\n)|\Z)"
    r"|url\(\s*(?P<bare>(?:\\.|[^\s\"'()\\])+)\s*(?:\)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_RESOURCE_STRING = re.compile(r"(?:@import\s*|(?:image-set|src|image|url)\(\s*|,\s*)\Z", re.IGNORECASE)
"""What stands right before a string that names a resource."""
_LOOK_BACK = 40
_STRING_COMMENT_OR_ESCAPE = re.compile(
    r"/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|(?P<escape>\\[0-9A-Fa-f]{1,6}[ \t\n\r\f]?|\\.)",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:([0-9A-Fa-f]{1,6})[ \t\n\r\f]?|(\r\n|[\n\r\f])|(.))", re.DOTALL)
_MAY_LEAVE = re.compile(r"[/\\]\s*[/\\]|\\|(?:https?|wss?|ftp)\s*:", re.IGNORECASE)
"""Without any of these no reference can lead to another host, so long as the base is the site's own."""

EMPTY = "data:,"

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
    gated, withheld = _replace(text, judge)
    if "\\" in gated:
        # The same again with escapes outside strings resolved, for what spells `url(` as `u\72l(`.
        hidden = _replace(_STRING_COMMENT_OR_ESCAPE.sub(_unescape_outside_strings, gated), judge)[1]
        if hidden:
            return "", (*withheld, *hidden)
    return gated, withheld


def _replace(text: str, judge: Judge) -> tuple[str, tuple[Withheld, ...]]:
    withheld: list[Withheld] = []

    def replace(match: re.Match[str]) -> str:
        string = match["double"] if match["double"] is not None else match["single"]
        url = match["bare"] if string is None else string
        if not url or (string is not None and not _names_resource(match, url)):
            return match.group()
        found = judge(unescape(url))
        if found is None:
            return match.group()
        withheld.append(found)
        return match.group().replace(url, EMPTY)

    return _TOKEN.sub(replace, text), tuple(withheld)


def _unescape_outside_strings(match: re.Match[str]) -> str:
    return unescape(match.group()) if match["escape"] else match.group()


def unescape(text: str) -> str:
    """CSS escapes resolved (CSS Syntax 3, 4.3.7)."""
    return _ESCAPE.sub(_escaped, text) if "\\" in text else text


def _escaped(match: re.Match[str]) -> str:
    code, newline, character = match.groups()
    if newline:
        return ""
    if code is None:
        return str(character)
    number = int(code, 16)
    return chr(number) if 0 < number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"


def _names_resource(match: re.Match[str], url: str) -> bool:
    """A string fetches only in certain places; an absolute URL is judged wherever it stands."""
    if "//" in url or "\\" in url:
        return True
    return _RESOURCE_STRING.search(match.string[max(0, match.start() - _LOOK_BACK) : match.start()]) is not None
