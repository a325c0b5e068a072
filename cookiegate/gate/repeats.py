"""Pages that were gated before: one that comes again, byte for byte, for the same verdict is not scanned again.

For pages that are the same for everybody only. Who carries a cookie besides the choice, or is signed in, may get a page
of their own, and nothing of that is to be kept beyond its request: `middleware` and `response` see to it. And a page is
kept when it comes for the second time, so that what never repeats (a nonce, a token) costs a number and no more.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from .body import PageScanner
from .resources import Withheld

Note = Callable[[Withheld], None]


@dataclass(frozen=True, slots=True)
class Gating:
    """How one page is to be gated.

    Attributes:
        scanner: makes the scanner, given what to insert and whom to tell what was withheld.
        circumstances: all that the result depends on besides the page's bytes and what is inserted.
        insert: what is put into the page this time.
        note: told what is withheld.
    """

    scanner: Callable[[bytes, Note], PageScanner]
    circumstances: Hashable
    insert: bytes
    note: Note


class _Kept(NamedTuple):
    """A gated page, cut where something is to be inserted; ``after`` is None where nothing can be."""

    before: bytes
    after: bytes | None
    withheld: tuple[Withheld, ...]


_Key = tuple[bytes, Hashable, bool]


class Repeats:
    """Gated pages by their original bytes and all else that they depend on. Safe from several threads.

    Args:
        limit: bytes of pages, original and gated, that are kept; the least recently seen go first.

    Attributes:
        hits, misses: how many pages were known, and how many were not.
    """

    _MOST_SEEN = 4096

    def __init__(self, *, limit: int = 32 * 1024 * 1024) -> None:
        self.hits = self.misses = 0
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._seen: set[int] = set()
        self._mark = b"<!--%s-->" % secrets.token_hex(16).encode()
        self._lock = Lock()

    def gated(self, page: bytes, gating: Gating) -> bytes:
        """A whole page, gated now or before."""
        key = (page, gating.circumstances, bool(gating.insert))
        kept = self._find(key)
        if kept is None:
            kept = self._gate(page, gating)
            self._keep(key, kept)
        for withheld in kept.withheld:
            gating.note(withheld)
        return kept.before if kept.after is None else b"".join((kept.before, gating.insert, kept.after))

    def _gate(self, page: bytes, gating: Gating) -> _Kept:
        withheld: list[Withheld] = []
        scanner = gating.scanner(self._mark if gating.insert else b"", withheld.append)
        before, mark, after = (scanner.feed(page) + scanner.close()).partition(self._mark)
        return _Kept(before, after if mark else None, tuple(withheld))

    def _find(self, key: _Key) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                self.misses += 1
            else:
                self.hits += 1
                self._kept.move_to_end(key)
        return kept

    def _keep(self, key: _Key, kept: _Kept) -> None:
        with self._lock:
            if hash(key) not in self._seen:
                if len(self._seen) >= self._MOST_SEEN:
                    self._seen.clear()
                self._seen.add(hash(key))
            elif key not in self._kept:
                self._kept[key] = kept
                self._size += _size(key, kept)
            while self._size > self._limit:
                self._size -= _size(*self._kept.popitem(last=False))


def _size(key: _Key, kept: _Kept) -> int:
    return len(key[0]) + len(kept.before) + len(kept.after or b"")


class WholePage:
    """Stands in for the scanner of a page that comes in one piece."""

    def __init__(self, repeats: Repeats, gating: Gating) -> None:
        self._repeats = repeats
        self._gating = gating
        self._page = b""

    def feed(self, data: bytes) -> bytes:
        """Take the page, or what there is of it."""
        self._page += data
        return b""

    def close(self) -> bytes:
        """The page, gated."""
        return self._repeats.gated(self._page, self._gating)
