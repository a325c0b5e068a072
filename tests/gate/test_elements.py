"""What each element fetches, however its address is spelled: withheld and marked, or unchanged once allowed."""

from __future__ import annotations

import base64
import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.gate.elements import local_text, refresh_url, srcset_urls

from . import oracle
from .campaign import ENGINES, leaks
from .support import PAGE, scan

DENIED, UNDECLARED, OWN = "//t.example/x", "//unheard-of.example/x", "/x"

FETCHING = """
<script src="§"></script>
<script src='§' async type=module></script>
<script SRC=§ language=JavaScript></script>
<img src="§" alt=a>
<img lowsrc=§><img dynsrc=§>
<img srcset="/a.png 1x, § 2x">
<img src=/a srcset="/a.png 1x,§">
<picture><source srcset="§ 100w"><img src=/a></picture>
<image src=§>
<iframe src="§" width=560 height=315></iframe>
<frameset><frame src=§></frameset>
<portal src=§></portal><fencedframe src=§></fencedframe>
<embed src=§>
<object data=§></object>
<object classid=§></object>
<object><param name=movie value=§></object>
<applet code=§ codebase=/a></applet>
<applet archive=§></applet>
<video src=§></video>
<video poster=§></video>
<audio src=§></audio>
<video><source src=§></video>
<video><track src=§></video>
<model><source src=§></model>
<input type=image src=§>
<input src=§ type=IMAGE>
<link rel=stylesheet href=§>
<link rel="alternate STYLESHEET" href=§>
<link rel=preload as=font href=§>
<link rel=preload as=image href=/a imagesrcset="/a 1x, § 2x">
<link rel=prefetch href=§>
<link rel=modulepreload href=§>
<link rel=preconnect href=§>
<link rel=dns-prefetch href=§>
<link rel=prerender href=§>
<link rel="shortcut icon" href=§>
<link rel=apple-touch-icon href=§>
<link rel=mask-icon href=§>
<link rel=manifest href=§>
<link rel=next href=§>
<link rel=search href=§>
<link rel=pingback href=§>
<meta http-equiv=refresh content="0; url=§">
<meta http-equiv=Refresh content="3;§">
<base href=§>
<body background=§>
<table background=§><tr background=§><td background=§><th background=§></table>
<a ping="/own §" href=/a>a</a>
<a attributionsrc=§>a</a>
<html manifest=§>
<svg><image href=§ /></svg>
<svg><image xlink:href=§ /></svg>
<svg><use href="§#a"></use></svg>
<svg><script href=§></script></svg>
<svg><script xlink:href=§ ></script></svg>
<svg><feImage href=§ ></feImage></svg>
<svg><linearGradient xlink:href=§ ></linearGradient></svg>
<svg><set attributeName=href to=§></set></svg>
<svg><animate attributeName=href values="/a;§" /></svg>
<svg><animate attributeName=href from=§ by=/a /></svg>
<svg><rect fill="url(§#a)"></rect></svg>
<svg><rect fill=url&lpar;§#a)></rect></svg>
<svg><text cursor="url('§'), auto"></text></svg>
<svg><link rel=stylesheet href=§></svg>
<math><mglyph src=§ /></math>
<template><img src=§></template>
<div><template shadowrootmode=open><img src=§></template></div>
<noscript><img src=§></noscript>
<iframe srcdoc="<img src=§>"></iframe>
<iframe srcdoc='<iframe srcdoc="&lt;script src=§>&lt;/script>"></iframe>'></iframe>
<script type=importmap>{"imports": {"a": "§"}}</script>
<script type=importmap>{"scopes": {"§": {"a": "/b"}}}</script>
<script type=speculationrules>{"prefetch": [{"urls": ["§"]}]}</script>
<p style="background: url(§)">
<p style='background: url("§")'>
<p style="background-image: image-set('§' 1x)">
<style>@import "§";</style>
<style>@import url(§) screen;</style>
<style>p { background: URL( "§" ) }</style>
<style>@font-face { src: url(§) format("woff2") }</style>
<style media=print>p { background: u\\72l(§) }</style>
<svg><style>p { fill: url(§) }</style></svg>
""".strip().splitlines()


def _plain(text: str) -> str:
    """Markup with the documents within its attributes laid open."""
    return html.unescape(html.unescape(text))


@pytest.mark.parametrize("markup", FETCHING)
def test_what_fetches_is_withheld_while_denied(markup: str) -> None:
    gated = scan(markup.replace("§", DENIED))
    assert {(note.host, note.purpose, note.service) for note in gated.notes} == {("t.example", "marketing", "t")}
    assert re.search('data-cg(-css)?="marketing"', _plain(gated.text))
    assert [leak for engine in ENGINES for leak in leaks(gated.html, engine)] == []


@pytest.mark.parametrize("markup", FETCHING)
def test_it_passes_unchanged_once_allowed(markup: str) -> None:
    gated = scan(markup.replace("§", DENIED), "marketing")
    assert (gated.text, gated.notes) == (markup.replace("§", DENIED), [])


@pytest.mark.parametrize("markup", FETCHING)
def test_what_is_the_sites_own_passes_unchanged(markup: str) -> None:
    gated = scan(markup.replace("§", OWN))
    assert (gated.text, gated.notes) == (markup.replace("§", OWN), [])


@pytest.mark.parametrize("markup", FETCHING)
def test_what_is_undeclared_never_passes(markup: str) -> None:
    gated = scan(markup.replace("§", UNDECLARED), "all")
    assert {(note.host, note.purpose, note.service) for note in gated.notes} == {("unheard-of.example", "", "")}
    assert re.search('data-cg(-css)?=""', _plain(gated.text))
    found = [
        oracle.contacts(ENGINES["lexbor"](gated.html, scripting=flag), PAGE, "unheard-of.example")
        for flag in (True, False)
    ]
    assert found == [[], []]


def test_what_the_catalogue_knows_is_named_but_not_allowed() -> None:
    gated = scan("<img src=//k.example/x>", "all")
    assert gated.text == '<img data-cg="" data-cg-src=//k.example/x>'
    assert [(note.host, note.purpose, note.service, note.name) for note in gated.notes] == [("k.example", "", "k", "K")]


EDITED = {
    "<img src=§ alt=a>": '<img data-cg="marketing" data-cg-src=§ alt=a>',
    "<IMG\nSRC = '§'>": "<IMG data-cg=\"marketing\"\ndata-cg-src = '§'>",
    "<img src=§ src=/own SRC=§>": '<img data-cg="marketing" data-cg-src=§ data-cg-src=/own data-cg-src=§>',
    "<img src=/own src=§>": "<img src=/own src=§>",
    "<img src=/own srcset=§>": '<img data-cg="marketing" data-cg-src=/own data-cg-srcset=§>',
    "<script src=§></script>": '<script type="text/plain" data-cg="marketing" data-cg-src=§></script>',
    "<script type=module src=§></script>": (
        '<script type="text/plain" data-cg="marketing" data-cg-type=module data-cg-src=§></script>'
    ),
    "<a ping=§ href=/a>": '<a data-cg="marketing" data-cg-ping=§ href=/a>',
    "<p style='color:red;background:url(§)' class=a>": (
        '<p data-cg-css="marketing" style="color:red;background:url(data:,)"'
        " data-cg-style='color:red;background:url(§)' class=a>"
    ),
    "<style>@import '§';p{}</style>": "<style data-cg-css=\"marketing\">@import 'data:,';p{}</style>",
    "<iframe srcdoc=\"<img src='§'>\"></iframe>": (
        "<iframe srcdoc=\"&lt;img data-cg=&quot;marketing&quot; data-cg-src='§'&gt;\"></iframe>"
    ),
    "<p onclick=t_track(1) id=a>": '<p data-cg="marketing" data-cg-onclick=t_track(1) id=a>',
    "<meta content='0;url=§' http-equiv=refresh>": (
        "<meta data-cg=\"marketing\" data-cg-content='0;url=§' data-cg-http-equiv=refresh>"
    ),
}


@pytest.mark.parametrize(("markup", "edited"), EDITED.items())
def test_nothing_but_the_address_is_taken_away(markup: str, edited: str) -> None:
    assert scan(markup.replace("§", DENIED)).text == edited.replace("§", DENIED)


# -- how an address can be spelled -------------------------------------------------------------------------------------

SPELLINGS = r"""
//t.example/x|https://t.example|HTTP://T.EXAMPLE/|&#47;&#47;t.example/|&sol;&sol;t.example|&#x2F;&#x2f;t&period;example
&#0047/t.example|&#000000000000000047;/t.example|&#x00000000000000002F;/t.example|https&colon;//t.example|http:/t.example/|https:///t.example|http:t.example/x|\\t.example\x|/\t.example/x
//u@t.example/|//www.site.example@t.example/|//www.site.example:x@t.example:81/|https://t.example:443/|//t.example./x
//%74.example/|//t%2eexample/|//T%2EEXAMPLE/|//ｔ.example/|//t。example/|//sub.t.example/|wss://t.example/|ftp://t.example/
 //t.example/ |https://t.example?//www.site.example|//t.example#www.site.example|//t.example\@www.site.example/
""".strip()
OWN_SPELLINGS = r"""
|/x|x|x/y|?q|#f|./x|../x|//www.site.example/x|HTTPS://WWW.SITE.EXAMPLE|https:x|https:/x|//sub.site.example/|//site.example
//www.site.example:8443/|//static.site-cdn.example/x|//n.example/|//www.site.example./x|/a//t.example/|/a?//t.example|x//t.example
data:image/png;base64,AA==|about:blank|blob:https://www.site.example/1|mailto:a@t.example|tel:1|javascript:void(0)|http://|//|https://[
foo://t.example/|%2f%2ft.example|/%2ft.example|.//t.example|/..//t.example|//many.example/x|//t.example@www.site.example/
""".strip("\n")


@pytest.mark.parametrize("address", SPELLINGS.replace("\n", "|").split("|"))
@pytest.mark.parametrize("markup", ['<img src="§">', "<img srcset='/a, § 2x'>", "<link rel=stylesheet href='§'>"])
def test_the_third_party_is_known_in_every_spelling(markup: str, address: str) -> None:
    gated = scan(markup.replace("§", address))
    assert {note.host.removeprefix("sub.") for note in gated.notes} == {"t.example"}
    assert scan(markup.replace("§", address), "all").text == markup.replace("§", address)


@pytest.mark.parametrize(
    "address", ["/\n/t.example", "ht\ttp\rs:\n//t.example/x", "\x01\x1f //t.example", "//t.exa\nmple"]
)
def test_spaces_and_controls_hide_nothing(address: str) -> None:
    assert [note.host for note in scan(f"<img src='{address}'>").notes] == ["t.example"]


@pytest.mark.parametrize("address", OWN_SPELLINGS.replace("\n", "|").split("|"))
def test_what_leads_nowhere_else_is_the_sites_own(address: str) -> None:
    gated = scan(f'<img src="{address}">')
    assert (gated.text, gated.notes) == (f'<img src="{address}">', [])


@given(st.text("htps:/\\.@%#?2f74e \t\n&;tT.example", max_size=24))
def test_an_address_is_read_as_the_url_standard_reads_it(address: str) -> None:
    page = f"<img src='{address}'><p style=\"background:url('{address}')\">"
    assert list(leaks(scan(page).html, "lexbor")) == []


def test_hosts_may_be_international() -> None:
    for address in (
        "//bücher.example/",
        "//xn--bcher-kva.example/",
        "//B%C3%9Ccher.example/",
        "//b&uuml;cher.example/",
    ):
        assert [note.purpose for note in scan(f"<img src={address}>").notes] == ["analytics"]
        assert scan(f"<img src={address}>", "analytics").notes == []


def test_a_host_in_bytes_that_are_no_utf8_is_withheld() -> None:
    """In a page of another encoding they spell a host that only the browser can read."""
    gated = scan("<img src=//bücher.example/><img src=/bücher>".encode("latin-1"), "all")
    assert gated.html == '<img data-cg="" data-cg-src=//bücher.example/><img src=/bücher>'.encode("latin-1")


def test_a_path_tells_services_of_one_host_apart() -> None:
    page = "<img src=//many.example/maps/1><img src=//many.example/mapsx><img src=//many.example/%6Daps>"
    assert [note.service for note in scan(page).notes] == ["maps", "maps"]


# -- bases -------------------------------------------------------------------------------------------------------------

BASES = {
    "a denied base is taken away": ("<base href=//t.example/><img src=x>", 1),
    "and does not hide another": ("<base href=//t.example/><base href=//t.example/a><img src=x>", 2),
    "an own base is kept": ("<base href=/a/><img src=x><img src=//t.example/>", 1),
    "an allowed base is kept": ("<base href=//n.example/><img src=x><img src=//t.example/>", 1),
    "a base in a template need not count": ("<template><base href=//n.example></template><img src=//t.example/>", 1),
    "a scheme of the base decides": ("<base href=http://www.site.example/><img src=https:t.example>", 1),
    "a scheme of the page decides": ("<base href=http://www.site.example/><img src=http:t.example>", 1),
    "a base that is no address": ("<base href=data:,x><base href=https://><img src=x>", 0),
    "a base behind what it moves": ("<img src=x><base href=//t.example/>", 1),
    "too many bases": ("".join(f"<base href=/{number}/>" for number in range(6)), 2),
}


@pytest.mark.parametrize(("page", "withheld"), BASES.values(), ids=BASES)
def test_bases(page: str, withheld: int) -> None:
    gated = scan(page)
    assert len(gated.notes) == withheld
    assert list(leaks(gated.html, "lexbor")) == []


def test_a_base_of_a_service_brings_no_path_of_another() -> None:
    assert [note.service for note in scan("<base href=//many.example/><img src=maps/1>").notes] == ["maps"]


# -- scripts -----------------------------------------------------------------------------------------------------------

TRACKS = """
t_track(1)
fetch("https://t.example/x")
a("//t.example")
a("//sub.t.example:81")
a("https:\\/\\/t.example\\/x")
a("\\x2f\\x2ft.example")
a("\\u002f\\u002Ft.example/x")
a("\\u{2f}/T.Example")
a(unescape("%3Cscript src=%2F%2Ft.example%2Fx%3E"))
import "//t.example/x"
import("//t.example/x")
<!-- a("//t.example")
""".strip().splitlines()
INNOCENT = """
a("t.example.org")
a("nott.example")
a("t-track(1)")
a("/t/example")
a("https://unheard-of.example/x")
a("n.example")
""".strip().splitlines()


@pytest.mark.parametrize("code", TRACKS)
@pytest.mark.parametrize(
    "attributes", ["", " type=''", " type=text/javascript", " TYPE='Module '", " language=javascript"]
)
def test_an_inline_script_belongs_to_the_service_it_names(code: str, attributes: str) -> None:
    page = f"<script{attributes}>{code}</script>"
    gated = scan(page)
    assert gated.text.startswith('<script type="text/plain" data-cg="marketing"')
    assert gated.text.endswith(f">{code}</script>")
    assert [note.service for note in gated.notes] == ["t"]
    assert scan(page, "marketing").text == page


@pytest.mark.parametrize("code", INNOCENT)
def test_other_scripts_pass(code: str) -> None:
    page = f"<script>{code}</script><p onclick='{code}'>"
    assert (scan(page).text, scan(page).notes) == (page, [])


@pytest.mark.parametrize("kind", ["application/ld+json", "text/template", "application/json", "text/plain", "x", " "])
def test_data_in_a_script_is_left_alone(kind: str) -> None:
    page = f'<script type="{kind}" src=//t.example/>{{"url": "//t.example/x"}}</script>'
    assert scan(page).text == page


def test_an_undeclared_script_of_the_catalogue_never_runs() -> None:
    assert scan("<script>k_init()</script>", "all").text == '<script type="text/plain" data-cg="">k_init()</script>'


@pytest.mark.parametrize("code", ["{", "", '{"imports": [' + "[" * 100_000, "[1"])
def test_an_import_map_that_cannot_be_read_is_withheld(code: str) -> None:
    assert 'data-cg=""' in scan(f"<script type=importmap>{code}</script>", "all").text


SPECULATION = {
    '{"prefetch": [{"urls": ["/a"]}]}': True,
    '{"prerender": [{"where": {"href_matches": "/*"}}]}': True,
    '{"prefetch": [{"where": {"and": [{"href_matches": "/*"}, {"not": {"href_matches": "/x"}}]}}]}': True,
    '{"prefetch": [{"where": {"href_matches": ["/a/*", "/b"]}}]}': True,
    '{"prefetch": [{"source": "document"}]}': False,
    '{"prefetch": [{"where": {"selector_matches": "a"}}]}': False,
    '{"prefetch": [{"where": {"href_matches": "https://*/*"}}]}': False,
    '{"prefetch": [{"where": {"href_matches": {"hostname": "*"}}}]}': False,
    '{"prefetch": [{"where": {"or": [{"href_matches": "/*"}, {"selector_matches": "a"}]}}]}': False,
    '{"prefetch": [{"where": {"href_matches": "//*"}}]}': False,
}


@pytest.mark.parametrize(("rules", "stays"), SPECULATION.items())
def test_speculation_may_not_follow_just_any_link(rules: str, *, stays: bool) -> None:
    assert (scan(f"<script type=speculationrules>{rules}</script>", "all").notes == []) is stays


@pytest.mark.parametrize(
    "markup", ["<p onclick='§'>", "<body onload='§'>", "<svg onload='§'/>", "<img src=/a onerror='§'>"]
)
def test_handlers_are_judged_like_scripts(markup: str) -> None:
    gated = scan(markup.replace("§", "t_track(1)"))
    assert [note.service for note in gated.notes] == ["t"]
    assert " data-cg-on" in gated.text
    assert scan(markup.replace("§", "t_track(1)"), "all").text == markup.replace("§", "t_track(1)")


# -- pages and code within an address ----------------------------------------------------------------------------------


def _base64(text: str, kind: str = "text/html") -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


CARRIED = {
    "a page": "data:text/html,<img src=https://t.example/x>",
    "a page in escapes": "data:text/html,%3Cimg%20src=%22https:%2f%2ft.example%22%3E",
    "a page in base64": _base64("<img src='https://t.example'>"),
    "a page in references": _base64("<img src='https&colon;&sol;&sol;t.example'>"),
    "a page with half an address": _base64("<img src='http:t.example'>"),
    "a page with a script": _base64("<script>t_track(1)</script>"),
    "a page with a page": _base64(f"<iframe src='{_base64('<img src=https://t.example>')}'></iframe>"),
    "a page with an undeclared address": _base64("<img src=https://unheard-of.example>"),
    "a drawing": _base64(
        "<svg xmlns='http://www.w3.org/2000/svg'><image href='https://t.example'/></svg>", "image/svg+xml"
    ),
    "code": "javascript:fetch('//t.example')",
    "code in another case": " jAvA\tScript:t_track(1)",
    "code that makes a page": "javascript:'<script src=//t.example></script>'",
}


@pytest.mark.parametrize("markup", ['<iframe src="§"></iframe>', '<object data="§"></object>', '<embed src="§">'])
@pytest.mark.parametrize("address", CARRIED.values(), ids=CARRIED)
def test_a_frame_may_carry_its_page_with_it(markup: str, address: str) -> None:
    gated = scan(markup.replace("§", address))
    assert len(gated.notes) == 1
    assert f'data-cg-{"data" if "data=" in markup else "src"}="' in gated.text


@pytest.mark.parametrize(
    "address",
    [
        *("data:text/html,<p>hello", "data:text/html,<img src=/x>", "about:blank", "javascript:false", "javascript:''"),
        _base64("<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>", "image/svg+xml"),
    ],
)
def test_a_frame_that_carries_an_innocent_page_passes(address: str) -> None:
    page = f'<iframe src="{address}"></iframe>'
    assert (scan(page).text, scan(page).notes) == (page, [])


@pytest.mark.parametrize("reference", ["data:text/html", "data:text/html;base64,%%%", "data:text/html;base64,é"])
def test_what_cannot_be_read_is_withheld_or_empty(reference: str) -> None:
    assert local_text(reference) in {None, ""}


@pytest.mark.parametrize(
    "page",
    [
        "<link rel=stylesheet href='data:text/css,@import \"https://t.example\"'>",
        f"<link rel=stylesheet href='{_base64('p{background:url(https://t.example)}', 'text/css')}'>",
        f"<style>@import '{_base64('@import url(https://t.example)', 'text/css')}';</style>",
        f'<script src="{_base64("t_track(1)", "text/javascript")}"></script>',
        "<script type=module src=\"data:text/javascript,import 'https://t.example/x'\"></script>",
        "<link rel=modulepreload href=\"data:text/javascript,import 'https://t.example/x'\">",
        "<a href='javascript:t_track(1)'>a</a>",
        "<meta http-equiv=refresh content='0;url=data:text/html,<img src=https://t.example>'>",
        "<a href=' &#106;avascript&colon;t_track(1)'>a</a>",
        "<svg><a xlink:href='javascript:t_track(1)'>a</a></svg>",
        "<form action='javascript:t_track(1)'><button formaction='javascript:t_track(1)'></form>",
    ],
)
def test_styles_scripts_and_links_may_carry_theirs(page: str) -> None:
    assert {note.service for note in scan(page).notes} == {"t"}
    assert scan(page, "all").text == page


def test_pages_within_pages_are_read_to_a_depth() -> None:
    page = "<img src=/own>"
    for _ in range(7):
        page = f'<iframe srcdoc="{page.replace("&", "&amp;").replace(chr(34), "&quot;")}"></iframe>'
    assert [note.what for note in scan(page).notes] == ["page within too many pages"]


# -- small grammars ----------------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from(["a", ",", " ", "(", ")", "1x", "\u00a0", "//t.example/1", "\n", "b,", ",c"])).map("".join)
)
def test_a_srcset_is_read_as_the_standard_reads_it(value: str) -> None:
    assert list(srcset_urls(value)) == [url for url in oracle.srcset(value) if url]


REFRESH = {
    "0; url=/x": "/x",
    "0;URL = '/x'y": "/x",
    '5 , url="/x': "/x",
    "0 /x": "/x",
    " 0.5;/x": "/x",
    "0;url": "url",
    "0; u=/x": "u=/x",
    "1e0;url=/x": "/x",
    "0": "",
    "": "",
    "url=/x": "",
    "0;": "",
}


@pytest.mark.parametrize(("content", "url"), REFRESH.items())
def test_where_a_refresh_leads(content: str, url: str) -> None:
    assert refresh_url(content) == url


# -- placeholders ------------------------------------------------------------------------------------------------------


def test_an_embed_is_hidden_behind_a_placeholder() -> None:
    gated = scan("<iframe src=//t.example/x width=560 height='315px' hidden2></iframe>", placeholders=True)
    assert "marketing t t.example iframe 560 315" in gated.text
    assert gated.text.endswith(
        "<iframe data-cg=\"marketing\" hidden data-cg-src=//t.example/x width=560 height='315px' hidden2></iframe>"
    )


@pytest.mark.parametrize(
    "markup",
    [
        "<iframe src=§ width=1 height=1></iframe>",
        "<iframe src=§ height=0></iframe>",
        "<iframe src=§ hidden></iframe>",
        "<iframe src=§ style='DISPLAY : none'></iframe>",
        "<iframe src=§ style='width:0;border:0'></iframe>",
        "<iframe src=§ style='height: 1px'></iframe>",
        "<svg><iframe src=§></iframe></svg>",
        "<img src=§>",
    ],
)
def test_what_is_not_seen_gets_none(markup: str) -> None:
    gated = scan(markup.replace("§", DENIED), placeholders=True)
    assert len(gated.notes) == 1
    assert "data-cg-for" not in gated.text
