"""The catalogue: services that sites really embed, and the cookies that common frameworks need.

Its facts stand in ``services/*.toml``, shipped with the package. They are held to the same rules as a site's
own policy, and to each other: no two services may claim one host, so that a URL has one answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from ..errors import PolicyError, Problem
from .model import CookieRule, Service
from .schema import Location, read_document
from .tables import (
    CATALOGUE,
    NECESSARY_COOKIES,
    build_cookie,
    build_service,
    report_repeats,
    report_shared_hosts,
)

NECESSARY_FILE = "necessary.toml"
"""The one file of the folder that holds cookies without services."""


@cache
def load_catalogue() -> tuple[Service, ...]:
    """Every known service, by file and in the order of its file."""
    return parse_services({name: text for name, text in _files().items() if name != NECESSARY_FILE})


@cache
def necessary_cookies() -> tuple[CookieRule, ...]:
    """Session and CSRF cookies of common frameworks: all of purpose ``necessary``, each with its reason."""
    return parse_necessary(_files()[NECESSARY_FILE], file=NECESSARY_FILE)


def parse_services(files: Mapping[str, str]) -> tuple[Service, ...]:
    """Services from TOML texts by file name.

    Raises:
        PolicyError: with every mistake in any of the files.
    """
    problems: list[Problem] = []
    documents = [read_document(text, CATALOGUE, Location(name, problems)) for name, text in files.items()]
    rows = [row for document in documents for row in document["service"]]
    services = tuple(build_service(row) for row in rows)
    report_repeats(rows, "id")
    report_shared_hosts(zip(services, (row.location.at("hosts") for row in rows), strict=True))
    if problems:
        raise PolicyError(tuple(problems))
    return services


def parse_necessary(text: str, *, file: str) -> tuple[CookieRule, ...]:
    """Necessary cookies from one TOML text.

    Raises:
        PolicyError: with every mistake in it.
    """
    problems: list[Problem] = []
    rows = read_document(text, NECESSARY_COOKIES, Location(file, problems))["cookie"]
    cookies = tuple(build_cookie(row, purpose="necessary", reason=row["reason"]) for row in rows)
    report_repeats(rows, "name")
    if problems:
        raise PolicyError(tuple(problems))
    return cookies


def unknown_service(name: str) -> str:
    """The message for a service that is not in the catalogue, with the one that was probably meant."""
    aliases = {
        alias.casefold(): service.id
        for service in load_catalogue()
        for alias in (
            *(pattern.host for pattern in service.hosts if not pattern.path),
            service.name,
            service.id,
        )
    }
    near = difflib.get_close_matches(name.casefold(), aliases, n=1)
    cure = f'did you mean "{aliases[near[0]]}"?' if near else "declare it yourself with a [[service]] table"
    return f'unknown service "{name}"; {cure}'


def _files() -> Mapping[str, str]:
    """The packaged files by name, in alphabetical order."""
    folder = resources.files(__package__).joinpath("services")
    found = {entry.name: entry for entry in folder.iterdir() if entry.name.endswith(".toml")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}
