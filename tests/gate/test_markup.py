"""The byte grammar against html5lib's tokenizer tests, and on its own terms."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from html5lib._tokenizer import HTMLTokenizer
from html5lib.constants import tokenTypes
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.gate.markup import (
    BORING,
    COMMENT_END,
    TAG,
    TEXT,
    TEXT_OR_CDATA,
    ScriptEnd,
    Tag,
    decode_value,
    dimension,
    escape_value,
    raw_text_end,
)

from . import oracle
from .strategies import pages

DATA = Path(os.environ.get("COOKIEGATE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
SUITE = sorted((DATA / "html5lib-tokenizer").glob("*.test"))
Tags = list[tuple[str, dict[str, str]]]


def start_tags(page: bytes) -> Tags:
    """The start tags of a page in the data state, with the decoded values of first attributes."""
    at = 0
    found: Tags = []
    while True:
        text = TEXT.match(page, at)
        assert text is not None
        tag = TAG.match(page, text.end())
        if tag is None:
            return found
        if not tag.group(1):
            found.append(_named(Tag(tag.group(), tag.group(2))))
        at = tag.end()


def _named(tag: Tag) -> tuple[str, dict[str, str]]:
    names = list(dict.fromkeys(attribute.name for attribute in tag.attributes))
    values = {name: tag.get(name.decode("latin-1")) or "" for name in names}
    return _text(tag.name.encode("latin-1")), {_text(name): _nul(value) for name, value in values.items()}


def _text(raw: bytes) -> str:
    return _nul(raw.decode("utf-8", "replace"))


def _nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def cases(path: Path) -> Iterator[tuple[str, bytes, Tags]]:
    """Each case of a file in each initial state the grammar claims: a name, the page in the data state, its tags."""
    for case in json.loads(path.read_text("utf-8")).get("tests", ()):
        text, output = _unescaped(case)
        if any("\ud800" <= character <= "\udfff" for character in text):
            continue  # a lone surrogate has no bytes
        expected = [(token[1], token[2]) for token in output if token[0] == "StartTag"]
        # Newlines are normalised before the tokenizer reads them; the gate leaves that to readers of URLs and styles.
        page = text.replace("\r\n", "\n").replace("\r", "\n").encode()
        for state in case.get("initialStates", ["Data state"]):
            rest = page if state == "Data state" else _behind_raw_text(page, state, case.get("lastStartTag", ""))
            if rest is not None:
                yield f"{path.stem}: {case['description']} ({state})", rest, expected


def _unescaped(case: dict[str, Any]) -> tuple[str, list[Any]]:
    """Input and output; some cases escape theirs a second time, to hold lone surrogates."""
    if not case.get("doubleEscaped"):
        return case["input"], case["output"]
    again = json.loads(json.dumps([case["input"], case["output"]]).replace("\\\\u", "\\u"))
    return again[0], again[1]


def _behind_raw_text(page: bytes, state: str, element: str) -> bytes | None:
    """What follows the text of an element; None for states and elements that the grammar does not claim."""
    if state == "Script data state" and element in {"", "script"}:
        end = ScriptEnd().find(page, 0)
    elif state in {"RCDATA state", "RAWTEXT state"} and element in {"", "textarea", "title", "xmp", "style", "script"}:
        end = raw_text_end(page, element or "xmp", 0)
    else:
        return None
    return page[end:] if end >= 0 else b""


@pytest.mark.skipif(not SUITE, reason=f"no tokenizer tests in {DATA}: set COOKIEGATE_TEST_DATA")
@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.stem)
def test_start_tags_are_those_of_the_html5lib_suite(path: Path) -> None:
    """The grammar claims the data state and the ends of raw text, and deviates nowhere."""
    assert {name: (page, start_tags(page), tags) for name, page, tags in cases(path) if start_tags(page) != tags} == {}


@pytest.mark.skipif(not SUITE, reason=f"no tokenizer tests in {DATA}: set COOKIEGATE_TEST_DATA")
def test_the_suite_is_really_run() -> None:
    tags = [tags for path in SUITE for _, _, tags in cases(path)]
    assert len(tags) > 6_000
    assert sum(map(len, tags)) > 400


# -- what may pass without a look ----------------------------------------------------------------------------------


@given(pages())
def test_only_harmless_tags_are_passed_over(page: bytes) -> None:
    """`BORING` and `TEXT` read the same tags; what `BORING` skips neither fetches, nor runs, nor opens raw text."""
    at, seen = 0, []
    while True:
        boring = BORING.match(page, at)
        assert boring is not None
        seen += [tag for tag in start_tags(boring.group()) if _may_matter(*tag)]
        tag = TAG.match(page, boring.end())
        if tag is None:
            break
        at = tag.end()
    assert seen == []


def _may_matter(name: str, attributes: dict[str, str]) -> bool:
    interesting = name in oracle.FETCHING | oracle.TEXT | {"svg", "math", "select", "template", "base", "meta", "link"}
    return interesting or any(key in {"style", "background", "ping"} or key.startswith("on") for key in attributes)


HARMLESS = """
<a href=x>|<p class='on' data-style=a>|<td on>|</p style=a>|<a href=' x'>|<A HREF=/javascript:>|<a title='style=x'>
<p o='1'/>|<imgx src=a>|<p stylex=a>|<div ping-x=1>|<form action=/j>|<p x=y/style=a>|<b =style>|</img>|</template-x>
"""
WORTH_A_LOOK = """
<img>|<IMG/src>|<svg x>|<p style>|<p STYLE=a>|<p x="y"style=a>|<p onx=1>|<td background=a>|<a ping=x>|<col>|</template>
<a href=javascript:x>|<a href='&#106;avascript:x'>|<a href='\tJ:'>|<form action=j:>|<button formaction="j:">|<template>
<a xlink:href=j:>|<html manifest=x>|<param name=x>|<a attributionsrc>|<p = style>|<p x= style=a onload=b>
"""


@pytest.mark.parametrize("tag", re.split(r"[|\n]", HARMLESS.strip()))
def test_what_cannot_matter_is_passed_over(tag: str) -> None:
    assert BORING.fullmatch(tag.encode()) is not None


@pytest.mark.parametrize("tag", re.split(r"[|\n]", WORTH_A_LOOK.strip()))
def test_what_may_matter_is_not_passed_over(tag: str) -> None:
    match = BORING.match(tag.encode())
    assert match is not None
    assert match.end() == 0


@pytest.mark.parametrize(
    ("page", "text", "with_sections"),
    [
        (b"a<b>", 1, 1),
        (b"<!-- <b> --><b>", 12, 12),
        (b"<!--><b>", 5, 5),
        (b"<!---><b>", 6, 6),
        (b"<!--!><b>--><b>", 12, 12),
        (b"<!-- --!><b>", 9, 9),
        (b"<!-- --x><b>", 0, 0),
        (b"<!DOCTYPE a><b>", 12, 12),
        (b"<!x><b>", 4, 4),
        (b"<?x ?><b>", 6, 6),
        (b"</ x><b>", 5, 5),
        (b"</><b>", 3, 3),
        (b"<3<b>", 2, 2),
        (b"<![CDATA[x><b>", 11, 0),
        (b"<![cdata[x><b>", 11, 11),
        (b"<!-", 0, 0),
        (b"x<", 1, 1),
    ],
)
def test_text_ends_at_the_next_tag_or_at_what_is_not_complete(page: bytes, text: int, with_sections: int) -> None:
    ends = [pattern.match(page) for pattern in (TEXT, TEXT_OR_CDATA)]
    assert [match and match.end() for match in ends] == [text, with_sections]


def test_a_comment_ends_behind_its_bang() -> None:
    assert [match.end() for match in COMMENT_END.finditer(b"a-->b--!>c->--x>")] == [4, 9]


# -- tags ----------------------------------------------------------------------------------------------------------


def tag_of(raw: str) -> Tag:
    match = TAG.fullmatch(raw.encode())
    assert match is not None
    return Tag(match.group(), match.group(2))


@pytest.mark.parametrize(
    ("raw", "self_closing"),
    [
        *(("<svg/>", True), ("<svg />", True), ("<svg a/>", True), ("<svg a='b'/>", True), ("<svg a=b />", True)),
        *(("<svg>", False), ("<svg a=b/>", False), ("<svg a=/>", False), ("<svg a= />", False), ("<svg/ >", False)),
    ],
)
def test_a_slash_closes_unless_a_value_owns_it(raw: str, self_closing: bool) -> None:
    assert tag_of(raw).self_closing is self_closing


@pytest.mark.parametrize(
    ("edit", "edited"),
    [
        (lambda tag: None, "<IMG SRC=a  src = 'b' ALT>"),
        (lambda tag: tag.neutralise("src"), "<IMG data-cg-src=a  data-cg-src = 'b' ALT>"),
        (lambda tag: (tag.neutralise("src"), tag.neutralise("src")), "<IMG data-cg-src=a  data-cg-src = 'b' ALT>"),
        (lambda tag: tag.neutralise("alt", "none"), "<IMG SRC=a  src = 'b' data-cg-alt>"),
        (lambda tag: tag.lead(b'x="1"'), "<IMG x=\"1\" SRC=a  src = 'b' ALT>"),
        (lambda tag: tag.replace_value("src", b'"&<>'), "<IMG src=\"&quot;&amp;&lt;&gt;\"  src = 'b' ALT>"),
    ],
)
def test_a_tag_is_edited_in_place(edit: Callable[[Tag], object], edited: str) -> None:
    tag = tag_of("<IMG SRC=a  src = 'b' ALT>")
    edit(tag)
    assert tag.edited().decode() == edited


def test_a_prefixed_attribute_is_renamed_to_what_a_dataset_can_hold() -> None:
    tag = tag_of("<image xlink:href=a>")
    tag.neutralise("xlink:href")
    assert tag.edited() == b"<image data-cg-xlink-href=a>"


def test_a_self_closed_tag_can_be_opened_up() -> None:
    tag = tag_of("<Title a='b'/>")
    assert (tag.open_up(), tag.edited()) == (b"</Title>", b"<Title a='b'>")


@given(pages())
def test_a_tag_that_is_not_edited_is_what_it_was(page: bytes) -> None:
    for match in TAG.finditer(page):
        assert Tag(match.group(), match.group(2)).edited() == match.group()


@pytest.mark.parametrize(
    ("value", "dimension_of_it"),
    [("640", "640"), (" 100% ", "100%"), ("12.5px", "12.5"), ("auto", ""), ("", ""), ("-3", "")],
)
def test_dimensions_are_numbers_or_percentages(value: str, dimension_of_it: str) -> None:
    assert dimension(tag_of(f"<iframe width='{value}'>"), "width") == dimension_of_it


# -- values --------------------------------------------------------------------------------------------------------

_REFERENCES = st.lists(
    st.sampled_from(
        "& &# &#x ; = a A z 0 0000000000 9 f amp lt gt not notin copy quot #38 x26 &amp &lt; é 128 150 1114112".split()
    )
).map("".join)


@given(_REFERENCES)
def test_character_references_mean_what_html5lib_reads(value: str) -> None:
    tokens = HTMLTokenizer(f'<a b="{value}">'.encode(), override_encoding="utf-8")
    tag = next(token for token in tokens if token["type"] == tokenTypes["StartTag"])
    assert decode_value(value.encode()) == tag["data"]["b"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_escaped_value_reads_back_as_it_was(value: str) -> None:
    assert decode_value(escape_value(value.encode())) == value


# -- scripts -------------------------------------------------------------------------------------------------------

SCRIPTS = {
    "x|</script>": "the plain end",
    "x</scripty|</SCRIPT\n": "a name must end, in any case",
    "x|</script/": "even at a slash",
    "<!-- x |</script>": "an escape alone does not hide the end",
    "<!-- <script> </script> x |</script>": "a script within an escape does, once",
    "<!-- <script> --> |</script>": "until the escape ends",
    "<!-- <scripty> |</script>": "a longer name is none",
    "<script> |</script>": "without an escape a script within is nothing",
    "<!--> <script> |</script>": "an empty comment escapes nothing",
    "<!---> <script> |</script>": "nor does one of three dashes",
    "<!-- <script> <!-- </script> |</script>": "an escape within an escape changes nothing",
    "--> <!-- <script/ </script> <script </script> |</script>": "several within each other",
}


@pytest.mark.parametrize("marked", SCRIPTS, ids=SCRIPTS.values())
def test_a_script_ends_where_the_standard_says(marked: str) -> None:
    end = marked.index("|")
    text = (marked.replace("|", "") + " and more").encode()
    assert ScriptEnd().find(text, 0) == end
    assert ScriptEnd().find(b"<script>" + text, 8) == end + 8


@pytest.mark.parametrize("marked", SCRIPTS)
def test_a_script_may_come_in_pieces(marked: str) -> None:
    text = (marked.replace("|", "") + " and more").encode()
    finder = ScriptEnd()
    found = [finder.find(text[:length], 0) for length in range(len(text))]
    assert next(end for end in found if end >= 0) == marked.index("|")
