"""cookiegate: a consent gate that lives inside a Python website."""

from .lawful import Verdict
from .middleware import CookieGate
from .policy import Policy

__all__ = ["CookieGate", "Policy", "Verdict"]
__version__ = "0.1.0"
