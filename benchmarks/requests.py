"""What the gate adds to a request: microseconds over no middleware and over an empty one.

Usage: scripts/bench requests [--rounds N]. The app is called directly, so that no server or client hides the cost.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks._measure import Caches, Sample, interleaved, machine, once, table
from benchmarks._pages import HOST, PATH, fitting_policy, pages
from cookiegate import CookieGate
from cookiegate.middleware import ASGIApp, Message, Receive, Scope, Send
from cookiegate.policy import Policy
from cookiegate.testing import consent_cookie

BROWSER = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
HEADERS = (
    (b"host", HOST.encode()),
    (b"connection", b"keep-alive"),
    (b"user-agent", BROWSER),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"de-DE,de;q=0.9,en;q=0.8"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"referer", b"https://" + HOST.encode() + b"/news/"),
    (b"sec-fetch-site", b"same-origin"),
    (b"sec-fetch-mode", b"navigate"),
    (b"sec-fetch-dest", b"document"),
    (b"sec-fetch-user", b"?1"),
)
SESSION = b"sessionid=4f1kq0u2m3xw8d7c"
SIZES = (20_000, 100_000)
BATCH = 20
"""Requests made before they are timed: few, so that the processor has them at hand, as it has what just came in."""
VISITORS = ("undecided", "refused", "accepted")
LANES = ("none", "empty", "cookiegate", "again", "cold")
Lane = tuple[str, str, str]


@dataclass(frozen=True)
class Answer:
    """What the app answers with, and how many such requests make one sample."""

    name: str
    content_type: bytes
    body: bytes
    times: int


class Empty:
    """A middleware that does nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        await self._app(scope, receive, send)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row for each answer and visitor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    corpus = pages()
    html = [Answer(f"HTML, {size // 1000} KB", b"text/html; charset=utf-8", corpus.cut(size), 40) for size in SIZES]
    answers = [Answer("JSON, 1 KB", b"application/json", b"[" + b"12345, " * 146 + b"0]", 2000), *html]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(fitting_policy([answer.body for answer in html], Path(folder)), Path(folder) / "cookiegate.db")
        seconds = interleaved(dict(bench.samples(answers)), rounds=options.rounds)
        bench.close()
    print(f"\nHTML cut from {corpus.source}. {machine()}")
    title = "Microseconds for a request; in the three columns on the right, what is added to an empty middleware"
    columns = ["", "none", "empty", "cookiegate", "added", "again", "cold"]
    table(title, columns, [_row(answer, visitor, seconds) for answer in answers for visitor in VISITORS])
    print(
        "\n  undecided: the banner is put in. refused, accepted: a signed choice is sent, the way back is put in.\n"
        "  added: for visitors with a session. again: the page came before, for visitors without a session.\n"
        "  cold: the first such request after a start, nothing decided yet."
    )


def _row(answer: Answer, visitor: str, seconds: dict[Lane, float]) -> list[str]:
    none, empty, gate, again, cold = (seconds[answer.name, visitor, lane] * 1e6 for lane in LANES)
    cells = (none, empty, gate, gate - empty, again - empty, cold - empty)
    return [f"{answer.name}, {visitor}", *(f"{cell:,.1f}" for cell in cells)]


class Bench:
    """The real gate over a real store, and requests as they come from a browser."""

    def __init__(self, policy: Policy, place: Path) -> None:
        self._policy = policy
        self._first = CookieGate(_app_for(b""), policy=policy, store=place)
        self._choices = {
            "undecided": b"",
            "refused": self._choice(),
            "accepted": self._choice(*(purpose.id for purpose in policy.choosable)),
        }

    def close(self) -> None:
        """Write everything and let go of the store."""
        self._first.store.close()

    def _choice(self, *allowed: str) -> bytes:
        when = datetime.now(UTC) - timedelta(days=3)
        return "=".join(consent_cookie(self._first, *allowed, at=when)).encode()

    def samples(self, answers: Iterable[Answer]) -> Iterator[tuple[Lane, Sample]]:
        """Every answer, for every visitor, through every lane."""
        for answer in answers:
            app = _app_for(answer.content_type)
            apps: dict[str, ASGIApp] = {"none": app, "empty": Empty(app), "cookiegate": self._gated(app)}
            for visitor in VISITORS:
                for lane, lane_app in apps.items():
                    yield (answer.name, visitor, lane), partial(self._warm, lane_app, answer, visitor, SESSION)
                yield (answer.name, visitor, "again"), partial(self._warm, apps["cookiegate"], answer, visitor, b"")
                yield (answer.name, visitor, "cold"), partial(self._cold, app, answer, visitor)

    def _gated(self, app: ASGIApp) -> CookieGate:
        return CookieGate(app, policy=self._policy, store=self._first.store)

    def _warm(self, app: ASGIApp, answer: Answer, visitor: str, session: bytes) -> float:
        _ask(app, [self._scope(answer.body, visitor, session) for _ in range(2)])
        seconds = 0.0
        for _ in range(answer.times // BATCH):
            scopes = [self._scope(answer.body, visitor, session) for _ in range(BATCH)]
            seconds += once(partial(_ask, app, scopes))
        self._first.store.flush()
        return seconds / answer.times

    def _cold(self, app: ASGIApp, answer: Answer, visitor: str) -> float:
        gate = self._gated(app)
        _ask(gate, [self._scope(b"<p>What is rendered once at a start is.</p>", visitor, SESSION)])
        Caches().clear()
        seconds = once(partial(_ask, gate, [self._scope(answer.body, visitor, SESSION)]))
        self._first.store.flush()
        return seconds

    def _scope(self, body: bytes, visitor: str, session: bytes) -> Scope:
        """A request, and the answer to it, in memory of its own as a server and an app make them."""
        cookie = b"; ".join(filter(None, (session, self._choices[visitor])))
        sent = [*HEADERS, *([(b"cookie", cookie)] if cookie else [])]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": PATH,
            "raw_path": PATH.encode(),
            "root_path": "",
            "query_string": b"page=2",
            "headers": [(_fresh(key), _fresh(value)) for key, value in sent],
            "client": ("203.0.113.7", 51_213),
            "server": ("127.0.0.1", 8000),
            "state": {"body": _fresh(body)},
        }


def _fresh(data: bytes) -> bytes:
    return bytes(bytearray(data))


def _app_for(content_type: bytes) -> ASGIApp:
    """An app that answers at once with what the request brings along."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        body = scope["state"]["body"]
        headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return app


def _ask(app: ASGIApp, scopes: Iterable[Scope]) -> None:
    """One request after the other, without an event loop: nothing in their way waits."""
    for scope in scopes:
        try:
            app(scope, _receive, _send).__await__().send(None)
        except StopIteration:
            continue
        raise RuntimeError("the app waited for something, so this is no measure of it")


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    pass


if __name__ == "__main__":
    main()
