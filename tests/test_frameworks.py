"""The gate in front of real frameworks: pages, cookies, the verdict in a view, choices, counters.

Each is a small site of one page and one view that tells what it sees. A framework that is not installed is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from http_samples import CHOOSABLE, PAGE, TAG, choose, client, set_cookies

from cookiegate import CookieGate

GateOf = Callable[..., CookieGate]
COOKIES = {"sid": "1", "theme": "night", "_ga": "GA1"}


def told(verdict: Any, cookies: Any) -> dict[str, Any]:
    """What a view says: the verdict, and the names of the cookies it got."""
    return {"allowed": sorted(verdict.allowed), "cookies": sorted(cookies)}


def bare() -> Any:
    """No framework at all."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        pairs = [value.decode() for key, value in scope["headers"] if key == b"cookie"]
        names = [pair.partition("=")[0].strip() for pair in ";".join(pairs).split(";") if pair]
        if scope["path"] == "/told":
            body, kind = json.dumps(told(scope["cookiegate"], names)).encode(), b"application/json"
            headers = []
        else:
            body, kind = PAGE.encode(), b"text/html"
            headers = [
                (b"set-cookie", f"{name}={value}; Path=/; Max-Age=60".encode()) for name, value in COOKIES.items()
            ]
        headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    def page(request: Request) -> Response:
        response = HTMLResponse(PAGE)
        for name, value in COOKIES.items():
            response.set_cookie(name, value, max_age=60)
        return response

    def say(request: Request) -> Response:
        return JSONResponse(told(request.scope["cookiegate"], request.cookies))

    return Starlette(routes=[Route("/told", say), Route("/people/{name}", page)])


def annotated(view: Any, **annotations: Any) -> Any:
    """The view with annotations that are classes: frameworks read them, and these modules may not be installed."""
    view.__annotations__ = annotations
    return view


def fastapi() -> Any:
    framework = pytest.importorskip("fastapi")
    responses = pytest.importorskip("fastapi.responses")

    def say(request: Any) -> Any:
        return told(request.scope["cookiegate"], request.cookies)

    async def page(name: str) -> Any:
        response = responses.HTMLResponse(PAGE)
        for cookie, value in COOKIES.items():
            response.set_cookie(cookie, value, max_age=60)
        return response

    app = framework.FastAPI()
    app.get("/told")(annotated(say, request=framework.Request))
    app.get("/people/{name}", response_class=responses.HTMLResponse)(annotated(page, name=str))
    return app


def django() -> Any:
    conf = pytest.importorskip("django.conf")
    http = pytest.importorskip("django.http")
    urls = pytest.importorskip("django.urls")
    asgi = pytest.importorskip("django.core.asgi")

    def page(request: Any, name: str) -> Any:
        response = http.HttpResponse(PAGE)
        for cookie, value in COOKIES.items():
            response.set_cookie(cookie, value, max_age=60)
        return response

    async def say(request: Any) -> Any:
        return http.JsonResponse(told(request.scope["cookiegate"], request.COOKIES))

    if not conf.settings.configured:
        conf.settings.configure(
            ROOT_URLCONF=[],
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="no secret",
            MIDDLEWARE=["django.middleware.gzip.GZipMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
        )
    conf.settings.ROOT_URLCONF = (urls.path("told", say), urls.path("people/<name>", page))
    return asgi.get_asgi_application()


def litestar() -> Any:
    framework = pytest.importorskip("litestar")
    cookie = pytest.importorskip("litestar.datastructures").Cookie
    response = framework.Response

    def page() -> Any:
        cookies = [cookie(key=key, value=value, max_age=60) for key, value in COOKIES.items()]
        return response(PAGE, media_type="text/html", cookies=cookies)

    def say(request: Any) -> Any:
        return told(request.scope["cookiegate"], request.cookies)

    return framework.Litestar(
        [
            framework.get("/people/jane", sync_to_thread=False)(annotated(page, **{"return": response})),
            framework.get("/told", sync_to_thread=False)(
                annotated(say, **{"request": framework.Request, "return": dict[str, list[str]]})
            ),
        ],
        openapi_config=None,
    )


def quart() -> Any:
    framework = pytest.importorskip("quart")
    app = framework.Quart(__name__)

    async def say() -> Any:
        return told(framework.request.scope["cookiegate"], framework.request.cookies)

    async def page(name: str) -> Any:
        response = await framework.make_response(PAGE)
        for cookie, value in COOKIES.items():
            response.set_cookie(cookie, value, max_age=60)
        return response

    app.get("/told")(say)
    app.get("/people/<name>")(page)
    return app


FRAMEWORKS = [bare, starlette, fastapi, django, litestar, quart]


@pytest.mark.parametrize("make", FRAMEWORKS)
async def test_a_visit(make: Callable[[], Any], gate_of: GateOf) -> None:
    gate = gate_of(make())
    loaded = f' src="{TAG}"'
    async with client(gate) as browser:
        browser.headers["accept-encoding"] = "gzip"
        first = await browser.get("/people/jane")
        assert first.status_code == 200
        assert loaded not in first.text
        assert 'value="reject"' in first.text
        assert [value.partition("=")[0] for value in set_cookies(first)] == ["sid"]
        assert (await choose(browser, "accept", return_to="/people/jane")).status_code == 303
        second = await browser.get("/people/jane")
        assert loaded in second.text
        seen = (await browser.get("/told")).json()
        assert seen["allowed"] == sorted(["necessary", *CHOOSABLE])
        assert set(seen["cookies"]) == {*COOKIES, "__Host-cg_consent"}
        await choose(browser, "save", "preferences")
        seen = (await browser.get("/told")).json()
        assert seen == {"allowed": ["necessary", "preferences"], "cookies": ["__Host-cg_consent", "sid", "theme"]}
        assert loaded not in (await browser.get("/people/jane")).text
    assert gate.store.flush()
    sums = gate.store.sums()
    assert (sums.views, sums.detailed, sums.undecided) == (3, 1, 1)
    assert {page.name for page in sums.pages} <= {"/people/{name}", "/people/jane"}


@pytest.mark.parametrize("make", [starlette, fastapi])
async def test_counters_know_the_routes_of(make: Callable[[], Any], gate_of: GateOf) -> None:
    gate = gate_of(make())
    async with client(gate) as browser:
        await browser.get("/people/jane")
    gate.store.flush()
    assert [page.name for page in gate.store.sums().pages] == ["/people/{name}"]


async def test_fastapi_takes_it_as_middleware(gate_of: GateOf, policy: Any, store: Any, clock: Any) -> None:
    app = fastapi()
    app.add_middleware(CookieGate, policy=policy, store=store, clock=clock)
    async with client(app) as browser:
        assert f' src="{TAG}"' not in (await browser.get("/people/jane")).text
        await choose(browser, "accept")
        assert f' src="{TAG}"' in (await browser.get("/people/jane")).text


async def test_flask_through_an_adapter(gate_of: GateOf) -> None:
    flask = pytest.importorskip("flask")
    wsgi = pytest.importorskip("asgiref.wsgi")
    site = flask.Flask(__name__)

    def page() -> Any:
        response = flask.make_response(PAGE)
        response.set_cookie("_ga", "1")
        response.set_cookie("sid", ".".join(sorted(flask.request.cookies)))
        return response

    site.get("/")(page)
    async with client(gate_of(wsgi.WsgiToAsgi(site))) as browser:
        browser.cookies.set("theme", "night")
        first = await browser.get("/")
        assert f' src="{TAG}"' not in first.text
        assert {value.partition(";")[0] for value in set_cookies(first)} == {"sid=", "theme="}, "not seen, and ended"
        await choose(browser, "accept")
        assert f' src="{TAG}"' in (await browser.get("/")).text
