"""Adversarial markup: fragments that fetch, and fragments that change how what follows is read."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

THIRD_PARTY = "t.example"
"""The host that no fetching element of a gated page may lead to."""

URLS = (
    "//t.example/@",
    "https://t.example/@",
    "HTTPS://T.EXAMPLE/@",
    "&#47;/t.example/@",
    "&#000000000047;/t.example/@",
    "&#x2F&sol;t.example/@",
    "/\\t.example/@",
    "\\\\t.example\\@",
    "//u:p&commat;t.example:8443/@",
    "//t.example./@",
    "//%74.example/@",
    "//t&period;example/@",
    "https:///t.example/@",
    "http:t.example/@",
    "https&colon;//sub.t.example/../@",
)
"""Spellings of a third-party URL, as markup; ``@`` stands for a number that tells one use from another."""

FETCHING = (
    "<img src=§>",
    "<img src='§'>",
    '<img alt=">" src="§">',
    "<img src='a.png' src='§'>",
    "<img\nsrc\n=\n§>",
    "<img/src=§/>",
    "<IMG SRC=§ ALT>",
    "<image src=§>",
    "<image href=§ />",
    '<img srcset="a.png 1x,§ 2x">',
    '<picture><source srcset="§, b.png 2x"><img src="/own.png"></picture>',
    "<iframe src=§></iframe>",
    "<iframe srcdoc='<img src=&quot;§&quot;>'></iframe>",
    "<script src=§></script>",
    "<script async type=module src=§></script >",
    "<script>fetch('//t.example/@')</script>",
    "<script>if (a<b) c('https:\\/\\/t.example\\/@')</script>",
    "<link rel=stylesheet href=§>",
    "<link href=§ rel='dns-prefetch preconnect'>",
    "<link rel=preload as=image imagesrcset='§ 1x'>",
    "<style>@import '//t.example/@';</style>",
    "<style>p{background:url(//t.example/@)}</style>",
    "<style>a{content:'x'} p{background:image-set('https://t.example/@' 1x)}</style>",
    "<p style='background:url(§)'>",
    "<p style=background:u\\72l(//t.example/@)>",
    "<p onclick=\"new Image().src='//t.example/@'\">",
    "<body background=§>",
    "<td background=§>",
    "<table background=§>",
    "<object data=§>",
    "<embed src=§>",
    "<video poster=§>",
    "<audio src=§></audio>",
    "<input type=image src=§>",
    "<meta http-equiv=refresh content='0; url=§'>",
    "<a ping=§ href=#>",
    "<frame src=§>",
    "<svg><image href=§ /></svg>",
    "<svg><image xlink:href='§'></svg>",
    "<svg><use href=§></use>",
    "<svg><script href=§></script></svg>",
    "<svg><script xlink:href=§ /></svg>",
    "<svg><script>x('//t.example/@')</script></svg>",
    "<svg><style>p{fill:url(//t.example/@)}</style></svg>",
    "<svg><style><img src=§></style></svg>",
    "<svg><set attributeName=href to=§></svg>",
    "<svg><animate attributeName=href values='a;§'></svg>",
    '<svg><rect fill="url(§)"></svg>',
    "<svg><feImage href=§ /></svg>",
    "<svg><foreignObject><img src=§></foreignObject></svg>",
    "<math><mi><img src=§></mi></math>",
    "<math><annotation-xml encoding=text/html><img src=§></annotation-xml></math>",
    "<noscript><img src=§></noscript>",
    "<template><img src=§></template>",
    "<div><template shadowrootmode=open><link rel=stylesheet href=§></template></div>",
)

CONTEXT = (
    ("text ", "a & b", "&lt;", "\0", "é", "\n", " ", "<", "</", "<!", "<?", ">", '"', "'", "--", "-->", "]]>", "/>"),
    ("<p>", "</p>", "<br>", "</br>", "<div>", "</div>", "<b>", "</b>", "<a href=/x>", "</a>", "<i/>", "<li>", "<dd>"),
    ("<html>", "<head>", "</head>", "<body>", "</body>", "</html>", "<form>", "</form>", "<button>", "<nobr>", "<h1>"),
    ("<table>", "</table>", "<tr>", "<td>", "</td>", "</tr>", "<tbody>", "<caption>", "<colgroup>", "<col>", "<th>"),
    ("<select>", "</select>", "<option>", "<optgroup>", "<textarea>", "</textarea>", "<input>", "<keygen>", "<hr>"),
    ("<select><svg>", "<select><template>", "<select><textarea>", "<select><noscript>", "<table><select>", "</select>"),
    ("<frameset>", "</frameset>", "<noframes>", "</noframes>", "<frameset><frame>", "<frame>", "<title>", "<style>"),
    ("<title>", "</title>", "<xmp>", "</xmp>", "<plaintext>", "<noembed>", "</noembed>", "<iframe>", "</iframe>"),
    (
        "<style>",
        "</style>",
        "<script>",
        "</script>",
        "<script type=text/template>",
        "<style/>",
        "<script/>",
        "</STYLE ",
    ),
    ("<noscript>", "</noscript>", "<template>", "</template>", "<template><col>", "<template><tr>", "<col>", "<style>"),
    ("<template>", "</template>", "<select>", "</select>", "<noscript>", "</noscript>", "<svg>", "</svg>", "<title>"),
    ("<!--", "<!-->", "<!--->", "<!--!>", "<!---!>", "--!>", "<!-- a > b -->", "<!-- --!>", "-->", "--", "<!---", ">"),
    ("<!--<script>", "<script><!--", "</script>", "<script>", "-->", "<!--", "<script", "</script", "<scriptx>"),
    ("<![CDATA[", "<![CDATA[ > ", "<![CDATA[x]]>", "]]>", "<!DOCTYPE html>", "<!x>", "<?php a > b ?>", "</ x>", "</>"),
    ("<svg>", "</svg>", "<math>", "</math>", "<svg/>", "<g>", "</g>", "<desc>", "</desc>", "<svg><title>", "<mi>"),
    (
        "<foreignObject>",
        "</foreignObject>",
        "<svg><desc>",
        "<math><mi>",
        "</mi>",
        "<mtext>",
        "<mglyph>",
        "<malignmark>",
    ),
    ("<annotation-xml encoding=text/html>", "<annotation-xml>", "</annotation-xml>", "<math><annotation-xml><svg>"),
    ("<font color=red>", "<font>", "<svg><p>", "<svg></p>", "<svg></br>", "<svg><title><style>", "<mtext><p>", "</p>"),
    ("<svg><style>", "<math><style>", "<svg><script>", "<svg><noscript>", "<svg><textarea>", "<svg><xmp>", "</svg>"),
    (
        "<svg><![CDATA[",
        "<svg><iframe>",
        "]]>",
        "<svg><foreignObject>",
        "<table>",
        "<td>",
        "</table>",
        "<div>",
        "</div>",
    ),
    (
        "<a title='",
        '<a title="',
        "<a title=",
        "<a b=c'd e=\"f",
        "<a =x>",
        "<a / b",
        "<a\x0cb>",
        "<div x=/>",
        "<svg x=/>",
    ),
    ("<ruby><rt>", "<marquee>", "<applet>", "<object>", "</object>", "<menu>", "<main>", "<search>", "<isindex>"),
    ("<b>", "<a href=/x>", "</b>", "</a>", "<svg><desc>", "<p>", "<button>", "<nobr>", "</desc>", "</svg>", "<table>"),
)
"""Markup that changes how what follows is read, in families that act on each other."""

FRAGMENTS = (*FETCHING, *(piece for family in CONTEXT for piece in family))


def document(random: Random) -> str:
    """A random page of few families, so that they meet; some pieces are cut short, some in the other case."""
    pool = [piece for family in random.sample(CONTEXT, random.randint(1, 4)) for piece in family]
    pieces = [_piece(random, pool) for _ in range(random.randint(1, 16))]
    return _numbered("".join(pieces))


def _piece(random: Random, pool: list[str]) -> str:
    piece = random.choice(FETCHING if random.random() < 0.35 else pool).replace("§", random.choice(URLS))
    if random.random() < 0.06:
        piece = piece[: random.randint(0, len(piece))]
    return piece.swapcase() if "&" not in piece and random.random() < 0.06 else piece


def _numbered(page: str) -> str:
    first, *rest = page.split("@")
    return first + "".join(f"{number}{piece}" for number, piece in enumerate(rest))


def pages() -> st.SearchStrategy[bytes]:
    """Pages for hypothesis: the same fragments, so that what fails shrinks to the few that matter."""
    urls = st.sampled_from(URLS)
    fragments = st.builds(lambda piece, url: piece.replace("§", url), st.sampled_from(FRAGMENTS), urls)
    return st.lists(fragments, max_size=12).map(lambda pieces: _numbered("".join(pieces)).encode())


def chunked(page: bytes, cuts: list[int]) -> list[bytes]:
    """A page in pieces, cut at these places."""
    places = sorted({cut % (len(page) + 1) for cut in cuts})
    return [page[start:end] for start, end in zip([0, *places], [*places, len(page)], strict=True)]
