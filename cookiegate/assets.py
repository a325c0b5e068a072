"""What the visitor sees: templates, texts and static files, found, hashed and rendered once per language.

A request costs one lookup and one join of bytes here: all that a policy and a language determine is rendered
beforehand, with markers where the request's own values go. Templates can be replaced one by one from a site's own
folder; `docs/banner.md` lists them and what each is given.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import quote

import isodate
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined

from .errors import CookiegateError
from .lawful import Verdict
from .policy import CookieRule, Period, Policy, Purpose, Service, StorageRule

CACHE_CONTROL = "public, max-age=31536000, immutable"
"""For every static file: its name holds the hash of its bytes, so a changed file has another name."""

_CONTENT_TYPES = MappingProxyType({".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"})
_HERE, _HERE_QUOTED, _ALLOWED = "\ufdd0", "\ufdd1", "\ufdd2"
"""Markers for the page to come back to, the same inside a URL, and what is allowed: noncharacters, found in no text."""

_NAMES_SHOWN = 5
"""How many third parties the first sentence names; all of them stand under the purposes."""

_REPLACED_SIZE = (300, 150)
"""The size in CSS pixels of an embed that gives none (CSS 2.1, 10.3.2 and 10.6.2)."""

_AUDIO_HEIGHT = 54
_ROOMY = (280, 180)
"""Below this size a placeholder shows its button and no sentence."""


def asset_root(kind: str) -> Path:
    """The folder ``static`` or ``templates``: inside an installed package, or at the root of a checkout."""
    package = Path(__file__).parent
    for folder in (package / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise CookiegateError(f"the folder {kind!r} is missing from this installation: install cookiegate again")


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file to serve under ``<prefix>/files/<name>`` with `CACHE_CONTROL`. ``gzip`` is its body, compressed."""

    name: str
    body: bytes
    gzip: bytes
    content_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language, by dotted key."""

    locale: str
    direction: str
    by_key: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its braces filled in."""
        return self.by_key[key].format(**values)

    def get(self, key: str, default: str) -> str:
        """The text of a key that need not exist, such as a country's name."""
        return self.by_key.get(key, default)

    def amount(self, unit: str, n: int) -> str:
        """A number with its unit in the form the language wants for that number."""
        category = _PLURALS.get(self.locale, _one_or_other)(n)
        return self(f"units.{unit}.{category}", n=n)

    def duration(self, period: Period) -> str:
        """A period in words, in the units it was written in."""
        parts = [self.amount(unit, n) for unit, n in _units(period) if n]
        return " ".join(parts)


def _one_or_other(n: int) -> str:
    return "one" if n == 1 else "other"


def _polish(n: int) -> str:
    if n == 1:
        return "one"
    return "few" if n % 10 in {2, 3, 4} and n % 100 not in {12, 13, 14} else "other"


_PLURALS = MappingProxyType({"pl": _polish})
"""Languages with more forms than two (Unicode CLDR, cardinal rules for whole numbers)."""


def _units(period: Period) -> list[tuple[str, int]]:
    parsed = isodate.parse_duration(period.text, as_timedelta_if_possible=False)
    minutes, seconds = divmod(parsed.tdelta.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return [
        ("year", int(parsed.years)),
        ("month", int(parsed.months)),
        ("day", parsed.tdelta.days),
        ("hour", hours),
        ("minute", minutes),
        ("second", seconds),
    ]


def read_texts(folder: Path, locale: str) -> Texts:
    """The texts of one language from ``<folder>/<locale>.toml``."""
    tree = tomllib.loads((folder / f"{locale}.toml").read_text(encoding="utf-8"))
    flat = dict(_flatten(tree))
    return Texts(locale=locale, direction=flat["direction"], by_key=MappingProxyType(flat))


def _flatten(tree: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{path}{key}.")
        else:
            yield path + key, value


@dataclass(frozen=True, slots=True)
class PurposeView:
    """A purpose as it is shown: in the visitor's language where the site wrote no words of its own.

    ``lang`` is the language of ``title`` and ``text`` where it is not the page's, else "".
    """

    id: str
    title: str
    short: str
    text: str
    necessary: bool
    basis: str
    lang: str
    services: tuple[Service, ...]
    cookies: tuple[CookieRule, ...]
    storage: tuple[StorageRule, ...]


def _view(purpose: Purpose, policy: Policy, texts: Texts) -> PurposeView:
    built_in = f"purposes.{purpose.id}"
    own = bool(purpose.title or purpose.text)
    title = purpose.title or texts.get(f"{built_in}.title", re.sub("[_-]", " ", purpose.id).capitalize())
    return PurposeView(
        id=purpose.id,
        title=title,
        short=purpose.title or texts.get(f"{built_in}.short", title),
        text=purpose.text or texts.get(f"{built_in}.text", ""),
        necessary=purpose.necessary,
        basis=str(purpose.basis),
        lang=policy.site.language if own and policy.site.language != texts.locale else "",
        services=policy.services_of(purpose.id),
        cookies=tuple(rule for rule in policy.cookies if rule.purpose == purpose.id),
        storage=tuple(rule for rule in policy.storage if rule.purpose == purpose.id),
    )


class _Embed(Protocol):
    def __call__(self, *, purpose: str, service: str, host: str, kind: str, width: str, height: str) -> bytes: ...


@dataclass(frozen=True)
class Layer:
    """What is put into pages, in one language.

    Attributes:
        locale: the language.
        text_hash: SHA-256 of ``evidence`` in hexadecimal: the ``banner_hash`` of a `record.ConsentRecord`.
        evidence: exactly what a visitor is shown before choosing, without what varies per request: the first layer
            with the sentence about signals, every purpose with its services and cookies, the words of a placeholder.
    """

    locale: str
    text_hash: str
    evidence: bytes = field(repr=False)
    _first: Mapping[bool, tuple[bytes, ...]] = field(repr=False)
    _back: Mapping[bool, tuple[bytes, ...]] = field(repr=False)
    _embed: _Embed = field(repr=False)

    def banner(self, *, return_to: str, signal: bool = False, allowed: Iterable[str] = ()) -> bytes:
        """For a visitor who is still to be asked: the first layer, the hidden way back, the script.

        Args:
            return_to: path and query of the page, where a choice made without script leads back to.
            signal: whether the browser asks not to be tracked; the banner then says that this is respected.
            allowed: choosable purposes that are allowed already, for the script's ``allows()``.
        """
        return _fill(self._first[signal], return_to, allowed)

    def way_back(self, *, return_to: str, granted: bool, allowed: Iterable[str] = ()) -> bytes:
        """For a visitor who has chosen: the permanent control, with withdrawal in one click if ``granted``."""
        return _fill(self._back[granted], return_to, allowed)

    def placeholder(self, *, purpose: str, service: str, host: str, kind: str, width: str, height: str) -> bytes:
        """What stands where an embed was withheld: phrasing content of the embed's size.

        Args:
            purpose: id of the choosable purpose that would allow it, or "" where none would.
            service: id of the service, declared or known, or "".
            host: the third party's host.
            kind: name of the element, such as ``iframe``.
            width, height: its attributes as written, ``560`` or ``100%``, or "".
        """
        return self._embed(purpose=purpose, service=service, host=host, kind=kind, width=width, height=height)


def _pieces(*parts: bytes) -> tuple[bytes, ...]:
    """Rendered parts cut at their markers, the markers kept."""
    text = b"".join(parts).decode()
    return tuple(piece.encode() for piece in re.split(f"([{_HERE}{_HERE_QUOTED}{_ALLOWED}])", text))


def _fill(pieces: tuple[bytes, ...], return_to: str, allowed: Iterable[str]) -> bytes:
    """The pieces with the request's own values in place of the markers."""
    here = return_to.encode("utf-8", "replace")
    values = {
        _HERE.encode(): html.escape(here.decode()).encode(),
        _HERE_QUOTED.encode(): quote(here, safe="/").encode(),
        _ALLOWED.encode(): html.escape(" ".join(sorted(allowed))).encode(),
    }
    return b"".join([values.get(piece, piece) for piece in pieces])


class Assets:
    """Everything shown to visitors of one site, ready to send."""

    def __init__(self, policy: Policy, *, templates: Path | None = None) -> None:
        """``templates`` is a folder whose files replace ours of the same name."""
        self.policy = policy
        self._texts = {path.stem: path for path in sorted((Path(__file__).parent / "locales").glob("*.toml"))}
        self.locales: tuple[str, ...] = _default_first(tuple(self._texts), policy.site.language)
        self._files = {file.name: file for file in map(_load, _static_paths())}
        self._names = {_plain(name): name for name in self._files}
        self._environment = _environment(templates)
        self._layers: dict[str, Layer] = {}
        self._contexts: dict[str, dict[str, Any]] = {}

    def file(self, name: str) -> StaticFile | None:
        """The static file of this name, hash included, or None."""
        return self._files.get(name)

    def url(self, name: str) -> str:
        """The URL path of a static file: ``ui.css`` to ``/_privacy/files/ui.0123abcd.css``."""
        if name not in self._names:
            raise CookiegateError(f"no static file {name!r}: there are {', '.join(sorted(self._names))}")
        return f"{self.policy.gate.prefix}/files/{self._names[name]}"

    def layer(self, locale: str) -> Layer:
        """What is put into pages for a language; the default language's for one we do not have."""
        known = locale if locale in self._texts else self.locales[0]
        if known not in self._layers:
            self._layers[known] = self._render_layer(known)
        return self._layers[known]

    def page(self, name: str, *, locale: str, **context: Any) -> bytes:
        """A whole page: ``centre``, ``details``, ``notice`` or ``message``.

        Context: ``centre`` takes ``verdict``, ``signals``, ``return_to``, ``saved``; ``message`` takes ``title``,
        ``text``, ``status`` and ``link`` (a URL or ""). A missing one is an error.
        """
        return self._render(f"{name}.html", locale if locale in self._texts else self.locales[0], **context)

    def _render_layer(self, locale: str) -> Layer:
        render = partial(self._render, locale=locale, here=_HERE, here_quoted=_HERE_QUOTED, allowed=_ALLOWED)
        ask = {signal: render("banner.html", signal=signal) for signal in (False, True)}
        back = {granted: render("back.html", granted=granted, waiting=False) for granted in (False, True)}
        # The way back is already there, hidden, so that the script can show it once a choice is made.
        waiting = render("back.html", granted=False, waiting=True)
        evidence = b"\n".join([ask[True], render("evidence.html")]).replace(_HERE.encode(), b"")
        style, script = render("style.html"), render("script.html")
        return Layer(
            locale=locale,
            text_hash=hashlib.sha256(evidence).hexdigest(),
            evidence=evidence,
            _first={signal: _pieces(style, form, waiting, script) for signal, form in ask.items()},
            _back={granted: _pieces(style, form, script) for granted, form in back.items()},
            _embed=lru_cache(maxsize=256)(partial(self._render_embed, locale)),
        )

    def _render_embed(
        self, locale: str, *, purpose: str, service: str, host: str, kind: str, width: str, height: str
    ) -> bytes:
        views: Mapping[str, PurposeView] = self._context(locale)["purpose_by_id"]
        name = self._service_names.get(service, service) or host
        rendered = self._render(
            "embed.html", locale, purpose=views.get(purpose), service=name, host=host, box=_box(kind, width, height)
        )
        return rendered.replace(b"\n", b"")

    @cached_property
    def _service_names(self) -> Mapping[str, str]:
        return {service.id: service.name for service in (*self.policy.known, *self.policy.services)}

    def _render(self, template: str, locale: str, **context: Any) -> bytes:
        text = self._environment.get_template(template).render({**self._context(locale), **context})
        return re.sub(r"\s*\n\s*", "\n", text).encode("utf-8", "replace")

    def _context(self, locale: str) -> dict[str, Any]:
        """What every template is given."""
        if locale not in self._contexts:
            texts = read_texts(self._texts[locale].parent, locale)
            views = {purpose.id: _view(purpose, self.policy, texts) for purpose in self.policy.purposes}
            prefix = self.policy.gate.prefix
            self._contexts[locale] = {
                "t": texts,
                "policy": self.policy,
                "prefix": prefix,
                "url": self.url,
                "purposes": tuple(views.values()),
                "choosable": tuple(view for view in views.values() if not view.necessary),
                "purpose_by_id": views,
                "third_parties": _third_parties(self.policy),
                "names_shown": _NAMES_SHOWN,
                "notice_url": web_address(self.policy.controller.notice_url) or f"{prefix}/notice",
                "consent_duration": texts.duration(in_months(self.policy.consent.lifetime)),
                "allows": _allows,
            }
        return self._contexts[locale]


def _allows(verdict: Verdict, purpose: PurposeView) -> bool:
    return verdict.allows(purpose.id)


def _default_first(locales: tuple[str, ...], wanted: str) -> tuple[str, ...]:
    """The site's language first, or the nearest to it that exists, or English."""
    default = next((code for code in (wanted, wanted.partition("-")[0]) if code in locales), "en")
    return (default, *(code for code in locales if code != default))


def _third_parties(policy: Policy) -> tuple[str, ...]:
    """Names of the services that visitors are asked about and that somebody else provides."""
    return tuple(
        service.name
        for purpose in policy.choosable
        for service in policy.services_of(purpose.id)
        if service.provider != policy.controller.name
    )


def in_months(period: Period) -> Period:
    """Years as months, in which guidelines count how long a choice may hold: ``P1Y`` to ``P12M``."""
    years = re.fullmatch(r"P(\d+)Y", period.text)
    return Period(f"P{int(years[1]) * 12}M") if years else period


def web_address(value: str) -> str:
    """The value if it can be a link (http, https, or a path on this site), else "": never ``javascript:``."""
    return value if re.match(r"https?://[^\s]|/(?![/\\])", value) else ""


# Static files ------------------------------------------------------------------------------------------------------


def _static_paths() -> list[Path]:
    return sorted(path for path in asset_root("static").iterdir() if path.suffix in _CONTENT_TYPES)


def _load(path: Path) -> StaticFile:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    return StaticFile(
        name=f"{path.stem}.{digest[:8]}{path.suffix}",
        body=body,
        gzip=gzip.compress(body, 9, mtime=0),
        content_type=_CONTENT_TYPES[path.suffix],
        etag=f'"{digest[:16]}"',
    )


def _plain(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem.rpartition('.')[0]}.{suffix}"


# Templates ---------------------------------------------------------------------------------------------------------


def _environment(templates: Path | None) -> Environment:
    if templates is not None and not templates.is_dir():
        raise CookiegateError(f"templates: {templates} is not a folder: give the one that holds your templates")
    folders = [folder for folder in (templates, asset_root("templates")) if folder is not None]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["web"] = web_address
    return environment


# The size of a placeholder -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Box:
    """The size of an embed, as attributes of the placeholder's elements, because a strict CSP allows no styles.

    Attributes:
        width, height: of the inner ``svg`` that gives the placeholder its size, in CSS pixels or percent, or "".
        ratio: its ``viewBox``, by which it keeps its proportions when the page is too narrow, or "".
        fluid_width, fluid_height: percentages of what surrounds the placeholder, or "".
        small: too small for a sentence.
    """

    width: str
    height: str
    ratio: str
    fluid_width: str
    fluid_height: str
    small: bool


def _box(kind: str, width: str, height: str) -> Box:
    """The box of an embed with these attributes."""
    wide, high = _dimension(width), _dimension(height)
    if not wide and not high and kind != "audio":
        return Box("100%", "", "0 0 16 9", "100%", "", small=False)
    wide = wide or _REPLACED_SIZE[0]
    high = high or (_AUDIO_HEIGHT if kind == "audio" else _REPLACED_SIZE[1])
    fixed = isinstance(wide, int) and isinstance(high, int)
    return Box(
        width=str(wide) if isinstance(wide, int) else "100%",
        height=str(high) if isinstance(high, int) else str(_REPLACED_SIZE[1]),
        ratio=f"0 0 {wide} {high}" if fixed else "",
        fluid_width="" if isinstance(wide, int) else wide,
        fluid_height="" if isinstance(high, int) else high,
        small=any(isinstance(size, int) and size < room for size, room in zip((wide, high), _ROOMY, strict=True)),
    )


def _dimension(value: str) -> int | str | None:
    """A dimension attribute (HTML, "rules for parsing dimension values"): pixels, a percentage, or None."""
    match = re.match(r"[ \t\n\f\r]*([0-9]{1,5})(?:\.[0-9]*)?(%?)", value)
    if match is None:
        return None
    return f"{int(match[1])}%" if match[2] else int(match[1])
