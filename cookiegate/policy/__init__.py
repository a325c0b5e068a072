"""The declared policy: its model, the catalogue of known services, and loading with every mistake named."""

from .catalogue import load_catalogue, necessary_cookies
from .load import load_policy, parse_policy
from .model import (
    Basis,
    ConsentRules,
    Controller,
    CookieRule,
    GateRules,
    HostPattern,
    Mode,
    Period,
    Policy,
    Purpose,
    Service,
    Site,
    StorageRule,
    Usage,
    Wall,
    WallMode,
)

__all__ = [
    "Basis",
    "ConsentRules",
    "Controller",
    "CookieRule",
    "GateRules",
    "HostPattern",
    "Mode",
    "Period",
    "Policy",
    "Purpose",
    "Service",
    "Site",
    "StorageRule",
    "Usage",
    "Wall",
    "WallMode",
    "load_catalogue",
    "load_policy",
    "necessary_cookies",
    "parse_policy",
]
