"""What a consent change means: examples, and properties over random sequences of changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.decisions.chain import DecisionRow, Link, Verifier, beginning, row_hash
from consent.decisions.collected import ConsentChange, Entry, analytics_visitor_id
from consent.decisions.counting import counted_hour, types_text
from consent.decisions.decide import (
    Decision,
    Rules,
    TypeState,
    VisitorState,
    decide_consent,
    valid_types,
)
from consent.decisions.known import zone_of
from consent.forms.consent_types import CONSENT_TYPES
from consent.forms.settings import may_collect

APP = "01234567-89ab-cdef-0123-456789abcdef"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TWO = ("analytics", "remarketing")
RULES = Rules(TWO, is_gpc_honoured=True, valid_for=timedelta(days=365))


def _change(consents: dict[str, int], **members: Any) -> ConsentChange:
    entries = {name: Entry(status, None) for name, status in consents.items()}
    return ConsentChange(APP, APP, "shop.example", entries, **members)


def _state(**statuses: int) -> VisitorState:
    moment = NOW - timedelta(days=1)
    return VisitorState(
        {name: TypeState(status, moment) for name, status in statuses.items()}, "", moment, moment
    )


def _decide(
    visitor: VisitorState, consents: dict[str, int], rules: Rules = RULES, **members: Any
) -> Decision:
    found = decide_consent(visitor, _change(consents, **members), rules, NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("asked", "consents", "scope"),
    [
        (TWO, {"analytics": 1, "remarketing": 1}, 1),
        (TWO, {"analytics": 1, "remarketing": 0}, 2),
        (TWO, {"analytics": 1, "remarketing": -1}, 2),
        (TWO, {"analytics": 1}, 2),
        (TWO, {"analytics": 0, "remarketing": -1}, 3),
        (("analytics",), {"analytics": 1, "remarketing": 0}, 1),
        (("analytics",), {"analytics": 0, "remarketing": 1}, 3),
        ((), {"analytics": 1}, 1),
    ],
)
def test_scope_is_over_the_types_asked_for_now(
    asked: tuple[str, ...], consents: dict[str, int], scope: int
) -> None:
    assert _decide(VisitorState(), consents, RULES._replace(asked_types=asked)).scope == scope


def test_scope_is_over_the_merged_settings() -> None:
    assert _decide(_state(analytics=1), {"remarketing": 1}).scope == 1


@pytest.mark.parametrize(
    ("before", "action"),
    [
        (VisitorState(), 1),
        (_state(analytics=-1), 1),
        (_state(analytics=0), 2),
        (_state(remarketing=1), 2),
    ],
)
def test_the_first_decision_is_the_first_zero_or_one(before: VisitorState, action: int) -> None:
    assert _decide(before, {"analytics": 1}).action == action


def test_saving_identical_choices_again_is_a_change() -> None:
    assert _decide(_state(analytics=1), {"analytics": 1}).action == 2


def test_an_expired_decision_counts_as_none() -> None:
    rules = RULES._replace(valid_for=timedelta(hours=23))
    decision = _decide(_state(analytics=1, remarketing=1), {"analytics": 1}, rules)
    assert (decision.action, decision.scope) == (1, 2)
    assert decision.state.types.keys() == {"analytics"}
    for_ever = RULES._replace(valid_for=None)
    assert _decide(_state(analytics=1, remarketing=1), {"analytics": 1}, for_ever).scope == 1
    types = {"analytics": TypeState(1, NOW)}
    assert valid_types(types, timedelta(days=1), NOW + timedelta(days=1)) == {}
    assert valid_types(types, timedelta(days=1), NOW + timedelta(hours=23)) == types


def test_global_privacy_control_rejects_what_is_undecided_once() -> None:
    first = _decide(VisitorState(), {"analytics": -1, "remarketing": -1}, is_gpc_signalled=True)
    assert {name: one.status for name, one in first.state.types.items()} == {
        "analytics": -1,
        "remarketing": 0,
        "conversion_tracking": 0,
    }
    assert first.gpc_types == {"remarketing", "conversion_tracking"}
    assert (first.is_recorded, first.is_counted, first.scope) == (True, False, None)
    again = _change({"analytics": -1, "remarketing": -1}, is_gpc_signalled=True)
    assert decide_consent(first.state, again, RULES, NOW + timedelta(days=1)) is None


def test_an_explicit_approval_wins_over_the_signal_before_and_later() -> None:
    given_before = _decide(_state(remarketing=1), {"analytics": 0}, is_gpc_signalled=True)
    assert given_before.state.types["remarketing"].status == 1
    signalled = _decide(VisitorState(), {"analytics": -1}, is_gpc_signalled=True)
    later = _decide(signalled.state, {"analytics": 0, "remarketing": 1}, is_gpc_signalled=True)
    assert later.state.types["remarketing"] == TypeState(1, NOW)
    assert (later.action, later.gpc_types) == (1, {"conversion_tracking"})
    kept = decide_consent(later.state, _change({"remarketing": 0}, method="gpc"), RULES, NOW)
    assert kept is None


def test_a_page_may_report_the_signal_itself() -> None:
    change = {"analytics": -1, "remarketing": 0, "conversion_tracking": 0}
    decision = _decide(VisitorState(), change, method="gpc")
    assert decision.consents.keys() == {"remarketing", "conversion_tracking"}
    assert (decision.is_recorded, decision.is_counted) == (True, False)
    switched_off = RULES._replace(is_gpc_honoured=False)
    change_off = _change(change, method="gpc")
    assert decide_consent(VisitorState(), change_off, switched_off, NOW) is None
    ignored = _decide(VisitorState(), {"analytics": 1}, switched_off, is_gpc_signalled=True)
    assert ignored.consents.keys() == {"analytics"}


CHANGES = st.builds(
    lambda consents, minutes, has_id, method, is_signalled: (
        _change(
            consents,
            decision_id=APP if has_id else None,
            method=method,
            is_gpc_signalled=is_signalled,
        ),
        timedelta(minutes=minutes),
    ),
    st.dictionaries(st.sampled_from(CONSENT_TYPES), st.sampled_from((-1, 0, 1)), min_size=1),
    st.integers(-5, 5),
    st.booleans(),
    st.sampled_from((None, "save", "gpc")),
    st.booleans(),
)


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(CHANGES, max_size=12), is_honoured=st.booleans())
def test_properties_of_any_sequence(
    *, changes: list[tuple[ConsentChange, timedelta]], is_honoured: bool
) -> None:
    rules = Rules(TWO, is_honoured, timedelta(days=1))
    visitor, now = VisitorState(), NOW
    for change, offset in changes:
        now += timedelta(seconds=1)
        sent = change._replace(decided_at=now + offset)
        decision = decide_consent(visitor, sent, rules, now)
        if decision is None:
            continue
        assert decision.decided_at <= now
        assert decision.is_late == (
            visitor.last_decided_at is not None and decision.decided_at < visitor.last_decided_at
        )
        if decision.is_late:
            assert decision.state.types == visitor.types
        else:
            for name, entry in decision.consents.items():
                assert decision.state.types[name].status == entry.status
            kept = visitor.types.keys() - decision.consents.keys()
            assert all(decision.state.types[name] == visitor.types[name] for name in kept)
        assert decision.is_counted == (decision.scope is not None) == (decision.action is not None)
        assert decision.is_recorded or not decision.is_counted
        assert not (decision.is_counted and decision.is_undecided)
        approved = [n for n in TWO if n in decision.after and decision.after[n].status == 1]
        if decision.is_counted:
            assert decision.scope == {0: 3, 1: 2, 2: 1}[len(approved)]
        if not is_honoured:
            assert not decision.gpc_types
        assert all(decision.consents[name].status == 0 for name in decision.gpc_types)
        visitor = decision.state
        if change.decision_id is None and not decision.is_late and change.method != "gpc":
            assert decide_consent(visitor, change, rules, now + timedelta(seconds=5)) is None


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        (None, None),
        ("", None),
        (f"_pk_id.{APP}.1fff=0123456789ABCDEF.1.2.3.4.", "0123456789abcdef"),
        (f"a=b;_pk_id.{APP}.1fff=0123456789abcdef", "0123456789abcdef"),
        (
            f"_pk_id.{APP}.1=1111111111111111.1.1.5.; _pk_id.{APP}.2=2222222222222222.1.1.7.",
            "2222222222222222",
        ),
        (
            f"_pk_id.{APP}.1=1111111111111111.1.1.9.; _pk_id.{APP}.2=2222222222222222",
            "1111111111111111",
        ),
        (f"_pk_id.{APP}.1=xyz.1.1.9.", None),
        (f"_pk_id.{APP}=0123456789abcdef", None),
        ("_pk_id.61.5596=0123456789abcdef", None),
        (f"x_pk_id.{APP}.1=0123456789abcdef", None),
        (f"_pk_id.{APP}.1=0123456789abcdef.1.1.{'9' * 5000}.", "0123456789abcdef"),
    ],
)
def test_the_analytics_id_of_a_cookie_string(cookies: str | None, expected: str | None) -> None:
    assert analytics_visitor_id(cookies, APP) == expected


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("a.b.example.com", True),
        ("a.example.com", True),
        ("example.com", False),
        ("evilexample.com", False),
        (".example.com", False),
        ("shop.example", True),
        ("a.shop.example", False),
        ("shop.example.evil", False),
        ("", False),
    ],
)
def test_origins(hostname: str, *, expected: bool) -> None:
    assert may_collect(("*.example.com", "shop.example"), hostname) is expected
    assert may_collect((), hostname)


def test_hours_follow_the_apps_clocks() -> None:
    moment = datetime(2026, 3, 1, 12, 40, 5, tzinfo=UTC)
    assert counted_hour(moment, zone_of("Asia/Kolkata")) == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert counted_hour(moment, zone_of("UTC")) == datetime(2026, 3, 1, 12, tzinfo=UTC)
    types = {"analytics": TypeState(1, NOW), "remarketing": TypeState(-1, NOW)}
    assert types_text(types) == "1------"


def _links(count: int) -> list[Link]:
    links: list[Link] = []
    previous = beginning(APP)
    for number in range(1, count + 1):
        consents = {"analytics": {"status": number % 2}}
        row = DecisionRow(
            str(number), b"hash", NOW, NOW, consents, "h", 1, 1, None, None, None, is_late=False
        )
        links.append(Link(number, previous, row_hash(row, previous), row))
        previous = links[-1].row_hash
    return links


def test_an_untouched_chain_has_no_fault() -> None:
    links, verifier = _links(5), Verifier(APP)
    assert verifier.walk(links[:3]) is None
    assert verifier.walk(links[3:]) is None
    assert verifier.end(5, links[-1].row_hash) is None
    other = Verifier("another app")
    fault = other.walk(links)
    assert fault is not None
    assert (fault.sequence, fault.kind) == (1, "reordered")


@pytest.mark.parametrize(
    ("tamper", "sequence", "kind"),
    [
        (lambda rows: rows.pop(2), 3, "missing"),
        (lambda rows: rows.pop(0), 1, "missing"),
        (lambda rows: rows.pop(), 5, "missing"),
        (lambda rows: rows.clear(), 1, "missing"),
        (lambda rows: rows.insert(2, rows[2]._replace(previous_hash=b"x")), 3, "altered"),
        (lambda rows: rows.__setitem__(1, _links(9)[7]._replace(sequence=2)), 2, "reordered"),
    ],
)
def test_the_first_fault_is_named(tamper: Any, sequence: int, kind: str) -> None:
    links = _links(5)
    end = links[-1].row_hash
    tamper(links)
    verifier = Verifier(APP)
    fault = verifier.walk(links) or verifier.end(5, end)
    assert fault is not None
    assert (fault.sequence, fault.kind) == (sequence, kind)


def test_swapped_rows_are_reordered() -> None:
    links = _links(5)
    swapped = [
        *links[:1],
        links[2]._replace(sequence=2),
        links[1]._replace(sequence=3),
        *links[3:],
    ]
    fault = Verifier(APP).walk(swapped)
    assert fault is not None
    assert (fault.sequence, fault.kind) == (2, "reordered")
