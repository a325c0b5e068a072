"""Where a browser may ignore a start tag altogether, so that what would be raw text is markup to it (HTML 13.2.6.4)."""

from __future__ import annotations

_HEAD_LIKE = frozenset("base basefont bgsound link meta noframes script style template title".split())
"""Start tags that leave the insertion mode "in template" as it is."""


class _Level:
    """The page itself, or one open template."""

    __slots__ = ("columns", "fresh", "selects")

    def __init__(self) -> None:
        self.fresh = True
        self.columns = False
        self.selects = 0


class Ignored:
    """True while some browser may be ignoring start tags.

    There are three such places: a ``select``, to browsers older than the customisable one; a page of framesets; and a
    template that begins with a ``col``, whose insertion mode "in column group" only the template's end leaves.

    Attributes:
        unbalanced: something was closed that was not opened here, or cannot be closed here.
    """

    __slots__ = ("_doubts", "_frameset", "_levels", "unbalanced")

    def __init__(self) -> None:
        self._levels = [_Level()]
        self._doubts = 0
        self._frameset = False
        self.unbalanced = False

    def __bool__(self) -> bool:
        return self._frameset or self._doubts > 0

    @property
    def fresh(self) -> bool:
        """Whether nothing but what may stand in a head was seen yet, on this level."""
        return self._levels[-1].fresh

    @property
    def in_template(self) -> bool:
        """Whether a template is open."""
        return len(self._levels) > 1

    def start(self, name: str) -> None:
        """Account for a start tag that is read by the rules for HTML."""
        level = self._levels[-1]
        if name == "template":
            self._levels.append(_Level())
        elif name == "frameset":
            self._frameset = True
        elif name == "select":
            level.selects += 1
            self._doubts += 1
        elif name == "col" and level.fresh and not level.columns:
            level.columns = True
            self._doubts += 1
        elif name not in _HEAD_LIKE:
            level.fresh = False

    def end(self, name: str) -> None:
        """Account for an end tag that is read by the rules for HTML."""
        level = self._levels[-1]
        if name == "select":
            self.unbalanced |= not level.selects
            self._doubts -= level.selects > 0
            level.selects -= level.selects > 0
        elif name == "template":
            self.unbalanced |= not self.in_template
            if self.in_template:
                self._levels.pop()
                self._doubts -= level.selects + level.columns
