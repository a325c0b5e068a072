"""The consent cookie's value: it holds what was chosen, and whatever else is sent is no consent."""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cookiegate import consent as consents
from cookiegate.consent import MAX_ENTRIES, Consent, cookie_name, new_id, read, write

KEY, OTHER = b"k" * 32, b"o" * 32
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CHOSEN = Consent(new_id(), NOON, {1: True, 2**31 - 1: False}, gpc=True)
VALUE = write(CHOSEN, [KEY])

choices = st.builds(
    Consent,
    id=st.uuids().map(str),
    decided_at=st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    choices=st.dictionaries(st.integers(0, 2**31 - 1), st.booleans(), max_size=MAX_ENTRIES),
    gpc=st.booleans(),
    dnt=st.booleans(),
)
keys = st.binary(min_size=16, max_size=80)


@given(choices, keys)
def test_what_is_written_is_read(chosen: Consent, key: bytes) -> None:
    assert read(write(chosen, [key]), [key], chosen.decided_at) == chosen


@given(choices, keys)
def test_the_value_can_stand_in_a_cookie_and_is_small(chosen: Consent, key: bytes) -> None:
    value = write(chosen, [key])
    assert set(value) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(value) <= 52 + 6 * len(chosen.choices)


def test_the_size_of_an_ordinary_cookie() -> None:
    three = write(Consent(new_id(), NOON, {1: True, 2: False, 3: True}), [KEY])
    assert len(f"{cookie_name(secure=True)}={three}") == 85


@given(st.integers(0, len(VALUE) - 1), st.characters())
def test_no_character_can_be_changed(position: int, character: str) -> None:
    changed = VALUE[:position] + character + VALUE[position + 1 :]
    assert (read(changed, [KEY], NOON) is None) == (changed != VALUE)


@given(st.data())
def test_no_bit_can_be_changed(data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(VALUE + "=" * (-len(VALUE) % 4)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert read(base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), [KEY], NOON) is None


@pytest.mark.parametrize("end", range(len(VALUE)))
def test_a_truncated_value_is_none(end: int) -> None:
    assert read(VALUE[:end], [KEY], NOON) is None
    assert read(VALUE[end + 1 :], [KEY], NOON) is None


@given(st.text(min_size=1, max_size=20))
@example("=")
@example("AAAA")
@example("\n")
def test_an_extended_value_is_none(more: str) -> None:
    assert read(VALUE + more, [KEY], NOON) is None
    assert read(more + VALUE, [KEY], NOON) is None


def test_only_one_spelling_of_the_bytes_is_read() -> None:
    spellings = 0
    for number in range(200):
        value = write(Consent(new_id(), NOON, {number: True}), [KEY])
        spellings += "-" in value or "_" in value
        assert read(value, [KEY], NOON) is not None
        if value != (standard := value.replace("-", "+").replace("_", "/")):
            assert read(standard, [KEY], NOON) is None
    assert spellings, "some value must have tried it"


@given(st.text(max_size=120))
@example("")
@example("é" * 60)
@example("\x00" * 60)
@example("\ud800")
@example("A" * 51)
@example("A" * 100_000)
def test_garbage_is_none(value: str) -> None:
    assert read(value, [KEY], NOON) is None


@given(choices, keys, keys)
def test_another_key_reads_nothing(chosen: Consent, key: bytes, other: bytes) -> None:
    result = read(write(chosen, [key]), [other], chosen.decided_at)
    assert (result is None) == (key != other)


def test_all_of_a_long_key_counts() -> None:
    value = write(CHOSEN, [b"a long secret that was typed by someone, 2025"])
    assert read(value, [b"a long secret that was typed by someone, 2026"], NOON) is None


def test_keys_can_be_rotated() -> None:
    old, new = write(CHOSEN, [KEY]), write(CHOSEN, [KEY, OTHER])
    assert old != new, "the newest key signs"
    assert read(old, [KEY, OTHER], NOON) == read(new, [KEY, OTHER], NOON) == CHOSEN
    assert read(new, [KEY], NOON) is None, "a process that lacks the new key must not trust it"
    assert read(old, [OTHER], NOON) is None, "a retired key signs no more"


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_none(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents, "VERSION", version)
    value = write(CHOSEN, [KEY])
    monkeypatch.undo()
    assert read(value, [KEY], NOON) is None


@pytest.mark.parametrize(
    ("ahead", "accepted"),
    [(timedelta(0), True), (timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False)],
)
def test_a_choice_from_the_future_is_none(ahead: timedelta, accepted: bool) -> None:
    value = write(Consent(new_id(), NOON + ahead, {1: True}), [KEY])
    assert (read(value, [KEY], NOON) is not None) == accepted


def test_the_end_of_time_is_read() -> None:
    value = write(Consent(new_id(), datetime.fromtimestamp(2**32 - 1, UTC), {1: True}), [KEY])
    assert read(value, [KEY], NOON) is None
    assert read(value, [KEY], datetime(2200, 1, 1, tzinfo=UTC)) is not None


def test_as_many_answers_as_a_choice_can_hold() -> None:
    most = Consent(new_id(), NOON, dict.fromkeys(range(MAX_ENTRIES), True))
    assert read(write(most, [KEY]), [KEY], NOON) == most
    with pytest.raises(ValueError, match="65 answers are more than the 64"):
        write(Consent(new_id(), NOON, dict.fromkeys(range(MAX_ENTRIES + 1), True)), [KEY])


def test_the_wire_form_is_the_documented_one() -> None:
    raw = base64.urlsafe_b64decode(VALUE + "=" * (-len(VALUE) % 4))
    assert raw[:1] == b"\x01"
    assert UUID(bytes=raw[1:17]) == UUID(CHOSEN.id)
    assert struct.unpack(">IB", raw[17:22]) == (int(NOON.timestamp()), 1)
    assert struct.unpack(">II", raw[22:-16]) == (1 << 1 | 1, (2**31 - 1) << 1)


def test_the_name_is_bound_to_the_host_where_it_can_be() -> None:
    assert cookie_name(secure=True) == "__Host-cg_consent"
    assert cookie_name(secure=False) == "cg_consent"


def test_ids_are_random() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert {UUID(one).version for one in ids} == {4}
