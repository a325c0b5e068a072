"""The whole path over real sockets: uvicorn in a process of its own, several workers, bad clients, bad disks."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from http_samples import CHOOSABLE, FIREFOX, Served, served

from cookiegate.store import Store, open_store

CHOICES = "/_privacy/choices"
FORM = {"sec-fetch-site": "same-origin"}


@contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """The store a server left."""
    store = open_store(folder / "cookiegate.db", clock=lambda: datetime.now(UTC), create=False)
    try:
        yield store
    finally:
        store.close()


def choose(browser: httpx.Client, choice: str, *purposes: str) -> httpx.Response:
    data = {"choice": choice, "purpose": list(purposes), "return_to": "/plain"}
    return browser.post(CHOICES, data=data, headers=FORM)


def allowed(browser: httpx.Client) -> set[str]:
    return set(browser.get("/echo").json()["allowed"]) - {"necessary"}


def raw(server: Served, request: bytes) -> bytes:
    """What a server answers to bytes on a socket, up to its closing it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests that leave nothing behind."""
    with served(tmp_path_factory.mktemp("server")) as running:
        yield running


def test_a_visit_from_first_page_to_withdrawal(server: Served) -> None:
    with server.browser() as browser:
        first = browser.get("/")
        assert 'value="accept"' in first.text
        assert [cookie.name for cookie in browser.cookies.jar] == ["sid"]
        answer = choose(browser, "save", "analytics")
        assert (answer.status_code, answer.headers["location"]) == (303, "/plain")
        assert " src=" in browser.get("/").text
        assert set(browser.cookies) == {"sid", "cg_consent", "_ga"}
        choose(browser, "reject")
        assert set(browser.cookies) == {"sid", "cg_consent"}
        assert allowed(browser) == set()


@pytest.mark.parametrize("size", [17_000, 10_000_000])
def test_a_form_that_is_too_large_is_told_so(server: Served, size: int) -> None:
    with server.browser() as browser:
        answer = browser.post(CHOICES, data={"choice": "accept", "return_to": "/" + "a" * size}, headers=FORM)
        assert answer.status_code == 413
        assert "less than 16384 bytes" in answer.text
        assert allowed(browser) == set()


def test_a_form_without_end_is_not_read_to_its_end(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = f"POST {CHOICES} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(66):
            connection.sendall(b"a" * (1 << 20))
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "request_lines",
    [
        "GET //evil.example/ HTTP/1.1\r\nHost: site.test",
        "GET /plain?q=a\\b HTTP/1.1\r\nHost: site.test",
        "GET /plain HTTP/1.1\r\nHost: site.test\r\nCookie: cg_consent=\xff\xfe; =; ;;",
        "GET /plain HTTP/1.1\r\nHost: :80",
        "GET /plain HTTP/1.1\r\nHost: site.test\r\nReferer: http://[bad",
        "GET /plain HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: [::1, x\r\nX-Country: ]",
        "GET /plain HTTP/1.0",
        "GET /plain HTTP/1.1\r\nHost: site.test\r\nAccept-Language: " + "a-" * 5000,
        "GET /" + "@" * 5000 + " HTTP/1.1\r\nHost: site.test",
    ],
)
def test_odd_requests_get_their_page(server: Served, request_lines: str) -> None:
    answer = raw(server, f"{request_lines}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Hello" in answer


def test_odd_requests_do_not_fall_over(server: Served) -> None:
    """Random bytes in every header the gate reads: whatever the server lets through gets an answer below 500."""
    generator = random.Random(7)
    names = ["Host", "Cookie", "Referer", "User-Agent", "Accept-Language", "X-Forwarded-For", "Sec-GPC", "Origin"]
    for _ in range(150):
        lines = [
            f"{name}: {''.join(chr(generator.choice([9, *range(32, 256)])) for _ in range(generator.randint(0, 40)))}"
            for name in generator.sample(names, 4)
        ]
        path = generator.choice(["/plain", "/_privacy", CHOICES, "/echo"])
        method = generator.choice(["GET", "POST", "HEAD"])
        text = f"{method} {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\nConnection: close\r\n\r\n"
        answer = raw(server, text.encode("latin-1"))
        status = re.match(rb"HTTP/1\.1 ([1-4])\d\d", answer)
        assert status is not None, (text, answer[:200])


def test_no_header_can_be_injected(server: Served) -> None:
    for target in ("/x%0d%0aSet-Cookie:%20evil=1", "/x\r\nSet-Cookie: evil=1", "/%E5%98%8A%E5%98%8DSet-Cookie:evil"):
        with server.browser() as browser:
            answer = browser.post(CHOICES, data={"choice": "accept", "return_to": target}, headers=FORM)
            assert not any(value.startswith("evil") for value in answer.headers.get_list("set-cookie"))
            assert "evil" not in browser.cookies


def test_the_first_byte_leaves_before_the_last_is_made(server: Served) -> None:
    with server.browser() as browser, browser.stream("GET", "/stream?sleep=0.5") as answer:
        started = time.perf_counter()
        pieces = answer.iter_bytes()
        assert b"first" in next(pieces)
        assert time.perf_counter() - started < 0.3
        assert b"last" in b"".join(pieces)
        assert time.perf_counter() - started > 0.4


def test_a_failing_page_is_a_failing_page(server: Served) -> None:
    with server.browser() as browser:
        assert browser.get("/early-failure").status_code == 500
        with pytest.raises(httpx.TransportError):
            browser.get("/late-failure")
        assert browser.get("/plain").status_code == 200


def test_head_over_a_socket(server: Served) -> None:
    with server.browser() as browser:
        for path in ("/plain", "/_privacy", "/stream"):
            assert browser.head(path).status_code == 200
            assert browser.get("/echo").status_code == 200, "the connection is still in step"


# Several workers ------------------------------------------------------------------------------------------------------

VISITORS, VIEWS = 24, 4


def visit(server: Served, number: int) -> tuple[str, str]:
    """One visitor whose every request is a new connection, and so goes to either worker."""
    choice = ("accept", "reject", "save")[number % 3]
    granted = {"accept": set(CHOOSABLE), "reject": set(), "save": {"analytics"}}[choice]
    with server.browser(connection="close") as browser:
        answer = choose(browser, choice, *(["analytics"] if choice == "save" else []))
        assert answer.status_code == 303
        for _ in range(VIEWS):
            assert browser.get(f"/people/visitor-{number}").status_code == 200
            assert allowed(browser) == granted
        return choice, browser.cookies["cg_consent"]


def test_two_workers_on_one_file(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2", "--no-access-log") as server:
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda number: visit(server, number), range(VISITORS)))
        assert server.stop() in {0, -15}
    assert len(re.findall("Started server process", (tmp_path / "server.log").read_text())) == 2
    with reading(tmp_path) as store:
        records = list(store.consents())
        assert Counter(record.method for record in records) == Counter(choice for choice, _ in seen)
        assert len({record.consent_id for record in records}) == len({cookie for _, cookie in seen}) == VISITORS
        rows = list(store.usage())
        recorded = [choice for choice, _ in seen].count("accept") + [choice for choice, _ in seen].count("save")
        assert len(rows) == recorded * VIEWS
        assert set(Counter(row.path for row in rows).values()) == {VIEWS}
        sums = store.sums()
        assert (sums.views, sums.detailed, sums.undecided) == (VISITORS * VIEWS, recorded * VIEWS, 0)
        assert [(page.name, page.views) for page in sums.pages] == [("/people/{name}", VISITORS * VIEWS)]
        assert len({row.visit_id for row in rows}) == 1, "one address, one browser, one day: one visit, in any worker"


# The end --------------------------------------------------------------------------------------------------------------


def test_a_clean_stop_loses_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with server.browser() as browser:
            choose(browser, "accept")
            for _ in range(30):
                browser.get("/plain")
        server.stop()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cookiegate.db", "server.log"]
    with reading(tmp_path) as store:
        assert (store.count_consents(), store.count_usage(), store.sums().views) == (1, 30, 30)


def test_kill_loses_no_choice_that_was_answered(tmp_path: Path) -> None:
    answered = 0
    with served(tmp_path) as server:
        with server.browser() as browser:
            for number in range(10):
                answered += choose(browser, ("accept", "reject")[number % 2]).status_code == 303
        server.kill()
    with reading(tmp_path) as store:
        assert store.count_consents() == answered == 10
    with served(tmp_path) as server, server.browser() as browser:
        assert choose(browser, "accept").status_code == 303, "the next process goes on with the same store"


def test_a_consent_outlives_the_process(tmp_path: Path) -> None:
    with served(tmp_path) as server, server.browser() as browser:
        choose(browser, "save", "analytics")
        cookie = browser.cookies["cg_consent"]
        server.stop()
    with served(tmp_path) as server, server.browser(cookie=f"cg_consent={cookie}") as browser:
        assert allowed(browser) == {"analytics"}


# Disks ----------------------------------------------------------------------------------------------------------------


def hold_out(browser: httpx.Client) -> None:
    """A visitor whose consent cannot be kept: told so, granted nothing, and free to refuse."""
    answer = choose(browser, "accept")
    assert answer.status_code == 503
    assert "could not be saved" in answer.text
    assert answer.headers.get_list("set-cookie") == []
    assert allowed(browser) == set()
    assert browser.get("/plain").status_code == 200
    refusal = choose(browser, "reject")
    assert refusal.status_code == 503
    assert browser.get("/echo").json()["reasons"]["analytics"] == "refused"
    assert 'value="accept"' not in browser.get("/plain").text, "and is not asked again"


def test_a_full_disk(tmp_path: Path) -> None:
    with served(tmp_path, ROOM="200000") as server:
        statuses: list[int] = []
        with server.browser() as browser:
            while len(statuses) < 1500 and statuses[-3:] != [503] * 3:
                statuses.append(choose(browser, "accept").status_code)
        assert set(statuses) == {303, 503}
        with server.browser() as browser:
            hold_out(browser)
        server.kill()
    assert "the disk" in (tmp_path / "server.log").read_text()
    with reading(tmp_path) as store:
        kept = store.count_consents()
        assert statuses.count(303) <= kept <= statuses.count(303) + 2, "all that were answered, no other acknowledged"


def test_a_store_that_may_only_be_read(tmp_path: Path) -> None:
    with served(tmp_path, under=as_everyone()) as server:
        modes = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.iterdir())}
        for path, mode in modes.items():
            path.chmod(mode & 0o555)
        try:
            with server.browser() as browser:
                hold_out(browser)
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        with server.browser() as browser:
            assert choose(browser, "accept").status_code == 303, "it goes on when it may write again"
        server.stop()
    assert "let this user write" in (tmp_path / "server.log").read_text()
    with reading(tmp_path) as store:
        assert store.count_consents() == 1


def as_everyone() -> tuple[str, ...]:
    """A command under which even root has to mind the modes of files."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may write to any file, and setpriv (util-linux) is not here to prevent it")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_the_user_agent_is_a_browsers() -> None:
    assert "Firefox" in FIREFOX, "a bot would be recorded nowhere, and these tests would pass for that"
