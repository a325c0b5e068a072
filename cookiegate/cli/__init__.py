"""The command line. Each command lives in a module of its own that is imported when it runs."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from ..errors import CookiegateError, PolicyError

COMMANDS = {
    "init": "policy",
    "check": "policy",
    "classify": "classify",
    "gate": "gate",
    "export": "export",
    "report": "report",
    "demo": "demo",
}
"""Command name to the module of this package that holds it, as a click command of the same name."""


class _Commands(click.Group):
    """A group that imports a command only when it is asked for, and shows our errors without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name]}", __package__)
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PolicyError as error:
            for problem in error.problems:
                click.echo(f"error: {problem}", err=True)
            ctx.exit(1)
        except BrokenPipeError:  # the reader has gone, as `head` does; click ends the program quietly
            raise
        except (CookiegateError, OSError) as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cookiegate")
def main() -> None:
    """A consent gate for Python websites: nothing loads, is stored or is recorded before it may be."""


if __name__ == "__main__":
    sys.exit(main())
