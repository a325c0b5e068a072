"""Shapes of input that have made gates slow, each as a beginning, a part to repeat, and an end.

A ``#`` in the part stands for a number that is another each time.
"""

from __future__ import annotations

import time

from .support import scan

Shape = tuple[bytes, bytes, bytes]

SHAPES: dict[str, Shape] = {
    "text": (b"", b"text and more of it. ", b""),
    "ordinary tags": (b"", b'<p class="a">text</p>', b""),
    "open quoted attribute": (b'<a title="', b"x <b>'", b""),
    "open tags": (b"", b"<a ", b""),
    "open image tags": (b"", b"<img ", b""),
    "attributes of one tag": (b"<a ", b"b=c ", b">"),
    "attributes of one image": (b"<img ", b"b=c ", b">"),
    "styles of one tag": (b"<p ", b"style=a ", b">"),
    "denied attributes of one tag": (b"<img ", b"src=//t.example/1 ", b">"),
    "different handlers of one tag": (b"<p ", b"on#=k_init() ", b">"),
    "different attributes of one drawing": (b"<svg><g ", b"a#=url(//t.example/1) ", b">"),
    "different denied attributes": (b"<p ", b"data-#=a background=//t.example/1 ", b">"),
    "slashes of one tag": (b"<img ", b"/ ", b">"),
    "equals signs of one tag": (b"<img ", b"= ", b">"),
    "quotes of one tag": (b"<img ", b"'\"", b""),
    "unclosed tag names": (b"", b"<a", b""),
    "less-than signs": (b"", b"<", b""),
    "markup declarations": (b"", b"<!", b""),
    "end tag openings": (b"", b"</", b""),
    "processing instructions": (b"", b"<?", b""),
    "comment openings": (b"", b"<!--", b""),
    "unclosed comment": (b"<!--", b"> -> --x", b""),
    "dashes": (b"<!--", b"-", b""),
    "comments": (b"", b"<!---->", b""),
    "unclosed script": (b"<script>", b"if (a<b) c</d ", b""),
    "script in escapes": (b"<script>", b"<!--<script></script>-->", b""),
    "half-open scripts in escapes": (b"<script><!--", b"<script", b""),
    "unclosed style": (b"<style>", b"a<b</c ", b""),
    "unclosed noscript": (b"<noscript>", b"<a></b>", b""),
    "unclosed title": (b"<title>", b"</titl", b""),
    "unclosed textarea": (b"<textarea>", b"<a></b ", b""),
    "noscripts": (b"", b"<noscript><img src=//t.example/1></noscript>", b""),
    "noscripts within": (b"", b"<noscript>", b""),
    "nested svg": (b"", b"<svg>", b""),
    "nested svg, closed": (b"<svg>" * 20_000, b"</svg>", b""),
    "deep groups": (b"<svg>", b"<g>", b""),
    "groups closed by strangers": (b"", b"<svg><g></x>", b""),
    "deep integration points": (b"", b"<svg><desc>", b""),
    "deep HTML in SVG": (b"<svg><foreignObject>", b"<div>", b""),
    "end tags in SVG": (b"<svg><g>" * 100, b"</desc>", b""),
    "CDATA sections": (b"<svg>", b"<![CDATA[ > ]]>", b""),
    "CDATA openings": (b"<svg>", b"<![CDATA[", b""),
    "unclosed CDATA section": (b"<svg><![CDATA[", b"x > y ", b""),
    "CDATA openings, closed at last": (b"<svg>", b"<![CDATA[", b"><b>]]>"),
    "CDATA openings and tags": (b"<svg>", b"<![CDATA[><b>", b"]]>"),
    "CDATA in a doubtful place": (b"<select>", b"<![CDATA[", b""),
    "SVG titles": (b"<svg>", b"<title>x</title><style/>", b""),
    "selects": (b"", b"<select>", b""),
    "templates": (b"", b"<template>", b""),
    "character references": (b"<p style='", b"&amp;&amp&", b"'>"),
    "ampersands in an address": (b"<img src='/", b"&", b"'>"),
    "letters after an ampersand": (b"<img src='/&", b"a", b"'>"),
    "digits of a reference": (b"<img src='/&\x23", b"1", b"'>"),
    "hexadecimal digits of a reference": (b"<img src='/&\x23x", b"1", b"'>"),
    "srcset of many": (b"<img srcset='", b"//a.example/1 1x, ", b"'>"),
    "srcset of own": (b"<img srcset='", b"a 1x, ", b"'>"),
    "srcset of open parentheses": (b"<img srcset='", b"a (b ", b"'>"),
    "srcset of commas": (b"<img srcset='", b",", b"'>"),
    "srcset of spaces": (b"<img srcset='a", b" ", b"'>"),
    "host of many labels": (b"<img src='//", b"a.", b"'>"),
    "long host": (b"<img src='//", b"a", b"'>"),
    "long path": (b"<img src='//t.example", b"/a", b"'>"),
    "pings": (b"<a ping='", b"/a ", b"'>"),
    "refresh of spaces": (b"<meta http-equiv=refresh content='0", b" ", b"x'>"),
    "refresh of digits": (b"<meta http-equiv=refresh content='", b"1", b"x'>"),
    "refresh of url": (b"<meta http-equiv=refresh content='0;", b"url ", b"x'>"),
    "style attribute of escapes": (b"<p style='//", b"\\", b"'>"),
    "sheet of escapes": (b"<style>//", b"\\75 ", b"</style>"),
    "sheet of quotes": (b"<style>//", b"'\n", b"</style>"),
    "sheet of double quotes": (b"<style>//", b'"', b"</style>"),
    "sheet of open url": (b"<style>//", b"url(", b"</style>"),
    "sheet of url names": (b"<style>//", b"url", b"</style>"),
    "sheet of open url and spaces": (b"<style>//url(", b" ", b"</style>"),
    "sheet of comments": (b"<style>//", b"/*", b"</style>"),
    "sheet of stars": (b"<style>///*", b"*", b"</style>"),
    "sheet of imports": (b"<style>", b"@import 'a';", b"</style>"),
    "sheet of imports in a string": (b"<style>'", b"@import ", b"</style>"),
    "sheet of third parties": (b"<style>", b"a{b:url(//t.example/1)}", b"</style>"),
    "sheet of spaces before a string": (b"<style>//", b" '=", b"</style>"),
    "sheet of slashes": (b"<style>", b"/ ", b"</style>"),
    "sheet of half a scheme": (b"<style>", b"h t ", b"</style>"),
    "script of word characters": (b"<script>", b"abcdef0123", b"</script>"),
    "script of labels": (b"<script>", b"a.", b"</script>"),
    "script of dots": (b"<script>", b".", b"</script>"),
    "script of hosts": (b"<script>", b"a.example.org ", b"</script>"),
    "script of escapes": (b"<script>", b"\\x2f%2f", b"</script>"),
    "script of backslashes": (b"<script>", b"\\", b"</script>"),
    "script of frames": (b"<script>", b"<iframe '//a ", b"</script>"),
    "script of frames and addresses": (b"<script>", b"'iframe' '//a.example/", b"</script>"),
    "script of locations": (b"<script>", b"location.href=", b"</script>"),
    "script of quotes and slashes": (b"<script>'iframe'", b"'//", b"</script>"),
    "script of open brackets": (b"<script>", b"window[", b"</script>"),
    "script of spaces": (b"<script>'iframe'=", b" ", b"</script>"),
    "import map": (b"<script type=importmap>", b"[", b"</script>"),
    "speculation rules": (b'<script type=speculationrules>{"a":', b"[", b"</script>"),
    "data frame": (b"<iframe src='data:text/html,", b"<p>//", b"'></iframe>"),
    "data frame in base64": (b"<iframe src='data:text/html;base64,", b"AAAA", b"'></iframe>"),
    "frame in a frame": (b"<iframe srcdoc='", b"<iframe srcdoc=&quot;", b"'></iframe>"),
    "fill of parentheses": (b"<svg><a fill='", b"url(", b"'>"),
    "values of an animation": (b"<svg><set to='", b"//a;", b"'>"),
    "bases": (b"", b"<base href=/a><img src=//t.example/1>", b""),
    "different bases": (
        b"",
        b"<base href=//www.site.example/><base href=/b><base href=/c><img src=//t.example/1>",
        b"",
    ),
}


def _numbered(part: bytes, times: int) -> bytes:
    return b"".join(part.replace(b"#", b"%x" % number) for number in range(times))


def seconds(shape: Shape, *, size: int, piece: int | None) -> float:
    """Processor seconds for a page of a shape and of about ``size`` bytes, whole or in pieces of ``piece`` bytes."""
    start, part, end = shape
    number = size // len(part)
    page = start + (part * number if b"#" not in part else _numbered(part, number)) + end
    pieces = None if piece is None else [page[at : at + piece] for at in range(0, len(page), piece)]
    began = time.process_time()
    scan(page, pieces=pieces)
    return time.process_time() - began
