"""What may be written down: `minimise()` is the only reader of the IP address and the User-Agent.

Values in, values out. What `minimise` does not return exists nowhere: not in a queue, a log, a file or an error.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from user_agents import parse as parse_user_agent

from .lawful import Verdict
from .policy import Basis, Policy
from .signals import Signals

Method = Literal["accept", "reject", "save", "allow"]
"""Which control the visitor used: accept all, reject all (also: withdraw), save the toggles, allow one embed."""

Device = Literal["desktop", "mobile", "tablet", "other"]


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One act of choosing, as evidence (GDPR Art 7(1)).

    Who: ``consent_id``. What: ``choices`` per purpose. Shown: ``policy_version``, ``banner_hash`` (SHA-256 of exactly
    the text shown), ``locale``. When: ``at`` (UTC) and ``valid_until``. How: ``method`` and ``source``. Where:
    ``host`` and ``path`` (no query). Signals: ``gpc``, ``dnt``, ``country``, ``profile``.
    """

    record_id: str
    consent_id: str
    at: datetime
    valid_until: datetime
    method: Method
    source: str
    choices: Mapping[str, bool]
    policy_version: str
    banner_hash: str
    locale: str
    host: str
    path: str
    gpc: bool
    dnt: bool
    country: str
    profile: str


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One page view of a visitor for whom a lawful basis applies, in exactly the fields it covers.

    ``None`` means: not covered, so not kept. ``visit_key`` is a keyed hash that cannot be recomputed once its salt is
    destroyed; ``previous_key`` is the same visitor's key under the day before's salt, so that a visit may cross
    midnight: it finds the visit and is not stored.
    """

    at: datetime
    host: str
    path: str
    purpose: str
    basis: Basis
    policy_version: str
    consent_id: str
    status: int
    duration_ms: int
    visit_key: str | None = None
    previous_key: str | None = None
    referrer: str | None = None
    ip: str | None = None
    country: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """One page view as a number in a counter: no field of it belongs to a person.

    ``page`` is the route's template, or the path with every segment that could identify someone masked.
    ``hour`` is the start of the UTC hour. ``consented`` says whether a `UsageRecord` went with it.
    """

    hour: datetime
    host: str
    page: str
    country: str
    consented: bool
    undecided: bool


@dataclass(frozen=True, slots=True)
class Salts:
    """The visit salts of one day: random, never derived from a setting. ``previous`` is None once destroyed."""

    day: str
    current: bytes
    previous: bytes | None = None
