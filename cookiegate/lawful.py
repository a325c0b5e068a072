"""`decide(policy, signals, consent, now)`: what is allowed for this visitor now, on which basis, and why.

The precedence is that of the law as `docs/lawful.md` cites it: a signal can only ever deny; a stored choice counts
while it is valid and answers the present question; nothing but an explicit act grants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from .consent import LONGEST, Consent, is_from_future, verify
from .policy import Basis, Policy, Purpose
from .signals import Signals

REASONS = MappingProxyType(
    {
        "necessary": "needed for the service the visitor asked for",
        "granted": "the visitor allowed it",
        "refused": "the visitor refused it",
        "unknown": "the visitor has not chosen",
        "expired": "the choice is older than it may be",
        "changed": "the choice does not answer this, or answers it for other services",
        "gpc": "Global Privacy Control is on, and was not when the visitor chose",
        "dnt": "Do Not Track is on, and was not when the visitor chose",
        "undeclared": "no such purpose is declared",
    }
)
"""Every reason a ruling can have, in words for people."""

UNANSWERED = frozenset({"unknown", "expired", "changed"})
"""The reasons for which the visitor is still to be asked."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows for one purpose. ``basis`` is None where nothing is allowed."""

    purpose: str
    allowed: bool
    basis: Basis | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for one visitor at one moment. Found in ``scope["cookiegate"]``.

    Attributes:
        rulings: one for each declared purpose.
        undecided: whether the visitor is still to be asked.
        consent_id: the random id of the stored choice, or "" where there is none.
    """

    rulings: Mapping[str, Ruling]
    undecided: bool
    policy_version: str
    consent_id: str = ""

    def allows(self, purpose: str) -> bool:
        """Whether the purpose is allowed. An undeclared purpose never is."""
        ruling = self.rulings.get(purpose)
        return ruling is not None and ruling.allowed

    def basis(self, purpose: str) -> Basis | None:
        """The lawful basis (GDPR Art 6(1)) the purpose rests on now, or None where it is not allowed."""
        ruling = self.rulings.get(purpose)
        return ruling.basis if ruling is not None else None

    def reason(self, purpose: str) -> str:
        """Why: one of the keys of `REASONS`."""
        ruling = self.rulings.get(purpose)
        return ruling.reason if ruling is not None else "undeclared"

    @property
    def allowed(self) -> frozenset[str]:
        """The ids of all allowed purposes."""
        return frozenset(ruling.purpose for ruling in self.rulings.values() if ruling.allowed)


def decide(policy: Policy, signals: Signals, consent: Consent | None, now: datetime) -> Verdict:
    """Rule on every declared purpose.

    Args:
        policy: what is declared.
        signals: what the request says unasked.
        consent: the visitor's stored choice, already verified, or None.
        now: the present moment, timezone-aware.
    """
    expired = is_expired(policy, consent, now)
    rulings = {purpose.id: _rule(policy, purpose, signals, consent, expired=expired) for purpose in policy.purposes}
    undecided = any(ruling.reason in UNANSWERED for ruling in rulings.values())
    return Verdict(
        rulings=MappingProxyType(rulings),
        undecided=undecided,
        policy_version=policy.site.policy_version,
        consent_id=consent.id if consent is not None else "",
    )


class Standing(NamedTuple):
    """What holds for a visitor: the stored choice, the verdict, what that allows, and until when."""

    consent: Consent | None
    verdict: Verdict
    allowed: frozenset[str]
    until: datetime


class Standings:
    """Finds the verdict for a consent cookie, and remembers it for the visitor's next request.

    It is remembered under all that it depends on except the time, which is checked on every call: the cookie's value (a
    random id with its answers, nothing else about anybody) and the signals. The least recently seen are forgotten.
    """

    def __init__(self, policy: Policy, keys: Sequence[bytes], *, limit: int = 4096) -> None:
        self._policy = policy
        self._keys = tuple(keys)
        self._verified = lru_cache(maxsize=limit)(self._verify)
        self._unasked = lru_cache(maxsize=4)(self._without)

    def of(self, values: Iterable[str], *, gpc: bool, dnt: bool, now: datetime) -> Standing:
        """The standing of a visitor whose consent cookies have these values: the newest valid choice counts."""
        newest = decided_at = None
        for value in values:
            found = self._verified(value, gpc, dnt) if len(value) <= LONGEST else None
            if found is None or found.consent is None or is_from_future(found.consent, now):
                continue
            if decided_at is None or found.consent.decided_at > decided_at:
                newest, decided_at = found, found.consent.decided_at
        if newest is None:
            return self._unasked(gpc, dnt)
        return newest if now < newest.until else self._decided(newest.consent, gpc=gpc, dnt=dnt, now=now)

    def _verify(self, value: str, gpc: bool, dnt: bool) -> Standing | None:
        consent = verify(value, self._keys)
        return None if consent is None else self._decided(consent, gpc=gpc, dnt=dnt, now=consent.decided_at)

    def _without(self, gpc: bool, dnt: bool) -> Standing:
        return self._decided(None, gpc=gpc, dnt=dnt, now=_ALWAYS)

    def _decided(self, consent: Consent | None, *, gpc: bool, dnt: bool, now: datetime) -> Standing:
        verdict = decide(self._policy, Signals(gpc=gpc, dnt=dnt), consent, now)
        until = _ALWAYS if consent is None else self._policy.consent.lifetime.after(consent.decided_at)
        return Standing(consent, verdict, verdict.allowed, until)


_ALWAYS = datetime.max.replace(tzinfo=UTC)


def is_expired(policy: Policy, consent: Consent | None, now: datetime) -> bool:
    """Whether there is a stored choice that is older than the policy lets one be."""
    return consent is not None and now >= policy.consent.lifetime.after(consent.decided_at)


def _rule(policy: Policy, purpose: Purpose, signals: Signals, consent: Consent | None, *, expired: bool) -> Ruling:
    if purpose.necessary:
        return Ruling(purpose.id, True, purpose.basis, "necessary")
    reason = "expired" if expired else _reason(policy.scopes[purpose.id], signals, consent)
    allowed = reason == "granted"
    # Storage needs consent whatever basis the processing behind it rests on (ePrivacy Directive Art 5(3)), so what a
    # visitor allowed rests on that consent.
    return Ruling(purpose.id, allowed, Basis.CONSENT if allowed else None, reason)


def _reason(scope: int, signals: Signals, consent: Consent | None) -> str:
    """What a choice that is young enough, or none, says about the question of this scope."""
    if consent is None:
        return "unknown"
    choice = consent.choice(scope)
    if choice is None:
        return "changed"
    if not choice:
        return "refused"
    if signals.gpc and not consent.gpc:
        return "gpc"
    if signals.dnt and not consent.dnt:
        return "dnt"
    return "granted"
