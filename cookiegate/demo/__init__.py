"""The demonstration: a site that embeds what sites embed, a gate before it, and the third parties."""

from __future__ import annotations

from pathlib import Path

from starlette.types import ASGIApp

from ..assets import asset_root
from ..middleware import CookieGate
from .parties import Asked, ThirdParties
from .site import demo_site

__all__ = ["Asked", "ThirdParties", "demo_app", "demo_policy", "demo_site"]


def demo_policy() -> Path:
    """The policy file of the demonstration site."""
    return asset_root("templates") / "demo" / "cookiegate.toml"


def demo_app(*, store: str, parties: ThirdParties | None = None) -> ASGIApp:
    """The demonstration site behind the gate.

    Args:
        store: where choices and usage are kept: a path or a database URL.
        parties: the third parties played beside it, whose requests the logbook shows.
    """
    site = demo_site(lambda: parties.asked if parties is not None else ())
    return CookieGate(site, policy=demo_policy(), store=store)
