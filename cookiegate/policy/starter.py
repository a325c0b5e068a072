"""The text of a starter policy: valid as it stands, with everything optional in comments beside it.

Prose comments begin with ``# ``. Settings to switch on are commented out with ``#`` alone, so that taking
that one character away is enough; a test does so for all of them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from datetime import date

from .catalogue import load_catalogue
from .tables import NECESSARY_REASONS

_STARTER = """\
# What this site loads, stores and records, and why: cookiegate's banner, gate, logs and notices follow
# this file. What is declared here waits for the visitor's choice; what is not declared is withheld.
#
# Check it after each change: cookiegate check
# Every key is explained in docs/policy.md.

# Services that the site embeds. Their hosts, cookies, scripts and purposes are known.
# All that are known: cookiegate init --list
services = {services}

[site]
name = {name}
{hosts}
# Stored with every choice. Change it whenever what visitors are told changes.
policy_version = {version}
# Language of the banner where the visitor's own is not offered.
#language = "en"
# Behind a proxy that tells the visitor's country:
#trusted_proxies = ["127.0.0.1"]
#country_header = "X-Country"

# Who decides about visitors' data, as they are told.
[controller]
name = {name}
email = {email}
#address = "1 Example Street, Example Town"
#notice_url = "/privacy"

# Cookies of the site's own. Session and CSRF cookies of common frameworks are known.
# A necessary one gives its reason, one of:
{reasons}
#[[cookie]]
#name = "basket"
#purpose = "necessary"
#reason = "user-input"
#description = "Keeps what is in the basket."

#[[cookie]]
#name = "theme"
#purpose = "preferences"
#lifetime = "P1Y"
#description = "Remembers light or dark."

# Keys that the site's own scripts keep in the browser's local or session storage.
#[[storage]]
#name = "player-volume"
#area = "local"
#purpose = "preferences"

# A third party that is not known.
#[[service]]
#id = "example-widget"
#name = "Example Widget"
#provider = "Example Widgets Ltd"
#country = "IE"
#purpose = "preferences"
#hosts = ["widget.example.net"]
#description = "Shows opening hours."

# Web-usage data: page views of visitors who allow it, and for how long a row is kept.
# Without this table no web-usage data is recorded.
[usage]
retention = "P14M"

# How long a choice holds before the visitor is asked again, and how long its evidence is kept after that.
[consent]
lifetime = "P6M"
retention = "P3Y"

[gate]
# "observe" blocks nothing and reports everything: for the first day.
mode = "enforce"
# Further hosts that are the site's own, such as its CDN.
#first_party = ["static.example.org"]
"""


def starter(
    *,
    name: str,
    email: str,
    today: date,
    hosts: Sequence[str] = (),
    services: Sequence[str] = (),
) -> str:
    """A policy file to begin with.

    Args:
        name: of the site, and of its controller until it is changed.
        email: where visitors reach the controller.
        today: becomes the policy version.
        hosts: the site's own; none means the host of each request.
        services: ids from the catalogue.
    """
    return _STARTER.format(
        services=_services(services),
        name=_quoted(name),
        hosts=_hosts(hosts),
        version=_quoted(today.isoformat()),
        email=_quoted(email),
        reasons=_reasons(),
    )


def _reasons() -> str:
    return textwrap.fill(
        ", ".join(NECESSARY_REASONS),
        width=100,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
    )


def _services(ids: Iterable[str]) -> str:
    """A TOML list, each id with what it stands for."""
    catalogue = {service.id: service for service in load_catalogue()}
    chosen = [catalogue[identity] for identity in dict.fromkeys(ids)]
    lines = [f"    {_quoted(it.id)},  # {it.name}, {it.provider} ({it.country}): {it.purpose}" for it in chosen]
    return "\n".join(["[", *lines, "]"]) if lines else "[]"


def _hosts(hosts: Sequence[str]) -> str:
    if not hosts:
        return '# The site\'s own hosts. Without this, the host of each request.\n#hosts = ["example.com"]'
    return f"hosts = [{', '.join(map(_quoted, hosts))}]"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are valid in TOML; DEL is the one character JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
