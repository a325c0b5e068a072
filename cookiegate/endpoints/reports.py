"""Taking what browsers report about the wall: read, stripped to directive and host, counted, forgotten.

Unlike a choice, a report needs no check of where it comes from: it grants nothing, changes nothing and is shown to the
site's operator only. Anybody can send one, so their number is limited, and what they say is taken for hearsay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from .. import headers
from ..errors import FormError
from ..gate import MAX_DELIVERY, Resources, Withheld, reported
from .forms import Receive, read_body

_LOG = logging.getLogger("cookiegate.gate")
_TYPES = frozenset({b"application/reports+json", b"application/csp-report", b"application/json"})
_RATE, _BURST = 20.0, 200.0


class TokenBucket:
    """Lets ``burst`` pass at once, and ``rate`` a second in the long run.

    Told the time with each question; one that goes back counts as standing still.
    """

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._last: datetime | None = None

    def take(self, now: datetime) -> bool:
        """Whether one more may pass now."""
        passed = (now - self._last).total_seconds() if self._last is not None else 0.0
        self._last = now
        self._tokens = min(self._burst, self._tokens + max(0.0, passed) * self._rate)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class ReportDesk:
    """Takes deliveries of reports. One per process.

    Attributes:
        dropped: deliveries that came too fast, and so were not read.
    """

    def __init__(self, resources: Resources, note: Callable[[Withheld], None]) -> None:
        self._resources = resources
        self._note = note
        self._bucket = TokenBucket(rate=_RATE, burst=_BURST)
        self.dropped = 0

    async def take(self, raw: headers.RawHeaders, receive: Receive, *, host: str, now: datetime) -> int:
        """Note what one delivery from a page of ``host`` says. Gives the status to answer with, without a body."""
        if not self._bucket.take(now):
            self._drop()
            return 429
        if (headers.get(raw, b"content-type") or b"").partition(b";")[0].strip().lower() not in _TYPES:
            return 415
        try:
            body = await read_body(receive, limit=MAX_DELIVERY)
        except FormError as error:
            return error.status
        for withheld in reported(body, self._resources, page_host=host):
            self._note(withheld)
        return 204

    def _drop(self) -> None:
        if not self.dropped:
            _LOG.warning("more than %d deliveries of reports a second: what is beyond is dropped", _RATE)
        self.dropped += 1
