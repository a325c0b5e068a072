"""``cookiegate demo``: a site full of tags behind the gate, and the third parties it would reach."""

from __future__ import annotations

import errno
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
import uvicorn

from ..demo import ThirdParties, demo_app
from ..demo.serve import Certificate, Config, listen, make_certificate, serving

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

NOTE = """
Once you allow something, an ordinary browser asks the real third parties for it. To see everything
without them, and what was asked of them on the page Logbook, use a browser that finds them here:
"""
NO_CERTIFICATE = """\
They are asked over HTTPS, for which this machine has no certificate: pip install 'cookiegate[demo]'
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the messages are about. ``store`` is a path or database URL, ``scratch`` a folder of this run."""

    site: str
    parties: str
    certificate: Certificate | None
    store: str
    scratch: Path

    def browser(self) -> list[str]:
        """The command of a browser that finds the third parties here, with a profile of its own."""
        program = next(filter(None, map(shutil.which, BROWSERS)), BROWSERS[0])
        rules = f"MAP * {self.parties}, EXCLUDE localhost, EXCLUDE 127.0.0.1"
        options = [
            f"--user-data-dir={self.scratch / 'profile'}",
            "--no-first-run",
            f"--host-resolver-rules={rules}",
        ]
        if self.certificate is not None:
            options.append(f"--ignore-certificate-errors-spki-list={self.certificate.fingerprint}")
        return [program, *options, self.site]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on.")
@click.option("--port", default=8000, show_default=True, help="Port of the site; 0 takes any free one.")
@click.option("--third-party-port", default=0, help="Port of the played third parties. [default: any free]")
@click.option("--store", help="Where choices and usage are kept. [default: a file in a temporary folder]")
@click.option("--open", "open_browser", is_flag=True, help="Open the site: in Chromium if there is one.")
def demo(host: str, port: int, third_party_port: int, store: str | None, open_browser: bool) -> None:
    """Serve a demonstration site that embeds what sites embed, with the gate before it.

    The third parties it embeds are played on a second port, so that everything can be seen without a network.
    """
    scratch = Path(tempfile.mkdtemp(prefix="cookiegate-demo-"))
    store = store or str(scratch / "cookiegate.db")
    with _listen(host, port, "--port") as site, _listen("127.0.0.1", third_party_port, "--third-party-port") as parties:
        certificate = make_certificate()
        stage = Stage(f"http://{_address(site)}", _address(parties), certificate, store, scratch)
        _serve(stage, site, parties, open_browser=open_browser)
    click.echo(f"\nStopped. What was recorded is still in {store}")


def _serve(stage: Stage, site: socket.socket, parties: socket.socket, *, open_browser: bool) -> None:
    """Serve both until Ctrl-C."""
    played = ThirdParties()
    tls = stage.certificate.context if stage.certificate is not None else None
    with serving(played, parties, tls=tls, lifespan="off"):
        app = demo_app(store=stage.store, parties=played)
        _announce(stage)
        if open_browser:
            _open(stage)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(Config(app)).run(sockets=[site])


def _listen(host: str, port: int, option: str) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        message = f"port {port} is taken: choose another one with {option}, or 0 for any that is free"
        raise click.ClickException(message) from error


def _address(sock: socket.socket) -> str:
    """Where a browser on this machine finds a socket."""
    host, port = sock.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - only to be replaced by one that can be visited
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _announce(stage: Stage) -> None:
    click.secho("\nMorrow Light, a demonstration site behind cookiegate\n", bold=True)
    click.echo(f"  Site    {click.style(stage.site, underline=True)}")
    click.echo(f"  Store   {stage.store}")
    # Started by scripts/demo, the command is not on the path: show the one that runs now.
    command = "cookiegate" if shutil.which("cookiegate") else sys.argv[0]
    click.echo(f"          {command} export consents --store {shlex.quote(stage.store)}")
    click.echo(NOTE)
    click.echo(f"  {shlex.join(stage.browser())}\n")
    if stage.certificate is None:
        click.echo(NO_CERTIFICATE)
    click.echo("Stop with Ctrl-C.")


def _open(stage: Stage) -> None:
    command = stage.browser()
    if shutil.which(command[0]) is None:
        webbrowser.open(stage.site)
        return
    quiet = subprocess.DEVNULL
    subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)  # noqa: S603 - our own arguments
