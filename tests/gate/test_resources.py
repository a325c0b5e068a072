"""From a URL to the service behind it: whose host, whose path, and who is asked before the browser may."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.gate.resources import UNFETCHABLE, Decider, Resources, Target, Withheld

from .support import PAGE, POLICY, RESOURCES, service, verdict

HOST = "www.site.example"

PLACES = {
    "/x": ("own", HOST, ""),
    "https://www.site.example:8443/": ("own", HOST, ""),
    "//site.example": ("own", "site.example", ""),
    "//deep.under.www.site.example": ("own", "deep.under.www.site.example", ""),
    "//static.site-cdn.example": ("own", "static.site-cdn.example", ""),
    "//x.static.site-cdn.example": ("own", "x.static.site-cdn.example", ""),
    "//site-cdn.example": ("undeclared", "site-cdn.example", ""),
    "//t.example/x": ("service", "t.example", "t"),
    "//a.b.t.example./x": ("service", "a.b.t.example", "t"),
    "//t.example.org": ("undeclared", "t.example.org", ""),
    "//xt.example": ("undeclared", "xt.example", ""),
    "//many.example/maps": ("service", "many.example", "maps"),
    "//many.example/maps/api?x": ("service", "many.example", "maps"),
    "//x.many.example/%6d%61ps/": ("service", "x.many.example", "maps"),
    "//many.example/mapsy": ("service", "many.example", "many"),
    "//many.example/a/../maps": ("service", "many.example", "maps"),
    "//k.example": ("service", "k.example", "k"),
    "wss://t.example": ("service", "t.example", "t"),
    "//127.0.0.1": ("undeclared", "127.0.0.1", ""),
    "//0x7f.1": ("undeclared", "127.0.0.1", ""),
    "//[::1]": ("undeclared", "[::1]", ""),
    "//localhost": ("undeclared", "localhost", ""),
    "//example": ("undeclared", "example", ""),
    "data:,x": ("local", "", ""),
    "javascript:x": ("local", "", ""),
    "about:blank": ("local", "", ""),
    "mailto:a@t.example": ("unfetchable", "", ""),
    "https://": ("unfetchable", "", ""),
    "//t.example:99999": ("unfetchable", "", ""),
    "//b\ufffdcher.example": ("undeclared", "?", ""),
    "/b\ufffdcher": ("own", HOST, ""),
}


@pytest.mark.parametrize(("reference", "place"), PLACES.items())
def test_where_a_reference_leads(reference: str, place: tuple[str, str, str]) -> None:
    target = RESOURCES.locate(reference, PAGE, HOST)
    assert (target.place, target.host, target.service.id if target.service else "") == place


def test_the_pages_own_host_needs_no_declaration() -> None:
    bare = Resources(replace(POLICY, site=replace(POLICY.site, hosts=())))
    assert bare.locate("//other.example/x", "https://other.example/", "other.example").place == "own"
    assert bare.locate("//sub.other.example/x", "https://other.example/", "other.example").place == "own"


def test_sites_of_one_public_suffix_are_strangers() -> None:
    assert RESOURCES.locate("//b.github.io", "https://a.github.io/", "a.github.io").place == "undeclared"


def test_a_declared_service_counts_on_the_sites_own_host_and_a_known_one_does_not() -> None:
    policy = replace(POLICY, services=(service("tagged", "marketing", "www.site.example/tags"),))
    resources = Resources(replace(policy, known=(service("known", "marketing", "www.site.example/known"),)))
    assert resources.locate("/tags/x.js", PAGE, HOST).service is not None
    assert resources.locate("/known/x.js", PAGE, HOST) == Target("own", HOST, url="https://www.site.example/known/x.js")
    decider = Decider(resources, verdict(), url=PAGE)
    assert decider.url("script", "/tags/x.js") == Withheld("script", HOST, "marketing", "tagged", "Tagged")
    assert decider.url("script", "tags/x.js") is None


@given(st.text(max_size=40))
def test_the_quick_way_agrees_with_the_exact_one(reference: str) -> None:
    """What is called plainly own leads to the site under any base of its own."""
    decider = Decider(RESOURCES, verdict(), url=PAGE)
    if decider.url("x", reference) is None:
        assert RESOURCES.locate(reference, PAGE, HOST).place in {"own", "local", "unfetchable"} or (
            RESOURCES.locate(reference, PAGE, HOST).service in {POLICY.service_by_id["n"], POLICY.service_by_id["many"]}
        )


@pytest.mark.parametrize(
    ("grants", "withheld"),
    [
        ((), Withheld("img", "t.example", "marketing", "t", "T")),
        (("analytics",), Withheld("img", "t.example", "marketing", "t", "T")),
        (("marketing",), None),
        (("all",), None),
    ],
)
def test_the_verdict_decides(grants: tuple[str, ...], withheld: Withheld | None) -> None:
    decider = Decider(RESOURCES, verdict(*grants), url=PAGE)
    assert decider.url("img", "//t.example/x") == withheld
    assert decider.urls("img", ["/a", "//n.example", "//t.example/x", "//a.example"]) in {
        withheld,
        decider.url("img", "//a.example"),
    }


CODE = {
    "t_track(1)": ["t"],
    "xt_track(1)": ["t"],
    "T_TRACK(1)": [],
    "'https://T.Example/a'": ["t"],
    "'sub.t.example'": ["t"],
    "'t.example.'": ["t"],
    "'//t.example:80/'": ["t"],
    "'\\x74.example'": ["t"],
    "'\\u0074.ex\\u{61}mple'": ["t"],
    "'%74.example'": ["t"],
    "'//many.example/maps/x'": ["maps"],
    "'//many.example\\/maps'": ["maps"],
    "'//many.example'": ["many"],
    "'my-t.example'": [],
    "'t.example-x'": [],
    "'t.example.org'": [],
    "'t' + '.example'": [],
    "k_init() // a.example": ["a", "k"],
}


@pytest.mark.parametrize(("text", "services"), CODE.items())
def test_whose_script_it_is(text: str, services: list[str]) -> None:
    assert sorted(service.id for service in RESOURCES.inline.read(text).services) == services


def test_code_is_judged_by_the_first_service_that_may_not() -> None:
    assert Decider(RESOURCES, verdict("marketing"), url=PAGE).code("x", "t_track(); '//a.example'") == Withheld(
        "x", "a.example", "analytics", "a", "A"
    )
    assert Decider(RESOURCES, verdict("all"), url=PAGE).code("x", "t_track(); '//a.example'") is None
    assert Decider(RESOURCES, verdict("all"), url=PAGE).code("x", "k_init()") == Withheld(
        "x", "k.example", "", "k", "K"
    )


def test_long_things_are_not_remembered() -> None:
    resources = Resources(POLICY)
    for number in range(50):
        resources.locate(f"data:image/png;base64,{number}" + "A" * 100_000, PAGE, HOST)
    assert resources._locate.cache_info().currsize == 0


def test_hosts_that_no_resolver_takes_are_judged_by_their_end() -> None:
    assert RESOURCES.locate("//" + "a." * 100_000 + "t.example", PAGE, HOST).service is not None
    assert RESOURCES.locate("//t.example" + ".a" * 100_000, PAGE, HOST).place in {"undeclared", "unfetchable"}
    assert RESOURCES.locate("//[", PAGE, HOST) is UNFETCHABLE


def test_it_may_be_shared_by_threads() -> None:
    resources, wrong = Resources(POLICY), []

    def ask(number: int) -> None:
        for turn in range(300):
            found = resources.inline.read(f"t_track({number * turn})").services
            if [service.id for service in found] != ["t"]:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
