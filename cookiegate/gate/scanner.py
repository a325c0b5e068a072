"""The streaming HTML scanner: finds what may fetch, hands it to `Elements`, and passes every other byte unchanged.

It follows the tree builder only as far as it decides how the tokenizer reads on: raw text, script data, foreign
content, ``noscript``. Where browsers could read the same bytes in two ways (broken foreign content, ``select``,
``frameset``, markup that a ``noscript`` hides only with scripting on), nothing is guessed: the scanner is *strict*
there, and drops the content of a raw text element that would mean something else in the other reading.

`Scanner.feed` may be given the body in any pieces: the output is the same. Work and memory stay linear in the input.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from ..errors import UnreadableBody
from .foreign import ForeignStack
from .markup import BORING, COMMENT_END, TAG, TEXT, TEXT_OR_CDATA, ScriptEnd, Tag, raw_text_end
from .modes import Ignored

MAX_HELD = 16 * 1024 * 1024
"""Bytes of one unfinished tag, script or style that are held before the page is given up as unreadable."""

_RETRY_ALWAYS = 8 * 1024
_LONGEST_END_TAG = len(b"</textarea>")
_BEFORE_BODY = frozenset(
    "html head body frameset title meta link base basefont bgsound script style noscript template noframes".split()
)
"""Tags that do not open the body by themselves, or that say where it begins."""
_RAW = frozenset("script style noscript title textarea xmp iframe noembed noframes plaintext".split())
"""Elements whose content the tokenizer reads as text (HTML 13.2.6.4), ``noscript`` where scripting is on."""
_CDATA = b"<![CDATA["
_SHORTEST_OPEN_COMMENT = len(b"<!---x")

TextDone = Callable[[Tag, bytes], None]


class Handler(Protocol):
    """What the scanner asks about the things it finds. `Elements` is the real one."""

    def start(self, tag: Tag, *, foreign: bool) -> bytes: ...
    def script(self, tag: Tag, text: bytes) -> bytes: ...
    def style(self, tag: Tag, text: bytes) -> tuple[bytes, bytes]: ...
    def unclear(self, name: str) -> None: ...


class Scanner:
    """Gates one HTML document or fragment.

    Args:
        handler: judges and edits what is found.
        insert: bytes to put where the page's content begins: right behind ``<body>``, or before the first thing that
            cannot stand in a head. Empty for fragments.
        keep: drop nothing, even where it is unclear: for watching only.
        strict: browsers may read the very beginning in two ways already.
        noscript: this is the content of a ``noscript``, within which no other can close.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        insert: bytes = b"",
        keep: bool = False,
        strict: bool = False,
        noscript: bool = False,
    ) -> None:
        self._handler = handler
        self._insert = insert
        self._keep = keep
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._out: list[bytes] = []
        self._state: Callable[[], bool] = self._data
        self._foreign = ForeignStack()
        self._ignored = Ignored()
        self._born_strict = strict
        self._opens_sections = False
        self._in_noscript = noscript
        self._retry_at = 0
        self._closing = False

    def feed(self, data: bytes) -> bytes:
        """Take more of the body; return what may go out now."""
        self._append(data)
        if self._state == self._data and len(self._buffer) < self._retry_at:
            return b""
        self._run()
        held = len(self._buffer) - self._at
        if held > MAX_HELD:
            raise UnreadableBody(f"one tag, script or style of the page is longer than {MAX_HELD} bytes")
        # A long unfinished tag is read again only once it has grown by a quarter: linear in all, whatever the size of
        # the pieces.
        self._retry_at = held + held // 4 if held > _RETRY_ALWAYS else 0
        return self._take()

    def close(self) -> bytes:
        """The body is complete: return what is left."""
        self._closing = True
        self._run()
        self._finish()
        return self._take()

    @property
    def settled(self) -> bool:
        """Whether the input so far opened nothing that it did not close, nor closed what it did not open."""
        doubt = self._foreign or self._foreign.doubtful or self._ignored
        modes = self._ignored.in_template or self._ignored.unbalanced
        return self._state == self._data and not self._more and not doubt and not modes

    # -- the machine ------------------------------------------------------------------------------------------------

    def _append(self, data: bytes) -> None:
        held = len(self._buffer) - self._at
        if not held:
            self._buffer = data
        elif held < _RETRY_ALWAYS:
            self._buffer = bytes(self._buffer[self._at :]) + data
        else:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            del self._buffer[: self._at]
            self._buffer += data
        self._at = 0

    def _run(self) -> None:
        while self._state() and (self._more or self._closing):
            pass

    def _take(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out

    @property
    def _more(self) -> bool:
        return self._at < len(self._buffer)

    @property
    def _strict(self) -> bool:
        return self._born_strict or bool(self._ignored) or self._foreign.doubtful

    def _emit_to(self, end: int) -> None:
        if end > self._at:
            self._out.append(self._slice(end))
            self._at = end

    def _slice(self, end: int) -> bytes:
        return bytes(self._buffer[self._at : end])

    def _data(self) -> bool:
        """Text, comments and tags. False where more input is needed."""
        match = self._passing().match(self._buffer, self._at)
        assert match is not None
        self._emit_to(match.end())
        if not self._more:
            return False
        tag = TAG.match(self._buffer, self._at)
        if tag is None:
            return self._unfinished()
        if tag.group(1):
            self._end_tag(tag)
        else:
            self._start_tag(tag)
        return True

    def _passing(self) -> re.Pattern[bytes]:
        """What may pass here without a look."""
        if self._strict or self._foreign.cdata:
            return TEXT_OR_CDATA
        return TEXT if self._insert or self._foreign or self._ignored.fresh else BORING

    def _unfinished(self) -> bool:
        """At a ``<`` that opens no complete tag: a CDATA section, a comment to stream, or something to wait for."""
        if self._buffer.startswith(_CDATA, self._at) and (self._strict or self._foreign.cdata):
            return self._cdata()
        if self._buffer.startswith(b"<!--", self._at) and len(self._buffer) - self._at >= _SHORTEST_OPEN_COMMENT:
            # Not `<!-->` nor `<!--->`, which were matched before: from here on every comment ends alike.
            self._emit_to(self._at + 4)
            self._state = self._comment
            return True
        return False

    def _comment(self) -> bool:
        match = COMMENT_END.search(self._buffer, self._at)
        if match is None:
            self._emit_to(max(self._at, len(self._buffer) - 3))
            return False
        self._emit_to(match.end())
        self._state = self._data
        return True

    def _cdata(self) -> bool:
        """A CDATA section passes where it is one; else, or where it would be markup to a preload scanner, it opens up.

        What is opened up is markup in every reading, and judged as such.
        """
        start = self._at + len(_CDATA)
        if self._strict or self._opens_sections:
            self._out.append(self._dropped("CDATA section", _CDATA))
            self._at = start
            return True
        end = self._buffer.find(b"]]>", self._at)
        if end < 0 and not self._closing:
            return False
        end = end if end >= 0 else len(self._buffer)
        # Once one had to be opened up, all are: a section within a section is not looked for its end again and again.
        self._opens_sections = not _is_text_anyway(bytes(self._buffer[start:end]))
        if not self._opens_sections:
            self._emit_to(min(end + 3, len(self._buffer)))
        return True

    # -- tags -------------------------------------------------------------------------------------------------------

    def _start_tag(self, match: re.Match[bytes]) -> None:
        tag = Tag(match.group(), match.group(2))
        self._before_content(tag.name)
        self._at = match.end()
        foreign = self._foreign.open(tag)
        if tag.name == "noscript" and self._in_noscript:
            self._ignored.unbalanced = True
            self._out.append(self._handler.start(tag, foreign=True))
        elif tag.name in _RAW and (self._strict or (foreign and tag.name != "plaintext")):
            self._doubtful_start(tag, foreign=foreign)
        elif tag.name in _RAW and not foreign:
            self._text_element(tag)
        else:
            self._out.append(self._handler.start(tag, foreign=foreign or self._strict))
        if not foreign:
            self._track(tag.name)

    def _text_element(self, tag: Tag) -> None:
        """An HTML element whose content is text."""
        name = tag.name
        if name == "script":
            self._await_script(tag, self._script_done)
        elif name == "style":
            self._await_text(tag, self._style_done)
        elif name == "noscript":
            self._await_text(tag, self._noscript_done)
        elif name == "plaintext":
            self._out.append(self._handler.start(tag, foreign=False))
            self._state = self._plaintext
        else:
            self._out.append(self._handler.start(tag, foreign=False))
            self._state = self._text_until(name)

    def _doubtful_start(self, tag: Tag, *, foreign: bool) -> None:
        """An element whose content is text in one reading and markup in the other.

        In SVG and MathML it is markup to the parser, and text to the preload scanners that run ahead of it.
        """
        if tag.name == "plaintext":
            self._out.append(self._dropped(tag.name, tag.raw))
        elif tag.self_closing:
            self._self_closed(tag)
        elif tag.name == "noscript" and not foreign:
            self._await_text(tag, self._noscript_done)
        elif tag.name == "script":
            self._await_script(tag, self._clear_text_done)
        else:
            self._await_text(tag, self._clear_text_done)

    def _self_closed(self, tag: Tag) -> None:
        """``<title/>`` is complete in one reading and open in the other; ``<title></title>`` is the same in both."""
        end = b"" if self._keep else tag.open_up()
        if tag.name == "script":
            self._out += (self._handler.script(tag, b""), end)
        else:
            self._out += (self._handler.start(tag, foreign=True), end)

    def _track(self, name: str) -> None:
        self._ignored.start(name)
        if name == "frameset":
            self._insert = b""
        elif name == "body" and not self._ignored.in_template:
            self._place_insert()

    def _end_tag(self, match: re.Match[bytes]) -> None:
        name = match.group(2).lower().decode("latin-1")
        if name in {"body", "html", "br"}:
            self._before_content("")
        certainty = self._foreign.close(name)
        if certainty is not None:
            self._ignored.end(name)
        self._emit_to(match.end())
        self._out.append(b"" if self._keep or certainty is None else certainty)

    def _before_content(self, name: str) -> None:
        """Place what is to be inserted before the first tag that opens the body by itself."""
        if self._insert and not self._ignored.in_template and name not in _BEFORE_BODY:
            self._place_insert()

    def _place_insert(self) -> None:
        self._out.append(self._insert)
        self._insert = b""

    # -- elements whose content is text ------------------------------------------------------------------------------

    def _text_until(self, name: str) -> Callable[[], bool]:
        """The state inside a title, textarea and the like: everything passes up to the end tag."""

        def stream() -> bool:
            end = raw_text_end(self._buffer, name, self._at)
            if end < 0:
                self._emit_to(max(self._at, len(self._buffer) - _LONGEST_END_TAG))
                return False
            self._emit_to(end)
            self._state = self._data
            return True

        return stream

    def _await_script(self, tag: Tag, done: TextDone) -> None:
        finder = ScriptEnd()
        self._await(tag, done, lambda: finder.find(self._buffer, self._at))

    def _await_text(self, tag: Tag, done: TextDone) -> None:
        searched = 0

        def find() -> int:
            nonlocal searched
            end = raw_text_end(self._buffer, tag.name, self._at + searched)
            searched = max(0, len(self._buffer) - self._at - _LONGEST_END_TAG)
            return end

        self._await(tag, done, find)

    def _await(self, tag: Tag, done: TextDone, find: Callable[[], int]) -> None:
        """Hold an element's text until its end tag, or the end of the page, and then hand it on whole."""

        def wait() -> bool:
            end = find()
            if end < 0 and not self._closing:
                return False
            text = self._slice(end if end >= 0 else len(self._buffer))
            self._at += len(text)
            self._state = self._data
            done(tag, text)
            return True

        self._state = wait

    def _script_done(self, tag: Tag, text: bytes) -> None:
        self._out += (self._handler.script(tag, text), text)

    def _style_done(self, tag: Tag, text: bytes) -> None:
        self._out += self._handler.style(tag, text)

    def _clear_text_done(self, tag: Tag, text: bytes) -> None:
        """Text that browsers may read in two ways stays only if it means the same in both."""
        if not _same_in_both_readings(text, code=tag.name in {"script", "style"}):
            text = self._dropped(tag.name, text)
        if tag.name == "script":
            self._out += (self._handler.script(tag, _code(text)), text)
        elif tag.name == "style":
            self._style_done(tag, text)
        else:
            self._out += (self._handler.start(tag, foreign=True), text)

    def _noscript_done(self, tag: Tag, text: bytes) -> None:
        """Text to a browser with scripting, markup to one without: safe only if it is closed in itself."""
        inner = Scanner(self._handler, keep=self._keep, strict=self._strict, noscript=True)
        gated = inner.feed(text)
        settled = inner.settled
        gated += inner.close()
        if not settled:
            gated = self._dropped("noscript", gated)
        self._out += (self._handler.start(tag, foreign=False), gated)

    def _dropped(self, name: str, content: bytes) -> bytes:
        """What is left of something unclear: nothing, unless the gate only watches."""
        self._handler.unclear(name)
        return content if self._keep else b""

    def _plaintext(self) -> bool:
        self._emit_to(len(self._buffer))
        return False

    def _finish(self) -> None:
        """What is unfinished at the end of a page is no tag to a browser (13.2.5, eof-in-tag) and harmless as it is."""
        if self._state == self._data and not self._ignored.in_template:
            self._place_insert()
        self._emit_to(len(self._buffer))


def _code(body: bytes) -> bytes:
    """A foreign script's text without its CDATA brackets."""
    return body.replace(_CDATA, b"").replace(b"]]>", b"")


def _same_in_both_readings(text: bytes, *, code: bool) -> bool:
    """Whether text means the same as raw text and as markup: no tags in it, and in code no character references."""
    stripped = text.strip(b"\t\n\x0c\r ")
    if stripped.startswith(_CDATA) and stripped.endswith(b"]]>"):
        section = stripped[len(_CDATA) : -3]
        return b"]]>" not in section and _is_text_anyway(section)
    return b"<" not in stripped and not (code and b"&" in stripped)


def _is_text_anyway(section: bytes) -> bool:
    """Whether a CDATA section holds no markup where it is read as a comment that ends at the first ``>``.

    Nor may it end in a byte that makes one character of the bracket behind it, as in Shift_JIS, GBK or Big5.
    """
    return b"<" not in section.partition(b">")[2] and not section[-1:] >= b"\x80"
