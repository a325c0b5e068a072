"""The streaming scanner: where text ends, what is dropped where browsers differ, and that pieces change nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.errors import UnreadableBody
from cookiegate.gate import scanner as scanner_module

from .strategies import chunked, pages
from .support import open_scanner, scan

DENIED = "<img src=//t.example/1>"
GATED = '<img data-cg="marketing" data-cg-src=//t.example/1>'

SAME = {
    "nothing": "",
    "text": "a < b && c > d",
    "unfinished things": "<p>x<img src=//t.example/1",
    "an unfinished comment": "<!-- <img src=//t.example/1>",
    "a comment": f"<!-- {DENIED} -->",
    "a bogus comment": "<!x src=//t.example/1><?img src=//t.example/1?></ img src=//t.example/1>",
    "an attribute": f"<a title='{DENIED}'>",
    "a title": f"<title>{DENIED}</title>",
    "a textarea": f"<textarea>{DENIED}</textarea>",
    "raw text": f"<xmp>{DENIED}</xmp><iframe>{DENIED}</iframe><noembed>{DENIED}</noembed><noframes>{DENIED}</noframes>",
    "plain text": f"<plaintext>{DENIED}</plaintext>{DENIED}",
    "a script's text": f"<script>'{DENIED.replace('t.example', 'own.js')}'</script>",
    "a template for scripts": f"<script type=text/template>{DENIED}</script>",
    "a section": "<svg><![CDATA[ <img src=//t.example/1 ]]></svg>",
    "a style in a drawing": "<svg><style>a{b:c}</style></svg>",
    "a style in a section": "<svg><style><![CDATA[ a > b{c:url(#d)} ]]></style></svg>",
    "a script in a section": "<svg><script><![CDATA[ if (a<b && c) d() ]]></script></svg>",
    "a title in a drawing": "<svg><title>a &amp; b</title><path d='M0 0'/></svg>",
    "a noscript": "<noscript><p>a</p><style>b</style><!-- c --></noscript>",
    "upper case": "<TITLE><img src=//t.example/1></tItLe\n>",
    "NUL": "\0<\0img src=//t.example/1>",
}


@pytest.mark.parametrize("page", SAME.values(), ids=SAME)
def test_what_fetches_nothing_passes_unchanged(page: str) -> None:
    gated = scan(page)
    assert gated.text == page
    assert gated.notes == []


JUDGED = {
    "plainly": f"{DENIED}",
    "behind a comment": f"<!-->{DENIED}-->",
    "behind text": f"<title></title>{DENIED}",
    "behind a name that only begins alike": f"<xmp></xmpx></xmp>{DENIED}",
    "behind an end tag with an attribute": f"<textarea></textarea a='>'>{DENIED}",
    "in a noscript": f"<noscript>{DENIED}</noscript>",
    "in a noscript in the head": f"<head><noscript>{DENIED}</noscript></head>",
    "in a template": f"<template>{DENIED}</template>",
    "in a drawing's text": f"<svg><desc>{DENIED}</desc></svg>",
    "broken out of a drawing": f"<svg><g>{DENIED}",
    "in mathematics": f"<math><mtext>{DENIED}</mtext></math>",
    "in a select": f"<select>{DENIED}</select>",
    "behind an unclosed element": f"<b><i><table>{DENIED}",
    "behind a stray end": f"</body></html>{DENIED}",
    "behind a script": f"<script><!--<script></script>--></script>{DENIED}",
}


@pytest.mark.parametrize("page", JUDGED.values(), ids=JUDGED)
def test_what_fetches_is_judged_wherever_it_stands(page: str) -> None:
    gated = scan(page)
    assert gated.text == page.replace(DENIED, GATED)
    assert [note.host for note in gated.notes] == ["t.example"]


AMBIGUOUS = {
    "markup in a style in a drawing": ("<svg><style>a<b></style></svg>", "<svg><style></style></svg>"),
    "a reference in a style in a drawing": ("<svg><style>a&amp;b</style></svg>", "<svg><style></style></svg>"),
    "markup in a title in a drawing": ("<svg><title>a<b>c</b></title></svg>", "<svg><title></title></svg>"),
    "markup in a section": ("<svg><![CDATA[ > <p> ]]></svg>", "<svg> > <p> ]]></svg>"),
    "markup in a style in a select": ("<select><style>a<b></style></select>", "<select><style></style></select>"),
    "plain text in a select": ("<select><plaintext>x", "<select>x"),
    "a section in a select": ("<select><![CDATA[x]]></select>", "<select>x]]></select>"),
    "a noscript that stays open": ("<noscript><!-- </noscript>-->", "<noscript></noscript>-->"),
    "a noscript that opens a style": ("<noscript><style></noscript>", "<noscript></noscript>"),
    "a noscript that opens a drawing": ("<noscript><svg></noscript>", "<noscript></noscript>"),
    "a noscript that opens a template": ("<noscript><template></noscript>", "<noscript></noscript>"),
    "a noscript that ends a template": ("<noscript></template></noscript>", "<noscript></noscript>"),
    "a noscript in a noscript": ("<noscript><p><noscript>x</noscript>", "<noscript></noscript>"),
    "text among framesets": ("<frameset><title><b></title>", "<frameset><title></title>"),
    "text in a template of columns": (
        "<template><col><style><b></style></template><style><b></style>",
        "<template><col><style></style></template><style><b></style>",
    ),
    "text behind broken HTML in a drawing": (
        "<svg><desc><p></desc><title><b></title>",
        "<svg><desc><p></desc><title></title>",
    ),
}


@pytest.mark.parametrize(("page", "gated"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_text_that_browsers_read_in_two_ways_is_dropped(page: str, gated: str) -> None:
    result = scan(page, "all")
    assert result.text == gated
    assert result.ambiguous


CERTAIN = {
    "a drawing left by a stranger": ("<div><svg><g></div>x", "<div><svg><g></div></svg>x"),
    "a drawing left by a paragraph's end": ("<svg></p>x", "<svg></p></svg>x"),
    "a formula in a drawing": ("<svg><desc><math></svg>", "<svg><desc><math></svg>"),
    "a closed title": ("<svg><title/></svg>", "<svg><title></title></svg>"),
    "a closed script": ("<svg><script href=/a /></svg>", "<svg><script href=/a ></script></svg>"),
}


@pytest.mark.parametrize(("page", "gated"), CERTAIN.values(), ids=CERTAIN)
def test_what_is_only_unclear_is_made_certain(page: str, gated: str) -> None:
    assert scan(page, "all").text == gated


# -- pieces ----------------------------------------------------------------------------------------------------------


@given(pages(), st.lists(st.integers(0, 10_000), max_size=8))
def test_pieces_change_nothing(page: bytes, cuts: list[int]) -> None:
    whole = scan(page, insert=b"<i>!</i>")
    assert scan(page, insert=b"<i>!</i>", pieces=chunked(page, cuts)) == whole
    assert scan(page, insert=b"<i>!</i>", pieces=[bytes([byte]) for byte in page]) == whole


NASTY = (
    "<!--!> --!> --><svg><![CDATA[ > ]]><title/><style><![CDATA[a>b]]></style></svg><script><!--<script></script>-->"
    f"</script><noscript>{DENIED}</noscript><textarea></textare></textarea>{DENIED}<a title='>' b=\"<img>\" c=/>"
    "<style>a{b:url(//t.example/2)}</style><iframe srcdoc='<img src=//t.example/3>'></iframe><!-->&#x2f<!doctype x>"
)


def test_one_cut_anywhere_changes_nothing() -> None:
    page = NASTY.encode()
    whole = scan(page)
    assert len(whole.notes) == 4
    for cut in range(len(page) + 1):
        assert scan(page, pieces=[page[:cut], page[cut:]]) == whole, f"cut at {cut}"


@pytest.mark.parametrize(
    ("start", "sent"),
    [
        *(("<p>some text", 12), ("<p>some text<", 12), ("<p>text</", 7), ("<p>text<!-", 7), ("<a href='>", 0)),
        *(("<!-- comment ", 10), ("<!-- comment --", 12), ("<xmp>a<b> and more", 7), ("<title>text</titl", 7)),
        *(("text<script>a", 4), ("text<style>a", 4), ("<svg><![CDATA[x", 5), ("text<noscript><p>", 4)),
    ],
)
def test_only_what_is_unfinished_is_held_back(start: str, sent: int) -> None:
    scanner = open_scanner()
    assert scanner.feed(start.encode()) == start[:sent].encode()
    assert scanner.close() == start[sent:].encode()


def test_what_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner_module, "MAX_HELD", 100_000)
    scanner = open_scanner()
    assert scanner.feed(b"<a title='" + b"x" * 99_000) == b""
    with pytest.raises(UnreadableBody, match="longer than 100000 bytes"):
        scanner.feed(b"x" * 50_000)


# -- what is inserted --------------------------------------------------------------------------------------------------

INSERTED = {
    "behind the body": "<html><head><title>a</title></head><body class=x>|<p>",
    "before the first content": "<!DOCTYPE html><title>a</title>\n|<p>text",
    "before content behind a head": "<head><link href=/a><script></script><noscript>x</noscript></head>|<div>",
    "before an embed": "<meta name=a>|<svg></svg>",
    "before the body's end": "<title>a</title>text|</body>",
    "at the end of a page without tags": "only text|",
    "at the end of an empty page": "|",
    "before what is never finished": "<title>a</title>text|<img src=",
    "not in a template": "<template><p>a</template>|<p>",
    "not in a drawing's template": "<title>a</title>|<svg><template></svg><p>",
    "not among framesets": "<frameset><frame src=/a></frameset>",
    "not in a title": "<title><body></title><body>|",
}


@pytest.mark.parametrize("marked", INSERTED.values(), ids=INSERTED)
def test_the_banner_stands_where_the_body_begins(marked: str) -> None:
    page = marked.replace("|", "")
    assert scan(page, insert=b"|").text == marked


@given(pages())
def test_the_banner_is_inserted_at_most_once(page: bytes) -> None:
    assert scan(page, insert=b"<i>!</i>").html.count(b"<i>!</i>") <= 1


# -- only watching -----------------------------------------------------------------------------------------------------


@given(pages())
def test_watching_changes_nothing_and_notes_what_would(page: bytes) -> None:
    watched = scan(page, observe=True)
    assert watched.html == page
    denied = {note.host for note in scan(page).notes if note.host}
    assert {note.host for note in watched.notes if note.host} >= denied
