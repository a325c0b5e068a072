"""Serving an app on a socket that is already open, and a certificate for hosts that are only played."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

START_WITHIN = 10.0
"""Seconds an app may take to start."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate made for this run, which nobody else trusts.

    Attributes:
        context: a server's TLS context with it.
        fingerprint: base64 of the SHA-256 of its public key, as Chromium's
            ``--ignore-certificate-errors-spki-list`` takes it.
    """

    context: ssl.SSLContext
    fingerprint: str


def make_certificate() -> Certificate | None:
    """A certificate for any host, or None where the ``demo`` extra is not installed."""
    try:
        import trustme  # noqa: PLC0415 - an extra
        from cryptography import x509  # noqa: PLC0415 - comes with it
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415
    except ImportError:
        return None
    leaf = trustme.CA().issue_cert("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    key = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Certificate(context, base64.b64encode(hashlib.sha256(encoded).digest()).decode())


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Port 0 takes any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


class Config(uvicorn.Config):
    """uvicorn's configuration, quiet, with a TLS context that is already made."""

    def __init__(self, app: ASGIApp, *, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        quiet: dict[str, Any] = {"log_level": "warning", "access_log": False, "ws": "none"}
        super().__init__(app, **{**quiet, "timeout_graceful_shutdown": 1, **options})
        self._tls = tls

    def load(self) -> None:
        super().load()
        self.ssl = self._tls


@contextmanager
def serving(app: ASGIApp, sock: socket.socket, *, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[None]:
    """Serve an app from a thread while the block runs, then close the socket. ``options`` are uvicorn's."""
    server = uvicorn.Server(Config(app, tls=tls, **options))
    thread = threading.Thread(target=asyncio.run, args=(_serve(server, sock),), daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join()


async def _serve(server: uvicorn.Server, sock: socket.socket) -> None:
    """Serve, and cut at the end what is still connected: a browser keeps idle connections open for minutes."""
    await server.serve(sockets=[sock])
    for connection in list(server.server_state.connections):
        if connection.transport is not None:
            connection.transport.abort()
    await asyncio.sleep(0.05)  # the transports close in callbacks of the loop


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the app did not start: its error is in the log above")
        time.sleep(0.005)
