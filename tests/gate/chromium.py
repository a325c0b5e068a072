"""What Chromium really asks for: pages from a local server, each in a frame, and the browser's own request log."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Request, sync_playwright

from .strategies import THIRD_PARTY

SITE = "http://www.site.example/"
_QUIET = (
    "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run "
    "--disable-features=HttpsUpgrades"
).split()


class Frames:
    """Shows pages in frames of one page each time, and tells which third-party addresses were asked for.

    Attributes:
        headers: sent with every page.
    """

    def __init__(self, browser: Browser, pages: dict[str, bytes], headers: dict[bytes, bytes]) -> None:
        self._browser = browser
        self._pages = pages
        self.headers = headers

    def requests(self, pages: list[bytes], *, scripting: bool) -> set[str]:
        """The third-party URLs that any of the pages makes the browser ask for."""
        self._pages.clear()
        self._pages.update({f"/{number}": page for number, page in enumerate(pages)})
        frames = "".join(f"<iframe src=/{number}></iframe>" for number in range(len(pages)))
        self._pages["/"] = f"<!DOCTYPE html><title>frames</title>{frames}".encode()
        asked: set[str] = set()

        def note(request: Request) -> None:
            host = urlsplit(request.url).hostname or ""
            if host == THIRD_PARTY or host.endswith("." + THIRD_PARTY):
                asked.add(request.url)

        def strike(request: Request) -> None:
            if request.failure == "csp":  # announced, but the wall stopped it
                asked.discard(request.url)

        with self._browser.new_context(java_script_enabled=scripting) as context:
            page = context.new_page()
            page.on("request", note)
            page.on("requestfailed", strike)
            page.goto(SITE, wait_until="load", timeout=60_000)
            page.wait_for_timeout(300)
        return asked


@contextmanager
def frames() -> Iterator[Frames]:
    """A browser that can reach the local server as the site, and nothing else."""
    pages: dict[str, bytes] = {}
    headers: dict[bytes, bytes] = {}
    with _server(pages, headers) as port, sync_playwright() as playwright:
        rules = f"--host-resolver-rules=MAP www.site.example 127.0.0.1:{port}, MAP * ~NOTFOUND"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*_QUIET, rules])
        yield Frames(browser, pages, headers)
        browser.close()


@contextmanager
def _server(pages: dict[str, bytes], headers: dict[bytes, bytes]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            for name, value in headers.items():
                self.send_header(name.decode(), value.decode())
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
