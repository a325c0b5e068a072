"""SVG and MathML inside HTML: which rules read the next tag (HTML standard 13.2.6, the tree construction dispatcher).

The stack begins at the outermost ``<svg>`` or ``<math>``; below it everything is HTML. It is exact while the markup is
well-formed. Where the true state depends on the whole tree outside, `close` returns bytes that make it certain; where
even that cannot be had (broken HTML inside ``foreignObject``), the stack turns *doubtful* for good and says so.
"""

from __future__ import annotations

from .markup import VOID, Tag

_BREAKOUT = frozenset(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    "nobr ol p pre ruby s small span strong strike sub sup table tt u ul var".split()
)
_FONT_ATTRIBUTES = ("color", "face", "size")
_MATH_TEXT = frozenset({"mi", "mo", "mn", "ms", "mtext"})
_SVG_HTML = frozenset({"foreignobject", "desc", "title"})
_MOVED = frozenset("form body html head frameset select template".split())
"""HTML elements whose tags act on the tree outside, or are read differently by different browsers."""
_PARENTS = {
    "td": {"tr"},
    "th": {"tr"},
    "tr": {"table", "tbody", "thead", "tfoot"},
    "tbody": {"table"},
    "thead": {"table"},
    "tfoot": {"table"},
    "caption": {"table"},
    "colgroup": {"table"},
    "col": {"colgroup"},
}
"""Parts of tables, and where they must stand for their tags to be taken as they are."""
_TABLE_PARTS = frozenset({"table", "tbody", "thead", "tfoot", "tr"})
_CLOSES_P = frozenset(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer h1 h2 h3 h4 "
    "h5 h6 header hgroup hr li listing main menu nav ol p plaintext pre search section summary table ul xmp dd "
    "dt".split()
)
_CLOSES_ITSELF = (
    frozenset({"li"}),
    frozenset({"dd", "dt"}),
    frozenset({"option", "optgroup"}),
    frozenset({"rb", "rp", "rt", "rtc"}),
    frozenset({"a"}),
    frozenset({"nobr"}),
    frozenset({"button"}),
    frozenset({"h1", "h2", "h3", "h4", "h5", "h6"}),
)

_DEEPEST = 256
"""Elements that may be open in foreign content before the stack gives up: what is deeper is no drawing."""

Entry = tuple[str, str]


class ForeignStack:
    """The open elements from the outermost foreign one inwards, as ``(namespace, lower-case name)``."""

    __slots__ = ("_integration", "_stack", "doubtful")

    def __init__(self) -> None:
        self._stack: list[Entry] = []
        self._integration: set[int] = set()
        self.doubtful = False

    def __bool__(self) -> bool:
        return bool(self._stack)

    @property
    def cdata(self) -> bool:
        """Whether ``<![CDATA[`` opens a section here: only where the current node is foreign (13.2.5.42)."""
        return bool(self._stack) and self._stack[-1][0] != "html"

    def open(self, tag: Tag) -> bool:
        """Account for a start tag. True where it is read by the rules for foreign content."""
        if self.doubtful:
            return False
        if not self._stack:
            return self._enter(tag)
        if len(self._stack) >= _DEEPEST:
            self.doubtful = True
            return False
        if self._reads_html(tag.name):
            return self._open_html(tag)
        if tag.name in _BREAKOUT or (tag.name == "font" and any(tag.has(name) for name in _FONT_ATTRIBUTES)):
            self._break_out()
            return False if not self._stack else self._open_html(tag)
        self._push(self._stack[-1][0], tag)
        return True

    def close(self, name: str) -> bytes | None:
        """Account for an end tag; return what must follow it so that the state is certain.

        None where it closes a foreign element, so that the rules for HTML never see it.
        """
        if not self._stack or self.doubtful:
            return b""
        if self._stack[-1][0] == "html":
            self._close_html(name)
            return b""
        if name in {"br", "p"}:
            return self._end_paragraph()
        for depth in range(len(self._stack) - 1, -1, -1):
            namespace, open_name = self._stack[depth]
            if namespace == "html":
                self.doubtful = True
                return b""
            if open_name == name:
                self._cut(depth)
                return None
        return _end_tags(self._cut(0))

    def _enter(self, tag: Tag) -> bool:
        if tag.name not in {"svg", "math"}:
            return False
        self._push(tag.name, tag)
        return True

    def _push(self, namespace: str, tag: Tag) -> None:
        if tag.self_closing:
            return
        if _is_html_integration(namespace, tag):
            self._integration.add(len(self._stack))
        self._stack.append((namespace, tag.name))

    def _reads_html(self, name: str) -> bool:
        namespace, current = self._stack[-1]
        if namespace == "html" or len(self._stack) - 1 in self._integration:
            return True
        if namespace == "math" and current in _MATH_TEXT:
            return name not in {"mglyph", "malignmark"}
        return namespace == "math" and current == "annotation-xml" and name == "svg"

    def _open_html(self, tag: Tag) -> bool:
        if tag.name in {"svg", "math"}:
            self._push(tag.name, tag)
            return True
        if self._misplaced(tag.name):
            self.doubtful = True
        elif tag.name not in VOID:
            self._stack.append(("html", tag.name))
        return False

    def _misplaced(self, name: str) -> bool:
        """Whether the tag is ignored, moved, or closes others that are open: then nesting is not ours to know."""
        inner = self._html_elements()
        if name in _MOVED or ("p" in inner and name in _CLOSES_P):
            return True
        if name == "table" and inner and inner[-1] in _TABLE_PARTS:
            return True
        if name in _PARENTS and (not inner or inner[-1] not in _PARENTS[name]):
            return True
        return any(name in group and not group.isdisjoint(inner) for group in _CLOSES_ITSELF)

    def _html_elements(self) -> list[str]:
        """The HTML elements open inside the innermost integration point, outermost first."""
        inner: list[str] = []
        for namespace, name in reversed(self._stack):
            if namespace != "html":
                break
            inner.insert(0, name)
        return inner

    def _close_html(self, name: str) -> None:
        if self._stack[-1] == ("html", name):
            self._stack.pop()
        else:
            self.doubtful = True

    def _break_out(self) -> list[Entry]:
        """Leave foreign content up to an integration point, as a breakout tag does (13.2.6.5); return what was left."""
        depth = len(self._stack)
        while depth:
            namespace, name = self._stack[depth - 1]
            if namespace == "html" or depth - 1 in self._integration or (namespace == "math" and name in _MATH_TEXT):
                break
            depth -= 1
        return self._cut(depth)

    def _end_paragraph(self) -> bytes:
        """``</p>`` and ``</br>`` break out since 2021; before, they were stray end tags like any other."""
        left = self._break_out()
        if left and self._stack:  # an end tag for what was left might now close what was not
            self.doubtful = True
            return b""
        return _end_tags(left)

    def _cut(self, depth: int) -> list[Entry]:
        removed = self._stack[depth:]
        del self._stack[depth:]
        self._integration -= set(range(depth, depth + len(removed)))
        return removed


def _end_tags(left: list[Entry]) -> bytes:
    """End tags for the foreign roots among what was left.

    A stray end tag closes all of the foreign content, or nothing, depending on the tree outside. These make it
    certain: where the roots are not open any more, they are ignored.
    """
    roots = [name for namespace, name in left if name == namespace]
    return b"".join(b"</%s>" % name.encode() for name in reversed(roots))


def _is_html_integration(namespace: str, tag: Tag) -> bool:
    if namespace == "svg":
        return tag.name in _SVG_HTML
    encoding = (tag.get("encoding") or "").lower()
    return tag.name == "annotation-xml" and encoding in {"text/html", "application/xhtml+xml"}
