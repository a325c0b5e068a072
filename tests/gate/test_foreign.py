"""The foreign stack against real parsers: for every tag it is sure of, they agree in which namespace it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cookiegate.gate.foreign import ForeignStack
from cookiegate.gate.markup import TAG, Tag

from .oracle import Element, by_html5lib, by_lexbor

TAGS = """
<svg> </svg> <math> </math> <svg/> <g> </g> <g/> <desc> </desc> <title> </title> <foreignObject> </foreignObject>
<mi> </mi> <mtext> <mglyph> <annotation-xml> <annotation-xml_encoding=text/html>
<annotation-xml_encoding=TEXT/HTML> </annotation-xml>
<p> </p> <br> </br> <div> </div> <b> </b> <a> </a> <table> </table> <tr> </tr> <td> </td> <li> <h1> <button> <image>
<font> <font_color=a> <font_x=color> </font> <span> </span> <body> <form> <option> <ruby> <rt> <img> </body>
""".replace("_", "\0").split()


def probed(tags: list[str]) -> tuple[str, dict[str, str]]:
    """A page of these tags with a probe behind each, and the kind of rules that the stack is sure will read it."""
    stack = ForeignStack()
    page, known = "", {}
    for number, tag in enumerate(tag.replace("\0", " ") for tag in tags):
        page += tag + _feed(stack, tag)
        probe = f"<x-probe id={number}></x-probe>"
        foreign = stack.open(_tag(f"<x-probe id={number}>"))
        page += probe + (stack.close("x-probe") or b"").decode()
        if not stack.doubtful:
            known[str(number)] = "foreign" if foreign else "html"
    return page, known


def _feed(stack: ForeignStack, tag: str) -> str:
    if tag.startswith("</"):
        return (stack.close(tag[2:-1].lower()) or b"").decode()
    stack.open(_tag(tag))
    return ""


def _tag(raw: str) -> Tag:
    match = TAG.fullmatch(raw.encode())
    assert match is not None
    return Tag(match.group(), match.group(2))


def namespaces(elements: Iterator[Element]) -> dict[str, str]:
    """The kind of namespace of each probe in a parsed page."""
    probes = [element for element in elements if element.name == "x-probe"]
    return {probe.attributes["id"]: "html" if probe.namespace == "html" else "foreign" for probe in probes}


@settings(max_examples=600)
@given(st.lists(st.sampled_from(TAGS), max_size=14))
def test_where_it_is_sure_lexbor_agrees(tags: list[str]) -> None:
    page, known = probed(tags)
    parsed = namespaces(by_lexbor(page.encode(), scripting=False))
    assert {number: kind for number, kind in known.items() if parsed.get(number, kind) != kind} == {}, page


@settings(max_examples=150)
@given(st.lists(st.sampled_from(TAGS), max_size=14))
def test_where_it_is_sure_html5lib_agrees(tags: list[str]) -> None:
    page, known = probed(tags)
    parsed = namespaces(by_html5lib(page.encode(), scripting=False))
    assert {number: kind for number, kind in known.items() if parsed.get(number, kind) != kind} == {}, page


@pytest.mark.parametrize(
    "page",
    [
        "<svg><g><desc><p>a</p><table><tr><td>b</td></tr></table><svg><g/></svg></desc></g></svg>",
        "<math><mi>a<b>c</b></mi><annotation-xml encoding=text/html><div>d</div></annotation-xml></math>",
        "<svg><foreignObject><math><mtext><svg></svg></mtext></math></foreignObject></svg>",
        "<svg><g></div><svg><b><svg></p><svg></br>",
    ],
)
def test_well_formed_markup_leaves_no_doubt(page: str) -> None:
    stack = ForeignStack()
    for match in TAG.finditer(page.encode()):
        _feed(stack, match.group().decode())
    assert not stack.doubtful


@pytest.mark.parametrize(
    "page",
    ["<svg><desc><p></desc>", "<svg><desc><p><div>", "<svg><desc><tr>", "<svg><desc><select>", "<svg><desc><li><li>"],
)
def test_broken_html_within_turns_it_doubtful_for_good(page: str) -> None:
    stack = ForeignStack()
    for match in TAG.finditer(page.encode()):
        _feed(stack, match.group().decode())
    _feed(stack, "</svg>")
    assert stack.doubtful


def test_what_is_very_deep_is_doubtful() -> None:
    stack = ForeignStack()
    for _ in range(1000):
        stack.open(_tag("<svg>"))
    assert stack.doubtful
