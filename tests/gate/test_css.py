"""Style sheets: every URL that a browser would fetch is judged, however it is hidden; nothing else is touched."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.gate.css import AMBIGUOUS, gate, unescape
from cookiegate.gate.resources import Withheld

from . import oracle

FOUND = Withheld("style", "t.example", "marketing")


def judge(url: str) -> Withheld | None:
    """The third party's URLs, as they would be resolved on a page of another host."""
    return FOUND if oracle.leads(url, "t.example", "https://www.site.example/") else None


FETCHED = (
    r"""
p{background:url(//t.example/x)}
p{background:url( //t.example/x )}
p{background:URL("//t.example/x")}
p{background:url('//t.example/x')}
p{background:url('//t.example/x}
p{background:url(//t.example/x
p{background:u\72l(//t.example/x)}
p{background:\75\72\6c(//t.example/x)}
p{background:\000075 rl(//t.example/x)}
p{background:\55 \52 \4C (//t.example/x)}
p{background:\u\r\l(//t.example/x)}
p{background:url(\2f\2ft.example/x)}
p{background:url(\//t.example/x)}
p{background:url("\2f/t.example/x")}
p{background:url("//t.exam\
ple/x")}
@import "//t.example/x";
@import'//t.example/x'screen;
@import url(//t.example/x) layer(a) supports(display:grid);
@IMPORT/**/"//t.example/x";
@\69mport "//t.example/x";
@charset "x;@import '//t.example/x'";
p{background:image-set("//t.example/x" 1x, url(/a) 2x)}
p{background:-webkit-image-set("/a" 1x, "//t.example/x" 2x)}
p{--x:"//t.example/x";background:image-set(var(--x) 1x)}
p{background:src("//t.example/x")}
@font-face{src:local(a),url(//t.example/x)format("woff2")}
p{a:"\"";b:url(//t.example/x);c:"}
p{a:'\'';b:url(//t.example/x);c:'}
p{a:\";b:url(//t.example/x);c:\"}
p{a:/*"*/url(//t.example/x)/*"*/}
p{a:/*/*/url(//t.example/x)/*/*/}
p{a:url(a"b);b:url(//t.example/x);c:"}
p{a:url(a\)b);b:url(//t.example/x)}
p{a:url(a'b;b:c)url(//t.example/x)'}
p{a:"b
;c:url(//t.example/x);d:"}
<!--url(//t.example/x)-->
p{a:1url(//t.example/x)}
p{a:éurl(//t.example/x)}
p{a:#url(//t.example/x)}
a[b="c]url(//t.example/x)"]{}p{d:url(//t.example/x)}
""".strip()
    .replace("\n;", "\x01;")
    .replace("\\\nple", "\\\x01ple")
)


@pytest.mark.parametrize("sheet", [line.replace("\x01", "\n") for line in FETCHED.split("\n")])
@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n", "\f"])
def test_what_is_fetched_is_found(sheet: str, newline: str) -> None:
    gated, withheld = gate(sheet.replace("\n", newline), judge)
    assert FOUND in withheld or AMBIGUOUS in withheld
    assert [url for url in oracle.css_urls(gated) if judge(url)] == []
    assert gate(gated, judge) == (gated, ())


LEFT_ALONE = r"""
/* @import "//t.example/x"; url(//t.example/x) */
p{background:url(/a//t.example/x)}
p{content:"see //t.example/x"}
p{content:"url(//t.example/x)"}
a[href^="//t.example/"]{color:red}
a[href = '//t.example/x' i]{color:red}
@namespace url(//t.example/x);
@namespace svg "//t.example/x";
p{background:url("data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg'/>")}
p{background:url(data:image/png;base64,AA//t.example==)}
//t.example/x{}
p{color:red;background:none}
""".strip().splitlines()


@pytest.mark.parametrize("sheet", LEFT_ALONE)
def test_what_only_looks_like_it_is_left_alone(sheet: str) -> None:
    assert gate(sheet, judge) == (sheet, ())


def test_only_the_address_is_taken_out() -> None:
    sheet = "@import '//t.example/a';p{background:url(//t.example/b) no-repeat, url( \"/c\" )}"
    assert gate(sheet, judge)[0] == "@import 'data:,';p{background:url(data:,) no-repeat, url( \"/c\" )}"


@pytest.mark.parametrize(
    "sheet",
    [
        "p{a:éurl(x');b:url(//t.example/x)')}",
        'p{a:#url(x");b:url(//t.example/x)")}',
        "p{a:u+aurl(x');b:url(//t.example/x);c:')}",
        'p{a:"\udc95\\";b:url(//t.example/x);c:"}',
        "p{a:'\ufffd\\';b:url(//t.example/x);c:'}",
    ],
)
def test_what_may_be_read_in_two_ways_is_withheld_whole(sheet: str) -> None:
    """A name that ends in ``url``, and bytes that are one character in Shift_JIS and a backslash more in Latin."""
    gated, withheld = gate(sheet, judge)
    assert withheld
    assert "t.example" not in gated.replace("data:,", "")


def test_without_anything_that_may_leave_nothing_is_read() -> None:
    def refuse(url: str) -> Withheld:
        raise AssertionError(url)

    sheet = "p{background:url(a.png);content:'b'}@media print{a::after{content:' (' attr(href) ')'}}"
    assert gate(sheet, refuse, own_base=True) == (sheet, ())


@pytest.mark.parametrize(
    "sheet", ["//t", r"\\t", "/\t/t", "https:t", "ht\ttp:t", "WSS:t", "ftp :t", "@import 'a'", r"\75rl"]
)
def test_what_may_leave_is_read(sheet: str) -> None:
    assert gate(f"p{{a:url('{sheet}')}}", lambda _: FOUND, own_base=True)[1] == (FOUND,)


_PIECES = r"""
url( URL( u\72l( " ' ( ) { } ; : , \ / * /* */ @import image-set( //t.example/x https://t.example/y /own a é # @ =
""".split()


@given(st.lists(st.sampled_from([*_PIECES, " ", "\n", "\r", "\f", "\\\n", "\\\r\n"])).map("".join))
def test_a_sheet_is_read_as_the_standard_reads_it(sheet: str) -> None:
    gated, withheld = gate(sheet, judge)
    assert [url for url in oracle.css_urls(gated) if judge(url)] == []
    if any(map(judge, oracle.css_urls(sheet))):
        assert withheld


@given(st.text())
def test_what_is_not_withheld_is_not_changed(sheet: str) -> None:
    assert gate(sheet, lambda _: None) in {(sheet, ()), ("", (AMBIGUOUS,))}


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        *((r"\41 b", "Ab"), (r"\000041b", "Ab"), ("\\41\nb", "Ab"), (r"\0", "\ufffd"), (r"\d800", "\ufffd")),
        *((r"\110000", "\ufffd"), (r"\z", "z"), ("a\\\nb", "ab"), ("a\\", "a\ufffd"), (r"\\", "\\")),
    ],
)
def test_escapes(escaped: str, text: str) -> None:
    assert unescape(escaped) == text


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_chromium_fetches_what_the_table_says() -> None:
    """Not all of it, for some is no valid style; but what it does fetch is no longer there in the gated sheet."""
    from .chromium import frames

    sheets = [line.replace("\x01", "\n") for line in FETCHED.split("\n")]
    pages = [f"<style>{sheet}</style><p>x</p>".encode() for sheet in sheets]
    gated = [f"<style>{gate(sheet, judge)[0]}</style><p>x</p>".encode() for sheet in sheets]
    with frames() as shown:
        assert shown.requests(pages, scripting=True)
        assert shown.requests(gated, scripting=True) == set()
