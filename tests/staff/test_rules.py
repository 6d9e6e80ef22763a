"""What a vote and a set of votes mean, and every cell of who may do what; no database."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.kernel.errors import Refusal
from app.plumbing import web
from app.staff import (
    RIGHTS,
    Approval,
    ApprovalClosed,
    ApprovalExpired,
    ApprovalId,
    ApprovalKind,
    ApprovalState,
    BadOperator,
    BadReason,
    Ballot,
    ContentChanged,
    NewOperator,
    NotPermitted,
    Operator,
    OperatorDisabled,
    OperatorId,
    OwnRequest,
    Right,
    Role,
    Verdict,
    Vote,
    VotedAlready,
    merchant_actor,
    player_actor,
    require,
)
from app.staff.model import FINAL, NEXT, RIGHT_TO_VOTE
from app.staff.rules import admit, check_new, check_reasons, content_hash, standing
from tests.conftest import ROOT

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
CONTENT = {"amount_minor": 100, "currency": "KZT"}
# Who may what, as a person would draw it: payments.md section 4. x = may.
MATRIX = """
                  administrator finance fraud support compliance auditor
  payout_approve        x          x      .      .        .         .
  payout_reject         x          x      x      .        x         .
  payment_cancel        x          x      .      x        .         .
  refund_request        x          x      x      .        .         .
  refund_approve        x          x      .      .        .         .
  case_resolve          x          x      .      .        .         .
  payment_read          x          x      x      x        x         x
  diary_read            x          .      .      .        x         x
  staff_manage          x          .      .      .        .         .
"""
HEAD, *ROWS = (line.split() for line in MATRIX.strip().splitlines())
CELLS = [(role, row[0], mark == "x") for row in ROWS for role, mark in zip(HEAD, row[1:], strict=True)]


def person(
    name: str = "a", *roles: Role, enabled: bool = True, sites: frozenset[int] | None = None
) -> Operator:
    return Operator(OperatorId(f"opr_{name}"), name, name, frozenset(roles), sites, enabled, NOW)


def ballot(name: str, verdict: Verdict = Verdict.APPROVE, *, do_not_tip_off: bool = False) -> Ballot:
    return Ballot(OperatorId(f"opr_{name}"), verdict, "why", "because", do_not_tip_off, NOW)


def asked(*votes: Ballot, state: ApprovalState = ApprovalState.OPEN, people: int = 1) -> Approval:
    return Approval(
        site_id=7,
        approval_id=ApprovalId("apr_1"),
        kind=ApprovalKind.PAYOUT,
        subject="wdr_1",
        content=CONTENT,
        content_hash=content_hash(CONTENT),
        maker="operator:opr_maker",
        people_needed=people,
        state=state,
        made_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        decided_at=None if state is ApprovalState.OPEN else NOW,
        votes=votes,
    )


def test_the_matrix_is_whole() -> None:
    assert {(role, right) for role, right, _ in CELLS} == set(
        itertools.product(map(str, Role), map(str, Right))
    )


@pytest.mark.parametrize(("role", "right", "may"), CELLS)
def test_a_role_may_what_the_matrix_says(role: str, right: str, may: bool) -> None:
    one = person("a", Role(role))
    assert one.may(Right(right), 7) is may
    if may:
        require(one, Right(right), 7)
        return
    with pytest.raises(NotPermitted, match=right):
        require(one, Right(right), 7)


def test_the_manual_has_the_same_matrix() -> None:
    lines = [line for line in (ROOT / "docs" / "staff.md").read_text().splitlines() if line.startswith("| ")]
    at = lines.index(next(line for line in lines if line.startswith("| right |")))
    table = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[at:]]
    roles, rows = table[0][1:], [row for row in table[1:] if row[0] in set(Right)]
    told = {(role, row[0], mark == "x") for row in rows for role, mark in zip(roles, row[1:], strict=True)}
    assert told == set(CELLS)


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (OwnRequest, 403),
        (NotPermitted, 403),
        (OperatorDisabled, 403),
        (ApprovalClosed, 409),
        (ApprovalExpired, 409),
        (ContentChanged, 409),
        (VotedAlready, 409),
        (BadReason, 422),
    ],
)
def test_a_refusals_status(refusal: type[Refusal], status: int) -> None:
    assert web.status_of(refusal) == status


def test_roles_add_up_and_none_is_nothing() -> None:
    both = person("a", Role.SUPPORT, Role.FRAUD)
    assert {right for right in Right if both.may(right, 7)} == RIGHTS[Role.SUPPORT] | RIGHTS[Role.FRAUD]
    assert not any(person().may(right, 7) for right in Right)


def test_an_auditor_only_reads() -> None:
    assert all(right.endswith("_read") for right in RIGHTS[Role.AUDITOR])


def test_rights_end_at_the_sites_of_an_operator() -> None:
    local = person("a", Role.ADMINISTRATOR, sites=frozenset({7}))
    require(local, Right.PAYOUT_APPROVE, 7)
    for elsewhere in (8, 0):
        with pytest.raises(NotPermitted):
            require(local, Right.PAYOUT_APPROVE, elsewhere)


def test_a_disabled_operator_has_no_right_left() -> None:
    gone = person("a", Role.ADMINISTRATOR, enabled=False)
    assert not any(gone.may(right, 7) for right in Right)
    with pytest.raises(OperatorDisabled):
        require(gone, Right.PAYMENT_READ, 7)


def test_a_state_that_is_final_leads_nowhere() -> None:
    assert {state for state in ApprovalState if not NEXT[state]} == FINAL
    assert NEXT[ApprovalState.OPEN] == FINAL


A, R = Verdict.APPROVE, Verdict.REJECT


@pytest.mark.parametrize(
    ("needed", "said", "state"),
    [
        (1, [], "open"),
        (1, [A], "approved"),
        (1, [R], "rejected"),
        (2, [], "open"),
        (2, [A], "open"),
        (2, [R], "rejected"),
        (2, [A, A], "approved"),
        (2, [A, R], "rejected"),
        (2, [R, A], "rejected"),
        (3, [A, A], "open"),
        (3, [A, A, A], "approved"),
        (3, [A, A, R], "rejected"),
    ],
)
def test_what_votes_mean(needed: int, said: list[Verdict], state: str) -> None:
    assert standing(needed, said) is ApprovalState(state)


FINANCE = person("fin", Role.FINANCE)
REJECTING = Vote(R, "why")


@pytest.mark.parametrize(
    ("approval", "operator", "vote", "content", "at", "refused"),
    [
        (asked(), FINANCE, Vote(A), CONTENT, NOW, None),
        (asked(ballot("other"), people=2), FINANCE, Vote(A), CONTENT, NOW, None),
        (asked(), person("fin", Role.FRAUD), REJECTING, CONTENT, NOW, None),
        (asked(), person("fin", Role.FRAUD), Vote(A), CONTENT, NOW, NotPermitted),
        (asked(), person("fin", Role.SUPPORT), REJECTING, CONTENT, NOW, NotPermitted),
        (asked(), person("fin", Role.FINANCE, sites=frozenset({8})), Vote(A), CONTENT, NOW, NotPermitted),
        (asked(), person("fin", Role.FINANCE, enabled=False), Vote(A), CONTENT, NOW, OperatorDisabled),
        (asked(), person("maker", Role.FINANCE), Vote(A), CONTENT, NOW, OwnRequest),
        (asked(), person("maker", Role.FINANCE), REJECTING, CONTENT, NOW, OwnRequest),
        (asked(), person("maker", Role.ADMINISTRATOR), Vote(A), CONTENT, NOW, OwnRequest),
        (asked(), FINANCE, Vote(A), CONTENT, NOW + timedelta(minutes=59), None),
        (asked(), FINANCE, Vote(A), CONTENT, NOW + timedelta(hours=1), ApprovalExpired),
        (asked(), FINANCE, REJECTING, CONTENT, NOW + timedelta(hours=1), ApprovalExpired),
        (asked(state=ApprovalState.EXPIRED), FINANCE, Vote(A), CONTENT, NOW, ApprovalExpired),
        (asked(state=ApprovalState.APPROVED), FINANCE, REJECTING, CONTENT, NOW, ApprovalClosed),
        (asked(state=ApprovalState.REJECTED), FINANCE, Vote(A), CONTENT, NOW, ApprovalClosed),
        (asked(state=ApprovalState.WITHDRAWN), FINANCE, Vote(A), CONTENT, NOW, ApprovalClosed),
        (asked(ballot("fin"), people=2), FINANCE, Vote(A), CONTENT, NOW, VotedAlready),
        (asked(ballot("fin"), people=2), FINANCE, REJECTING, CONTENT, NOW, VotedAlready),
        (asked(), FINANCE, Vote(A), CONTENT | {"amount_minor": 101}, NOW, ContentChanged),
        (asked(), FINANCE, Vote(A), {}, NOW, ContentChanged),
        (asked(), FINANCE, REJECTING, CONTENT | {"amount_minor": 101}, NOW, None),
        # Who may not learns only that, whatever else is wrong.
        (asked(state=ApprovalState.APPROVED), person("x", Role.AUDITOR), Vote(A), {}, NOW, NotPermitted),
        (asked(state=ApprovalState.APPROVED), person("maker", Role.FINANCE), Vote(A), {}, NOW, OwnRequest),
    ],
)
def test_which_vote_counts(
    approval: Approval,
    operator: Operator,
    vote: Vote,
    content: dict[str, object],
    at: datetime,
    refused: type[Refusal] | None,
) -> None:
    if refused is None:
        said = [*(cast.verdict for cast in approval.votes), vote.verdict]
        assert admit(approval, operator, vote, content, at=at) is standing(approval.people_needed, said)
        return
    with pytest.raises(refused):
        admit(approval, operator, vote, content, at=at)


@pytest.mark.parametrize(("kind", "verdict"), list(itertools.product(ApprovalKind, Verdict)))
def test_each_vote_needs_the_right_of_its_kind(kind: ApprovalKind, verdict: Verdict) -> None:
    approval = replace(asked(), kind=kind)
    for role in Role:
        one, vote = person("a", role), Vote(verdict, "why")
        if RIGHT_TO_VOTE[kind, verdict] in RIGHTS[role]:
            admit(approval, one, vote, CONTENT, at=NOW)
        else:
            with pytest.raises(NotPermitted):
                admit(approval, one, vote, CONTENT, at=NOW)


def test_equal_content_has_an_equal_hash_and_no_other() -> None:
    written = {"a": 1, "b": [1, {"x": "ә"}], "c": None}
    assert content_hash(written) == content_hash({"c": None, "b": [1, {"x": "ә"}], "a": 1})
    others: list[dict[str, object]] = [
        {},
        written | {"a": "1"},
        written | {"a": True},
        written | {"b": [{"x": "ә"}, 1]},
        written | {"d": 1},
        {"a": 1, "b": [1, {"x": "ә"}]},
    ]
    assert len({content_hash(other) for other in [written, *others]}) == 1 + len(others)


@pytest.mark.parametrize("content", [{"at": NOW}, {"a": {1, 2}}, {"a": float("nan")}])
def test_what_is_not_plain_json_is_not_hashed(content: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        content_hash(content)


@pytest.mark.parametrize(
    ("vote", "field"),
    [
        (Vote(R), "reason_staff"),
        (Vote(R, " \n"), "reason_staff"),
        (Vote(R, reason_player="for the player only"), "reason_staff"),
        (Vote(A, "x" * 1001), "reason_staff"),
        (Vote(R, "why", "x" * 1001), "reason_player"),
        (Vote(A, "nul \x00"), "reason_staff"),
        (Vote(A, "", "escape \x1b[2J"), "reason_player"),
    ],
)
def test_a_bad_reason_names_its_field(vote: Vote, field: str) -> None:
    with pytest.raises(BadReason) as refused:
        check_reasons(vote)
    assert refused.value.param == field


def test_good_reasons() -> None:
    for vote in (Vote(A), Vote(R, "Не его карта,\n\tсм. заметку"), Vote(R, "x" * 1000, "x" * 1000)):
        check_reasons(vote)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"login": "a"}, "login"),
        ({"login": "Aigerim"}, "login"),
        ({"login": "a b"}, "login"),
        ({"login": "aigerim\n"}, "login"),
        ({"login": "a" * 65}, "login"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"roles": frozenset()}, "roles"),
        ({"sites": frozenset()}, "sites"),
    ],
)
def test_a_bad_operator_names_its_field(change: dict[str, Any], field: str) -> None:
    good = NewOperator("aigerim", "Aigerim", frozenset({Role.FINANCE}))
    check_new(good)
    with pytest.raises(BadOperator) as refused:
        check_new(replace(good, **change))
    assert refused.value.param == field


def test_what_a_player_is_told() -> None:
    loud, quiet = ballot("a", R), ballot("a", R, do_not_tip_off=True)
    assert (loud.told, quiet.told) == ("because", "")
    assert (asked(loud).told, asked(quiet).told) == ("because", "")
    assert asked(ballot("b"), loud).told == "because"
    assert asked(ballot("b")).told == ""  # an approval is not explained


def test_how_many_more_are_needed() -> None:
    assert [
        asked(*votes, people=2).still_needed for votes in ([], [ballot("a")], [ballot("a"), ballot("b")])
    ] == [
        2,
        1,
        0,
    ]


def test_actors() -> None:
    assert (person().actor, player_actor("ply_1"), merchant_actor(101)) == (
        "operator:opr_a",
        "player:ply_1",
        "merchant:101",
    )
