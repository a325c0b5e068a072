"""`Consent`: a visitor's choices as a compact, signed, versioned cookie value.

A value that cannot be verified, for whatever reason, is no consent: `read` returns None and never raises.

Wire form (version 1), base64url without padding::

    version 1 | id 16 | decided_at 4 (seconds, big-endian) | flags 1 | n x (scope << 1 | granted) 4 | tag 16

The tag is keyed BLAKE2s over all that precedes it. A choice is stored against the purpose's *scope* (see
`Policy.scopes`), not its name, so a materially changed purpose is unanswered again and the others keep their answers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

VERSION = 1
_HEAD = struct.Struct(">B16sIB")
_ENTRY = struct.Struct(">I")
_TAG = 16
_GPC, _DNT = 1, 2
MAX_ENTRIES = 64
"""Most purposes that one choice can answer."""
LONGEST = -(-(_HEAD.size + MAX_ENTRIES * _ENTRY.size + _TAG) * 4 // 3)
"""Characters of the longest cookie value there is."""
_SKEW = timedelta(minutes=5)
"""How far in the future a choice may lie: clocks of several machines are never quite equal."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a visitor chose, and when.

    Attributes:
        id: random UUID (version 4) that names the visitor's choice and nothing else.
        decided_at: timezone-aware, whole seconds.
        choices: scope of the purpose to granted or refused.
        gpc, dnt: whether the signal was on when the visitor chose.
    """

    id: str
    decided_at: datetime
    choices: Mapping[int, bool]
    gpc: bool = False
    dnt: bool = False

    def choice(self, scope: int) -> bool | None:
        """True for granted, False for refused, None where the question was never answered."""
        return self.choices.get(scope)


def cookie_name(*, secure: bool) -> str:
    """The consent cookie's name. The prefix binds it to this host and to HTTPS (rfc6265bis 4.1.3.2)."""
    return "__Host-cg_consent" if secure else "cg_consent"


def new_id() -> str:
    """A fresh random consent id."""
    return str(uuid.uuid4())


def write(consent: Consent, keys: Sequence[bytes]) -> str:
    """The cookie value, signed with the newest (last) key: 52 characters and up to 6 more per purpose.

    Raises:
        ValueError: there are more than `MAX_ENTRIES` answers.
    """
    if len(consent.choices) > MAX_ENTRIES:
        raise ValueError(f"{len(consent.choices)} answers are more than the {MAX_ENTRIES} a choice can hold")
    flags = consent.gpc * _GPC | consent.dnt * _DNT
    head = _HEAD.pack(VERSION, uuid.UUID(consent.id).bytes, int(consent.decided_at.timestamp()), flags)
    entries = b"".join(_ENTRY.pack(scope << 1 | granted) for scope, granted in consent.choices.items())
    payload = head + entries
    return _encode(payload + _tag(payload, keys[-1]))


def read(value: str, keys: Sequence[bytes], now: datetime) -> Consent | None:
    """The choice in a cookie value, or None where it is absent, malformed, forged, unknown or from the future."""
    consent = verify(value, keys)
    return None if consent is None or is_from_future(consent, now) else consent


def is_from_future(consent: Consent, now: datetime) -> bool:
    """Whether a choice was made later than clocks can differ."""
    return consent.decided_at > now + _SKEW


def verify(value: str, keys: Sequence[bytes]) -> Consent | None:
    """As `read`, but for the time: the answer stays the same for ever."""
    raw = _decode(value)
    if raw is None or not any(hmac.compare_digest(_tag(raw[:-_TAG], key), raw[-_TAG:]) for key in reversed(keys)):
        return None
    version, identity, seconds, flags = _HEAD.unpack_from(raw)
    if version != VERSION:
        return None
    entries = [entry for (entry,) in _ENTRY.iter_unpack(raw[_HEAD.size : -_TAG])]
    return Consent(
        id=str(uuid.UUID(bytes=identity)),
        decided_at=datetime.fromtimestamp(seconds, UTC),
        choices={entry >> 1: bool(entry & 1) for entry in entries},
        gpc=bool(flags & _GPC),
        dnt=bool(flags & _DNT),
    )


def _decode(value: str) -> bytes | None:
    """The raw bytes, if the value is one that `write` could have made: base64 has several spellings of the same."""
    if len(value) > LONGEST:
        return None
    try:
        raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    body = len(raw) - _HEAD.size - _TAG
    return raw if body >= 0 and body % _ENTRY.size == 0 and _encode(raw) == value else None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _tag(payload: bytes, key: bytes) -> bytes:
    # BLAKE2s takes 32 bytes of key. A longer one is hashed first, as in HMAC: all of it counts.
    if len(key) > hashlib.blake2s.MAX_KEY_SIZE:
        key = hashlib.blake2s(key).digest()
    return hashlib.blake2s(payload, key=key, digest_size=_TAG, person=b"consent1").digest()
