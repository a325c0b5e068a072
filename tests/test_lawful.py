"""The decision, as a table, and the rules that hold whatever stands in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from http_samples import CHOOSABLE, sample_policy
from hypothesis import given
from hypothesis import strategies as st

from cookiegate.consent import Consent, new_id, read, write
from cookiegate.lawful import REASONS, UNANSWERED, Standings, decide, is_expired
from cookiegate.policy import Basis, Period, Policy, Purpose, parse_policy
from cookiegate.signals import Signals

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = sample_policy()
SCOPES = POLICY.scopes
BOOLEANS = (False, True)


def consent(
    choices: dict[str, bool] | None = None, *, at: datetime = NOON, gpc: bool = False, dnt: bool = False
) -> Consent:
    answers = {"preferences": True, "analytics": True, "marketing": True} if choices is None else choices
    return Consent(new_id(), at, {SCOPES[purpose]: answer for purpose, answer in answers.items()}, gpc=gpc, dnt=dnt)


def reason(choice: Consent | None, *, now: datetime, policy: Policy = POLICY) -> str:
    return decide(policy, Signals(), choice, now).reason("analytics")


@pytest.mark.parametrize(
    ("answer", "then", "now", "expected"),
    [
        # what was chosen, the signals at that time, the signals now, what follows
        (None, "", "", "changed"),
        (None, "gpc dnt", "gpc dnt", "changed"),
        (False, "", "", "refused"),
        (False, "", "gpc dnt", "refused"),
        (False, "gpc dnt", "", "refused"),
        (True, "", "", "granted"),
        (True, "", "gpc", "gpc"),
        (True, "", "dnt", "dnt"),
        (True, "", "gpc dnt", "gpc"),
        (True, "gpc", "gpc", "granted"),
        (True, "dnt", "dnt", "granted"),
        (True, "gpc", "dnt", "dnt"),
        (True, "dnt", "gpc", "gpc"),
        (True, "gpc", "gpc dnt", "dnt"),
        (True, "gpc dnt", "gpc dnt", "granted"),
        (True, "gpc dnt", "", "granted"),
    ],
)
def test_a_choice_under_signals(answer: bool | None, then: str, now: str, expected: str) -> None:
    answers = {} if answer is None else {"analytics": answer}
    choice = consent(answers, gpc="gpc" in then, dnt="dnt" in then)
    ruling = decide(POLICY, Signals(gpc="gpc" in now, dnt="dnt" in now), choice, NOON).rulings["analytics"]
    assert ruling.reason == expected
    assert ruling.allowed == (expected == "granted")
    assert ruling.basis == (Basis.CONSENT if expected == "granted" else None)


@pytest.mark.parametrize("gpc", BOOLEANS)
@pytest.mark.parametrize("dnt", BOOLEANS)
def test_without_a_choice_only_the_necessary_is_allowed(gpc: bool, dnt: bool) -> None:
    verdict = decide(POLICY, Signals(gpc=gpc, dnt=dnt), None, NOON)
    assert verdict.allowed == {"necessary"}
    assert verdict.undecided, "a signal answers no question: the visitor may still want to"
    assert {verdict.reason(purpose) for purpose in CHOOSABLE} == {"unknown"}
    assert verdict.consent_id == ""


def test_what_is_necessary_needs_no_choice_and_survives_every_one() -> None:
    refused = consent(dict.fromkeys(CHOOSABLE, False))
    verdict = decide(POLICY, Signals(gpc=True, dnt=True), refused, NOON)
    assert verdict.allows("necessary")
    assert verdict.basis("necessary") is Basis.LEGITIMATE_INTERESTS
    assert verdict.reason("necessary") == "necessary"


def test_what_nobody_declared_is_not_allowed() -> None:
    verdict = decide(POLICY, Signals(), consent(), NOON)
    for purpose in ("statistics", "", "Analytics", "analytics "):
        assert not verdict.allows(purpose)
        assert verdict.basis(purpose) is None
        assert verdict.reason(purpose) == "undeclared"


def test_a_verdict_says_what_it_follows_from() -> None:
    choice = consent({"preferences": True, "analytics": False, "marketing": False})
    verdict = decide(POLICY, Signals(), choice, NOON)
    assert verdict.consent_id == choice.id
    assert verdict.policy_version == "2026-11-21"
    assert verdict.allowed == {"necessary", "preferences"}
    assert not verdict.undecided
    assert list(verdict.rulings) == [purpose.id for purpose in POLICY.purposes]


def test_a_purpose_on_another_basis_still_waits_for_the_choice() -> None:
    purposes = tuple(
        replace(purpose, basis=Basis.LEGITIMATE_INTERESTS) if purpose.id == "analytics" else purpose
        for purpose in POLICY.purposes
    )
    policy = replace(POLICY, purposes=purposes)
    assert not decide(policy, Signals(), None, NOON).allows("analytics")
    chosen = Consent(new_id(), NOON, {policy.scopes["analytics"]: True})
    assert decide(policy, Signals(), chosen, NOON).basis("analytics") is Basis.CONSENT


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lifetime", ["P6M", "P13M", "PT1H", "P1W"])
@pytest.mark.parametrize("answer", BOOLEANS)
def test_a_choice_ends_at_its_moment(lifetime: str, answer: bool) -> None:
    policy = replace(POLICY, consent=replace(POLICY.consent, lifetime=Period(lifetime)))
    choice = consent({"analytics": answer})
    end = Period(lifetime).after(NOON)
    before = "granted" if answer else "refused"
    second = timedelta(seconds=1)
    moments = [NOON, end - second, end - timedelta(microseconds=1), end, end + second]
    assert [reason(choice, now=now, policy=policy) for now in moments] == [before] * 3 + ["expired"] * 2
    assert [is_expired(policy, choice, now) for now in moments] == [False] * 3 + [True] * 2


def test_months_are_those_of_the_calendar() -> None:
    choice = consent(at=datetime(2026, 8, 31, 12, tzinfo=UTC))
    assert reason(choice, now=datetime(2027, 2, 28, 11, 59, 59, tzinfo=UTC)) == "granted"
    assert reason(choice, now=datetime(2027, 2, 28, 12, tzinfo=UTC)) == "expired"


def test_an_expired_choice_asks_again() -> None:
    verdict = decide(POLICY, Signals(), consent(at=NOON - timedelta(days=400)), NOON)
    assert verdict.undecided
    assert verdict.allowed == {"necessary"}


def test_no_choice_is_not_an_expired_one() -> None:
    assert not is_expired(POLICY, None, NOON)


# Change of the question -----------------------------------------------------------------------------------------------


def verdict_after(*replaced: tuple[str, str]) -> tuple[set[str], set[str]]:
    """Allowed and unanswered purposes of a visitor who allowed all under `POLICY`, after a change of it."""
    verdict = decide(sample_policy(*replaced), Signals(), consent(), NOON)
    unanswered = {purpose for purpose, ruling in verdict.rulings.items() if ruling.reason in UNANSWERED}
    return set(verdict.allowed), unanswered


def test_a_new_service_asks_again_for_its_purpose_alone() -> None:
    allowed, unanswered = verdict_after(('"youtube"]', '"youtube", "meta-pixel"]'))
    assert unanswered == {"marketing"}
    assert allowed == {"necessary", "preferences", "analytics"}


def test_a_service_that_goes_asks_again_too() -> None:
    allowed, unanswered = verdict_after(('services = ["google-analytics", "youtube"]', 'services = ["youtube"]'))
    assert unanswered == {"analytics"}
    assert allowed == {"necessary", "preferences", "marketing"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "Morrow Light"', 'name = "Another name"'),
        ('policy_version = "2026-11-21"', 'policy_version = "2027-01-01"'),
        ('lifetime = "P1Y"', 'lifetime = "P1Y"\ndescription = "Day or night."'),
        ("[usage]", '[[purpose]]\nid = "analytics"\ntitle = "Numbers"\ntext = "How many read what."\n\n[usage]'),
        ('services = ["google-analytics", "youtube"]', 'services = ["youtube", "google-analytics"]'),
    ],
)
def test_new_wording_asks_nobody_again(old: str, new: str) -> None:
    allowed, unanswered = verdict_after((old, new))
    assert unanswered == set()
    assert allowed == {"necessary", *CHOOSABLE}


def test_another_basis_asks_again() -> None:
    table = '[[purpose]]\nid = "analytics"\nbasis = "legitimate_interests"\n\n[usage]'
    assert verdict_after(("[usage]", table))[1] == {"analytics"}


def test_the_answers_of_another_site_answer_nothing() -> None:
    other = parse_policy(
        'services = ["matomo", "vimeo"]\n[site]\nname = "Other"\npolicy_version = "1"\n'
        '[controller]\nname = "Other"\nemail = "a@other.test"'
    )
    assert decide(other, Signals(), consent(), NOON).allowed == {"necessary"}


# Whatever the input ---------------------------------------------------------------------------------------------------

scopes = st.sampled_from([*SCOPES.values(), 7, 2**31 - 1])
consents = st.none() | st.builds(
    Consent,
    id=st.uuids().map(str),
    decided_at=st.datetimes(datetime(2025, 1, 1), datetime(2026, 11, 22), timezones=st.just(UTC)),  # noqa: DTZ001
    choices=st.dictionaries(scopes, st.booleans()),
    gpc=st.booleans(),
    dnt=st.booleans(),
)
signals = st.builds(Signals, gpc=st.booleans(), dnt=st.booleans(), country=st.sampled_from(["", "US", "DE"]))


@given(signals, consents)
def test_a_signal_only_ever_denies(said: Signals, choice: Consent | None) -> None:
    plain = decide(POLICY, replace(said, gpc=False, dnt=False), choice, NOON)
    for gpc in BOOLEANS:
        for dnt in BOOLEANS:
            more = replace(said, gpc=said.gpc or gpc, dnt=said.dnt or dnt)
            less = decide(POLICY, said, choice, NOON)
            assert decide(POLICY, more, choice, NOON).allowed <= less.allowed <= plain.allowed


@given(signals, consents)
def test_nothing_but_an_explicit_yes_allows(said: Signals, choice: Consent | None) -> None:
    verdict = decide(POLICY, said, choice, NOON)
    said_yes = {purpose for purpose, scope in SCOPES.items() if choice is not None and choice.choices.get(scope)}
    assert verdict.allowed <= {"necessary"} | said_yes


@given(signals, consents)
def test_a_verdict_is_coherent(said: Signals, choice: Consent | None) -> None:
    verdict = decide(POLICY, said, choice, NOON)
    for purpose, ruling in verdict.rulings.items():
        assert ruling.purpose == purpose
        assert ruling.reason in REASONS
        assert ruling.allowed == (ruling.basis is not None) == (ruling.reason in {"necessary", "granted"})
        assert verdict.allows(purpose) == (purpose in verdict.allowed) == ruling.allowed
    assert verdict.undecided == any(ruling.reason in UNANSWERED for ruling in verdict.rulings.values())


@given(signals, consents, st.timedeltas(timedelta(), timedelta(days=900)))
def test_time_grants_nothing(said: Signals, choice: Consent | None, later: timedelta) -> None:
    now, then = decide(POLICY, said, choice, NOON), decide(POLICY, said, choice, NOON + later)
    assert then.allowed <= now.allowed


def test_every_reason_is_documented() -> None:
    document = (Path(__file__).parents[1] / "docs" / "lawful.md").read_text("utf-8")
    assert [reason for reason in REASONS if f"| `{reason}` |" not in document] == []


# Remembered -----------------------------------------------------------------------------------------------------------

KEY = b"k" * 32
values = consents.map(lambda choice: "garbage" if choice is None else write(choice, [KEY]))


@given(st.data())
def test_what_is_remembered_is_what_would_be_decided(data: st.DataObject) -> None:
    """One memory asked again and again, at moments that go back and forth, for cookies good and bad."""
    standings = Standings(POLICY, [KEY], limit=2)
    known = data.draw(st.lists(values, min_size=1, max_size=4))
    for _ in range(data.draw(st.integers(1, 12))):
        sent = data.draw(st.lists(st.sampled_from(known), max_size=3))
        said = data.draw(signals)
        now = data.draw(st.datetimes(datetime(2024, 12, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
        standing = standings.of(sent, gpc=said.gpc, dnt=said.dnt, now=now)
        choices = [choice for value in sent if (choice := read(value, [KEY], now)) is not None]
        choice = max(choices, key=lambda one: one.decided_at, default=None)
        assert standing.consent == choice
        assert standing.verdict == decide(POLICY, said, choice, now)
        assert standing.allowed == standing.verdict.allowed


def test_a_remembered_choice_ends_at_its_moment() -> None:
    standings = Standings(POLICY, [KEY])
    value = write(consent(), [KEY])
    end = POLICY.consent.lifetime.after(NOON)
    moments = [NOON - timedelta(minutes=6), NOON, end - timedelta(microseconds=1), end, NOON]
    found = [standings.of([value], gpc=False, dnt=False, now=now).verdict.reason("analytics") for now in moments]
    assert found == ["unknown", "granted", "granted", "expired", "granted"]


def test_values_that_are_too_long_are_not_remembered() -> None:
    standings = Standings(POLICY, [KEY], limit=10)
    for number in range(50):
        standings.of([f"{number}" * 10_000], gpc=False, dnt=False, now=NOON)
    assert standings._verified.cache_info().currsize == 0


def test_a_site_with_nothing_to_ask_asks_nothing() -> None:
    policy = replace(POLICY, purposes=(Purpose("necessary", Basis.CONTRACT, necessary=True),), services=(), cookies=())
    assert not decide(policy, Signals(), None, NOON).undecided
