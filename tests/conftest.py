"""What several test modules share: a clock that stands still, a store, a gated site and a browser of sorts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_samples import client, sample_policy, sample_site
from hypothesis import HealthCheck, settings
from starlette.applications import Starlette

from cookiegate import CookieGate, Policy, middleware
from cookiegate.assets import Assets
from cookiegate.gate import Resources
from cookiegate.store import Store, open_store
from cookiegate.testing import FrozenClock

# A time limit per example says more about the machine than about the code: numbers belong in scripts/bench.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture
def clock() -> FrozenClock:
    """Noon of a day in November 2026."""
    return FrozenClock()


@pytest.fixture(scope="session")
def policy() -> Policy:
    """Three purposes to choose among, two services, two cookies of the site's own, usage data."""
    return sample_policy()


@pytest.fixture
def store(tmp_path: Path, clock: FrozenClock) -> Iterator[Store]:
    """A store on the disk."""
    opened = open_store(tmp_path / "cookiegate.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def site(tmp_path: Path) -> Starlette:
    """A site of many kinds of answers, without a gate."""
    return sample_site(tmp_path)


@pytest.fixture(scope="session")
def made_once(policy: Policy) -> tuple[Assets, Resources]:
    """What a gate makes of a policy when it starts: most of the time that a small test would take."""
    return Assets(policy), Resources(policy)


@pytest.fixture
def gate_of(
    policy: Policy, store: Store, clock: FrozenClock, made_once: tuple[Assets, Resources]
) -> Callable[..., CookieGate]:
    """Puts any app behind a gate; further arguments are `CookieGate`'s."""

    def make(app: Any, **options: Any) -> CookieGate:
        with pytest.MonkeyPatch.context() as patch:
            if not options:
                patch.setattr(middleware, "Assets", lambda _, **__: made_once[0])
                patch.setattr(middleware, "Resources", lambda _: made_once[1])
            return CookieGate(app, **{"policy": policy, "store": store, "clock": clock, **options})

    return make


@pytest.fixture
def gate(gate_of: Callable[..., CookieGate], site: Starlette) -> CookieGate:
    """The site behind its gate."""
    return gate_of(site)


@pytest.fixture
async def browser(gate: CookieGate) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that keeps cookies and has chosen nothing yet."""
    async with client(gate) as opened:
        yield opened
