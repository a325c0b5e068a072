"""A small Starlette site behind the gate.

Run it from this folder, where its policy lies::

    uvicorn starlette_app:app --no-access-log

and open http://127.0.0.1:8000. Choices and page views go to ``cookiegate.db``.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from cookiegate import CookieGate, Verdict

PAGE = """<!doctype html>
<html lang="en">
<title>Hello</title>
<script async src="https://www.googletagmanager.com/gtag/js?id=G-0000000000"></script>
<body>
<h1>Hello</h1>
<p>Analytics is {state}: {reason}.</p>
<iframe width="560" height="315" src="https://www.youtube.com/embed/M7lc1UVf-VE" title="A film"></iframe>
"""


async def home(request: Request) -> HTMLResponse:
    """One page with an analytics tag and a film; both wait for the visitor's choice."""
    verdict: Verdict = request.scope["cookiegate"]
    state = "on" if verdict.allows("analytics") else "off"
    return HTMLResponse(PAGE.format(state=state, reason=verdict.reason("analytics")))


app = Starlette(
    routes=[Route("/", home)],
    middleware=[Middleware(CookieGate, policy=Path(__file__).with_name("cookiegate.toml"))],
)
