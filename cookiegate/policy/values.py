"""The kinds of value a policy file holds: text, periods, hosts, names, addresses, each with its reader.

A reader accepts what the rest of the package can use and nothing else, and says what to write instead.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from functools import cache
from typing import Any

import ada_url
from publicsuffixlist import PublicSuffixList

from .model import HostPattern, Period
from .schema import Invalid, Location, Reader, expected

_LONGEST = timedelta(days=100 * 366)
"""Longer periods cannot be meant, and would leave the calendar when counted from today."""

_PERIOD = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?", re.ASCII)
_PERIOD_HELP = 'write an ISO 8601 period, such as "P14M" for 14 months, "P30D" for 30 days or "PT1H" for one hour'
_SLUG = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_SHORTEST_SIGNATURE = 3


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(expected("text", value))
    return value.strip()


def _text(value: Any, _: Location) -> str:
    text = _string(value)
    if _CONTROL.search(text):
        raise Invalid("must be one line without control characters")
    return text


def _prose(value: Any, _: Location) -> str:
    text = _string(value).replace("\r\n", "\n")
    if _CONTROL_BUT_LINES.search(text):
        raise Invalid("must not hold control characters other than line breaks")
    return text


def _flag(value: Any, _: Location) -> bool:
    if not isinstance(value, bool):
        raise Invalid(expected("true or false", value))
    return value


def _slug(value: Any, _: Location) -> str:
    text = _string(value)
    if text and not _SLUG.fullmatch(text):
        raise Invalid(f'"{text}" is no id: write lower-case letters and digits, joined by hyphens')
    return text


def _period(value: Any, _: Location) -> Period:
    if not isinstance(value, str):
        raise Invalid(f"{expected('text', value)}: {_PERIOD_HELP}")
    if not _PERIOD.fullmatch(value):
        raise Invalid(f'"{value}" is not a period: {_PERIOD_HELP}')
    if not re.search("[1-9]", value):
        raise Invalid(f'"{value}" is no time at all: {_PERIOD_HELP}')
    try:
        too_long = Period(value).approximate() > _LONGEST
    except (OverflowError, ValueError):
        too_long = True
    if too_long:
        raise Invalid(f'"{value}" is more than 100 years: write a period that can be kept')
    return Period(value)


def _host(value: Any, _: Location) -> str:
    return _canonical_host(_string(value))


def _canonical_host(text: str) -> str:
    """A bare host as browsers write it: lower case, A-labels (WHATWG URL 3.5)."""
    for mark, cure in (
        ("://", "leave the scheme out"),
        ("/", "leave the path out"),
        ("*", "leave the * out: everything below a host is covered anyway"),
        ("@", "leave everything up to the @ out"),
    ):
        if mark in text:
            raise Invalid(f'"{text}" is not a bare host: {cure}')
    if re.search(r":\d*$", text) and not text.endswith("]") and text.count(":") == 1:
        raise Invalid(f'"{text}" is not a bare host: leave the port out, a host is meant on every port')
    return _parsed(text, text).hostname


def _host_pattern(value: Any, _: Location) -> HostPattern:
    """A host and optionally a path prefix; a closing slash means the same as none."""
    text = _string(value)
    if "://" in text:
        raise Invalid(f'"{text}": leave the scheme out, "{text.partition("://")[2]}"')
    bare, _slash, path = text.partition("/")
    host = _canonical_host(bare)
    if _suffixes().publicsuffix(host) == host:
        raise Invalid(f'"{host}" is a public suffix: it would cover the sites of strangers; name a host below it')
    if re.search(r"[?#\s*\\]", path):
        raise Invalid(f'"{text}": a path is matched from its beginning; leave out *, spaces and what follows ? or #')
    return HostPattern(host, _parsed(f"{bare}/{path}", text).pathname.rstrip("/"))


def _parsed(address: str, written: str) -> ada_url.URL:
    host = address.partition("/")[0]
    labels = host.split(".")
    if re.search(r"[?#\s%\\]", host) or not all(labels) or len(host) > 253 or any(len(it) > 63 for it in labels):
        raise Invalid(f'"{written}" is not a host: write it like "example.com"')
    try:
        return ada_url.URL(f"https://{address}")
    except ValueError:
        raise Invalid(f'"{written}" is not a host: write it like "example.com"') from None


@cache
def _suffixes() -> PublicSuffixList:
    """Registries' suffixes only: ``github.io`` and the like are somebody's product, and may be declared."""
    return PublicSuffixList(only_icann=True, accept_unknown=False)


def _address_range(value: Any, _: Location) -> str:
    text = _string(value)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        message = f'"{text}" is not an IP address or network: write it like "10.0.0.1" or "10.0.0.0/8"'
        raise Invalid(message) from None
    if "/" not in text:
        return str(network.network_address)
    if str(network.network_address) != text.partition("/")[0].lower():
        raise Invalid(f'"{text}" names an address within a network: write "{network}"')
    return str(network)


def _header_name(value: Any, _: Location) -> str:
    text = _string(value)
    if text and not _TOKEN.fullmatch(text):
        raise Invalid(f'"{text}" is not a header name: write it like "CF-IPCountry"')
    return text


def _language(value: Any, _: Location) -> str:
    text = _string(value)
    if not _LANGUAGE.fullmatch(text):
        raise Invalid(f'"{text}" is not a language tag: write it like "en" or "pt-BR"')
    return text


def _country(value: Any, _: Location) -> str:
    text = _string(value)
    if text and not re.fullmatch("[A-Z]{2}", text):
        raise Invalid(f'"{text}" is not a country code: write two capital letters (ISO 3166-1), such as "DE"')
    return text


def _email(value: Any, _: Location) -> str:
    text = _string(value)
    local, _at, domain = text.rpartition("@")
    if text and (not re.fullmatch(r"[^\s@<>,;:\"()\[\]\\]+", local) or not re.fullmatch(r"[^\s@<>]+", domain)):
        raise Invalid(f'"{text}" is not an e-mail address: write it like "privacy@example.com"')
    return text


def _link(value: Any, _: Location) -> str:
    """An absolute http(s) URL, as written."""
    text = _string(value)
    if text and (not text.lower().startswith(("https://", "http://")) or not ada_url.check_url(text)):
        raise Invalid(f'"{text}" is not a web address: write it in full, with https://')
    return text


def _link_or_path(value: Any, location: Location) -> str:
    text = _string(value)
    if text.startswith("/") and not text.startswith(("//", "/\\")) and not re.search(r"\s", text):
        return text
    try:
        return str(_link(text, location))
    except Invalid as error:
        raise Invalid(f'{error}, or as a path of this site such as "/privacy"') from None


def _path_prefix(value: Any, _: Location) -> str:
    text = _string(value)
    if not _PREFIX.fullmatch(text):
        raise Invalid(f'"{text}" is not a path: write it like "/_privacy", without a slash at its end')
    return text


def _cookie_name(value: Any, _: Location) -> str:
    """A name that browsers accept (rfc6265bis 5.6), or a pattern of one with ``*``."""
    text = _pattern(value, what="cookie name")
    if re.search(r"[\s=;,\"]", text):
        raise Invalid(f'"{text}" is not a cookie name: spaces, quotes, commas, "=" and ";" cannot be in one')
    return text


def _storage_name(value: Any, _: Location) -> str:
    return _pattern(value, what="storage key")


def _pattern(value: Any, *, what: str) -> str:
    text = _string(value)
    if _CONTROL.search(text):
        raise Invalid(f"a {what} holds no control characters")
    if text and not text.strip("*"):
        raise Invalid(f'"{text}" would declare every {what} there is: write the part they have in common')
    if "*" in text and re.search(r"[?\[\]]", text):
        raise Invalid(f'"{text}": in a pattern only * is special; "?", "[" and "]" cannot be in one')
    return text


def _signature(value: Any, _: Location) -> str:
    text = _string(value)
    if len(text) < _SHORTEST_SIGNATURE:
        raise Invalid(f'"{text}" would be found in most scripts: write a longer piece that only this service\'s hold')
    return text


TEXT = Reader("text", _text)
PROSE = Reader("text, may have several lines", _prose)
FLAG = Reader("true or false", _flag)
SLUG = Reader("id", _slug)
PERIOD = Reader("period", _period)
HOST = Reader("host", _host)
HOST_PATTERN = Reader("host, may have a path", _host_pattern)
ADDRESS_RANGE = Reader("IP address or network", _address_range)
HEADER_NAME = Reader("header name", _header_name)
LANGUAGE = Reader("language tag", _language)
COUNTRY = Reader("country code", _country)
EMAIL = Reader("e-mail address", _email)
LINK = Reader("web address", _link)
LINK_OR_PATH = Reader("web address or path", _link_or_path)
PATH_PREFIX = Reader("path", _path_prefix)
COOKIE_NAME = Reader("cookie name or pattern", _cookie_name)
STORAGE_NAME = Reader("key or pattern", _storage_name)
SIGNATURE = Reader("piece of script", _signature)
