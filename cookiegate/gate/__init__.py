"""The gate: what a response may make a browser fetch, store or report, for one visitor's verdict.

Pure: ASGI messages and values in, ASGI messages out. No await, no clock, no global state.
"""

from .cookies import Readable, expire_cookies, hide_request_cookies
from .notices import Layer, Notices, cure, cures, layer_of
from .repeats import Repeats
from .reports import MAX_DELIVERY, reported
from .resources import Resources, Withheld
from .response import Layers, Page, ResponseGate, needs_gate
from .wall import REPORTS, Wall

__all__ = [
    "MAX_DELIVERY",
    "REPORTS",
    "Layer",
    "Layers",
    "Notices",
    "Page",
    "Readable",
    "Repeats",
    "Resources",
    "ResponseGate",
    "Wall",
    "Withheld",
    "cure",
    "cures",
    "expire_cookies",
    "hide_request_cookies",
    "layer_of",
    "needs_gate",
    "reported",
]
