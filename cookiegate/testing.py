"""A small kit for a site's own tests: a clock that stands still, a gated app, a visitor's choice, a search for leaks.

Everything runs in the test's own process and folder; no server, no network. With httpx::

    clock = FrozenClock()
    gate = gated(app, "cookiegate.toml", folder=tmp_path, clock=clock)
    transport = httpx.ASGITransport(app=gate)
    loaded = ' src="https://www.googletagmanager.com/gtag/js'     # with its space: withheld, it is in data-cg-src
    async with httpx.AsyncClient(transport=transport, base_url="https://example.com") as client:
        assert loaded not in (await client.get("/")).text
        client.cookies.set(*consent_cookie(gate, "analytics"))
        assert loaded in (await client.get("/")).text
        clock.move(days=200)                                      # the choice is too old by now
        assert loaded not in (await client.get("/")).text
    gate.store.close()
    assert find_bytes(tmp_path, "jane@example.com", "203.0.113.9") == []
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .consent import Consent, cookie_name, new_id, write
from .errors import CookiegateError
from .middleware import ASGIApp, CookieGate
from .policy import Mode, Policy

__all__ = ["FrozenClock", "consent_cookie", "find_bytes", "gated"]


class FrozenClock:
    """Tells the same time until it is moved.

    Args:
        now: the time to begin with, timezone-aware.
    """

    def __init__(self, now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Move on, or back where negative: the arguments are `datetime.timedelta`'s."""
        self.now += timedelta(**by)


def gated(
    app: ASGIApp,
    policy: str | Path | Policy,
    *,
    folder: Path,
    clock: FrozenClock | None = None,
    mode: Mode | None = None,
) -> CookieGate:
    """An app behind a gate whose store is ``cookiegate.db`` in a folder of the test's own. Close ``gate.store``."""
    return CookieGate(app, policy=policy, store=folder / "cookiegate.db", clock=clock or FrozenClock(), mode=mode)


def consent_cookie(gate: CookieGate, *allowed: str, secure: bool = True, at: datetime | None = None) -> tuple[str, str]:
    """Name and value of the cookie of a visitor who allowed these purposes and refused all others.

    Args:
        secure: whether the site is asked by HTTPS, which decides on the name.
        at: when the visitor chose; now, by the gate's clock, if not given.

    Raises:
        CookiegateError: a purpose is none that visitors are asked about.
    """
    scopes = gate.policy.scopes
    unknown = set(allowed) - set(scopes)
    if unknown:
        raise CookiegateError(f"visitors are not asked about {sorted(unknown)}: there are {sorted(scopes)}")
    choices = {scope: purpose in allowed for purpose, scope in scopes.items()}
    consent = Consent(new_id(), at or gate.clock(), choices)
    return cookie_name(secure=secure), write(consent, gate.keys)


def find_bytes(folder: Path, *sentinels: str | bytes) -> list[tuple[Path, bytes]]:
    """Every file below a folder that holds one of the sentinels, whatever the case of its letters, and which.

    Databases, journals and logs are searched as they lie on the disk, byte by byte.
    """
    wanted = [sentinel.encode() if isinstance(sentinel, str) else sentinel for sentinel in sentinels]
    return [(path, found) for path in _files(folder) for found in _found(path.read_bytes().lower(), wanted)]


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _found(content: bytes, wanted: Iterable[bytes]) -> Iterable[bytes]:
    return (sentinel for sentinel in wanted if sentinel.lower() in content)
