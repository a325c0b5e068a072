"""Morrow Light: a small site that embeds what sites embed. Of the gate it knows only the verdict it may read.

Cookies it sets itself: ``session`` (necessary), ``theme`` (preferences, persistent) and ``_demo_visits``
(analytics, persistent). It sets all three whatever the visitor chose: to withhold them is the gate's work.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ..assets import asset_root
from ..lawful import REASONS
from .parties import Asked

YEAR = 365 * 24 * 3600
PAGES = {
    "/": ("The light", "home.html"),
    "/journal": ("Journal", "journal.html"),
    "/visit": ("Visit", "visit.html"),
    "/logbook": ("Logbook", "logbook.html"),
}
"""Path to the page's name in the navigation and its template."""
THEMES = ("day", "night")
ROOMS = (
    (
        "The Lamp Room",
        "Twelfth floor",
        "£190",
        "Directly under the light. Round, glazed, never quite dark.",
    ),
    ("The Keeper’s Room", "Eighth floor", "£160", "A box bed, a quilt, and one deep window to the west."),
    ("The Bell Loft", "Third floor", "£120", "Where the fog bell hangs. It is silent, mostly."),
)
"""Name, where it is, price of a night, and a line about it."""


def demo_site(asked: Callable[[], Iterable[Asked]] = tuple) -> Starlette:
    """The site, with no gate before it.

    Args:
        asked: gives the requests that have reached third parties, for the logbook.
    """
    folder = asset_root("templates") / "demo"
    templates = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)

    async def show(request: Request) -> Response:
        template = templates.get_template(PAGES[request.url.path][1])
        response = HTMLResponse(template.render(_context(request), asked=list(asked())))
        _count_visit(request, response)
        return response

    return Starlette(
        routes=[
            *(Route(path, show) for path in PAGES),
            Route("/visit", _take_message, methods=["POST"]),
            Route("/theme/{theme}", _choose_theme, methods=["POST"]),
            Mount("/static", StaticFiles(directory=asset_root("static") / "demo")),
        ]
    )


def _context(request: Request) -> dict[str, object]:
    return {
        "request": request,
        "pages": [(path, label) for path, (label, _) in PAGES.items()],
        "rooms": ROOMS,
        "theme": _theme(request),
        "sent": "sent" in request.query_params,
        "cookies": sorted(request.cookies),
        "verdict": request.scope.get("cookiegate"),
        "reasons": REASONS,
    }


def _count_visit(request: Request, response: Response) -> None:
    """The cookies of every page: a counter that outlives the browser, and a session that does not."""
    visits = request.cookies.get("_demo_visits", "")
    number = int(visits) + 1 if visits.isdecimal() and len(visits) < 9 else 1
    response.set_cookie("_demo_visits", str(number), max_age=YEAR, samesite="lax")
    if "session" not in request.cookies:
        _keep_session(response, theme="")


def _keep_session(response: Response, *, theme: str) -> None:
    """A session that holds all its state in its value: a random id, and the theme asked for in it."""
    response.set_cookie("session", f"{secrets.token_urlsafe(12)}.{theme}", httponly=True, samesite="lax")


def _theme(request: Request) -> str:
    """The theme kept as a preference, else the one of this session, else day."""
    in_session = request.cookies.get("session", "").rpartition(".")[2]
    theme = request.cookies.get("theme", in_session)
    return theme if theme in THEMES else THEMES[0]


async def _choose_theme(request: Request) -> Response:
    """What the visitor just asked for holds for the session; to remember it for a year is a preference."""
    theme = request.path_params["theme"]
    response = _back(request)
    if theme in THEMES:
        response.set_cookie("theme", theme, max_age=YEAR, samesite="lax")
        _keep_session(response, theme=theme)
    return response


async def _take_message(_: Request) -> Response:
    """The message is not even read: this is a demonstration."""
    return RedirectResponse("/visit?sent=1", status_code=303)


def _back(request: Request) -> Response:
    """To the page the visitor came from, and never to another site."""
    path = urlsplit(request.headers.get("referer", "")).path
    return RedirectResponse(path if path in PAGES else "/", status_code=303)
