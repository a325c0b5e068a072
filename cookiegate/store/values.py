"""What the store gives back, beside the records it was given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..policy import Basis
from ..record import Device


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One stored page view: the fields of a `UsageRecord` less its keys, and its place in a visit.

    ``visit_id`` is random: it names the visit and nothing else. ``position`` is 1 for a visit's first view.
    Both are None where no visit could be told.
    """

    at: datetime
    visit_id: str | None
    position: int | None
    host: str
    path: str
    purpose: str
    basis: Basis
    policy_version: str
    consent_id: str
    status: int
    duration_ms: int
    referrer: str | None = None
    ip: str | None = None
    country: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """What one process's writer has done since it started.

    Attributes:
        queued: page views and counts that wait in memory, those in the present transaction included.
        written: choices, page views and counts committed.
        dropped: page views and counts lost: the queue was full, the row was refused, or the store was closed.
        failed_batches: transactions that failed, whether or not they were repeated with success later.
        last_error: the last failure in words, or "".
    """

    queued: int = 0
    written: int = 0
    dropped: int = 0
    failed_batches: int = 0
    last_error: str = ""
