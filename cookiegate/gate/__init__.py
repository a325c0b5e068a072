"""The gate: what a response may make a browser fetch, store or report, for one visitor's verdict.

Pure: ASGI messages and values in, ASGI messages out. No await, no clock, no global state.
"""

from .cookies import expire_cookies, hide_request_cookies
from .notices import Notices, cure
from .resources import Resources, Withheld
from .response import Layers, Page, ResponseGate
from .wall import Wall

__all__ = [
    "Layers",
    "Notices",
    "Page",
    "Resources",
    "ResponseGate",
    "Wall",
    "Withheld",
    "cure",
    "expire_cookies",
    "hide_request_cookies",
]
