"""The effect matrix of the contract, cell by cell: the table, the oracle and the product say the same."""

import itertools
from collections.abc import AsyncIterator

import pytest

from app import players
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.world import World, world

# What becomes of the bet B before it is asked about; every step is (kind, id, more).
Step = tuple[str, str, dict[str, object]]
BET: Step = ("bet", "B", {})
STATES: dict[str, list[Step]] = {
    "none": [],
    "open": [BET],
    "refused": [("bet", "B", {"amount": 101})],
    "tombstoned": [("rollback", "T", {})],
    "tombstoned and late": [("rollback", "T", {}), BET],
    "reversed": [BET, ("rollback", "T", {})],
    "won": [BET, ("win", "W", {})],
    "settled": [BET, ("win", "W", {"isRoundFinished": True})],
    "lost": [("bet", "B", {"isRoundFinished": True})],
    "bet and won at once": [("betwin", "B", {"betAmount": 10, "winAmount": 4})],
}
OTHER: dict[str, object] = {"amount": 11}
# Rows of section 2.13: what is asked, then how it is answered in each state.
MATRIX: dict[str, tuple[Step, list[str]]] = {
    "the bet again": (
        BET,
        [
            "OK new",
            "OK again",
            "ID_CONFLICT",
            "ROLLED_BACK new",
            "ROLLED_BACK again",
            "OK again",
            "OK again",
            "OK again",
            "OK again",
            "ID_CONFLICT",
        ],
    ),
    "another bet under its id": (
        ("bet", "B", OTHER),
        ["OK new", "ID_CONFLICT", "ID_CONFLICT", "ROLLED_BACK new", *["ID_CONFLICT"] * 6],
    ),
    "a win": (
        ("win", "W2", {}),
        [
            "BET_NOT_FOUND",
            "OK new",
            "BET_NOT_FOUND",
            "ROLLED_BACK new",
            "ROLLED_BACK new",
            "ROLLED_BACK new",
            "OK new",
            "ROUND_CLOSED new",
            "ROUND_CLOSED new",
            "OK new",
        ],
    ),
    "a rollback": (
        ("rollback", "R", {}),
        [
            "NOTHING_TO_REVERSE new",
            "OK new",
            "PARENT_FAILED new",
            "ALREADY_ROLLED_BACK new",
            "ALREADY_ROLLED_BACK new",
            "ALREADY_ROLLED_BACK new",
            *["ALREADY_SETTLED new"] * 4,
        ],
    ),
}


@pytest.fixture
async def both(database: Database, clock: MovableClock) -> AsyncIterator[World]:
    async with world(database, clock) as made:
        await begin(made)
        yield made
        await made.compare()
    await invariants.hold(database)


WHO: dict[str, object] = {"playerExternalId": "anna", "currency": "KZT"}


async def begin(both: World, of: str = "") -> None:
    """Somebody with a hundred, in a world whose ids are its own."""
    await both.forget()
    both.own = of
    await both.create(f"anna{of}", currencies=("KZT",))
    await both.ask("deposit", {**own(both, WHO), "amount": 100, "transferId": f"t{of}"})


def own(both: World, body: dict[str, object]) -> dict[str, object]:
    """The same body with the names of this world."""
    names = ("playerExternalId", "transactionId", "referenceId", "roundId")
    return {name: f"{value}{both.own}" if name in names else value for name, value in body.items()}


async def carried_out(both: World, step: Step) -> str:
    """The code of the answer, and whether it was told before; the oracle has agreed."""
    kind, name, more = step
    body: dict[str, object] = {**WHO, "transactionId": name, "providerId": "acme", "gameCode": "aviator"}
    body |= {"roundId": "r"}
    match kind:
        case "bet":
            body |= {"amount": 10}
        case "win":
            body |= {"amount": 25, "referenceId": "B"}
        case "rollback":
            del body["roundId"], body["currency"]
            body["referenceId"] = "B"
        case _:
            pass
    answer = await both.ask(kind, own(both, body | more))
    if "transactionId" not in answer["data"]:
        return str(answer["code"])
    return f"{answer['code']} {'again' if answer['data']['duplicate'] else 'new'}"


@pytest.mark.parametrize("row", MATRIX)
async def test_every_cell_of_the_effect_matrix(both: World, row: str) -> None:
    step, answers = MATRIX[row]
    for state, answer in zip(STATES, answers, strict=True):
        await begin(both, f"in {state}")
        for before in STATES[state]:
            await carried_out(both, before)
        assert await carried_out(both, step) == answer, state
        # And whatever it was, the same again has the same answer and moves nothing.
        if answer.endswith("new"):
            assert await carried_out(both, step) == answer.replace("new", "again"), state
        await both.compare()


# What is rolled back that is no bet.
ROLLED: dict[str, tuple[list[Step], str]] = {
    "a win": ([BET, ("win", "W", {})], "ALREADY_SETTLED new"),
    "a jackpot": ([("win", "W", {"kind": "jackpot"})], "ALREADY_SETTLED new"),
    "a win that was refused": (
        [("bet", "B", {"isRoundFinished": True}), ("win", "W", {})],
        "PARENT_FAILED new",
    ),
    "a rollback": ([BET, ("rollback", "W", {})], "ALREADY_SETTLED new"),
    "a rollback that was refused": (
        [BET, ("win", "V", {}), ("rollback", "W", {})],
        "PARENT_FAILED new",
    ),
    "a rollback that was rolled back before it came": (
        [("rollback", "T", {"referenceId": "W"}), BET, ("rollback", "W", {})],
        "ALREADY_SETTLED new",
    ),
    "a win that was rolled back before it came": (
        [("rollback", "T", {"referenceId": "W"}), BET, ("win", "W", {})],
        "ALREADY_ROLLED_BACK new",
    ),
}


async def test_a_rollback_of_what_is_no_bet(both: World) -> None:
    for what, (steps, answer) in ROLLED.items():
        await begin(both, f" of {what}")
        for step in steps:
            await carried_out(both, step)
        assert await carried_out(both, ("rollback", "R", {"referenceId": "W"})) == answer, what
        await both.compare()


ODDLY_ROLLED: dict[str, list[Step]] = {
    "a rollback of nothing": [("rollback", "W", {})],
    "a second rollback": [BET, ("rollback", "V", {}), ("rollback", "W", {})],
}


@pytest.mark.parametrize("what", ODDLY_ROLLED)
async def test_a_rollback_of_a_rollback_that_moved_nothing(both: World, what: str) -> None:
    for step in ODDLY_ROLLED[what]:
        await carried_out(both, step)
    assert await carried_out(both, ("rollback", "R", {"referenceId": "W"})) == "ALREADY_SETTLED new"


async def test_what_stands_twice_in_a_batch_that_is_undone_is_not_told_as_done(both: World) -> None:
    deposit: dict[str, object] = {"type": "deposit", **WHO, "amount": 5, "transferId": "twice"}
    too_much = deposit | {"type": "withdraw", "amount": 999, "transferId": "too much"}
    await both.ask("wallet_batch", {"operations": [deposit, deposit, too_much], "allOrNone": True})


async def test_a_batch_that_is_undone_may_come_again(both: World) -> None:
    deposit: dict[str, object] = {"type": "deposit", **WHO, "amount": 5, "transferId": "in"}
    too_much = deposit | {"type": "withdraw", "amount": 106, "transferId": "out"}
    batch: dict[str, object] = {"operations": [deposit, too_much], "allOrNone": True}
    assert (await both.ask("wallet_batch", batch))["code"] == "INSUFFICIENT_FUNDS"
    assert (await both.ask("deposit", {**WHO, "amount": 1, "transferId": "one more"}))["code"] == "OK"
    assert (await both.ask("wallet_batch", batch))["code"] == "OK"


async def test_one_rollback_leaves_the_other_bets_of_the_round(both: World) -> None:
    for step in (BET, ("bet", "B2", {}), ("rollback", "R", {})):
        await carried_out(both, step)
    assert await carried_out(both, ("win", "W", {"referenceId": "B2"})) == "OK new"
    assert await carried_out(both, ("bet", "B3", {})) == "OK new"


async def test_when_every_bet_is_taken_back_the_round_is_over(both: World) -> None:
    steps: list[Step] = [BET, ("bet", "B2", {}), ("rollback", "R", {})]
    steps.append(("rollback", "R2", {"referenceId": "B2"}))
    for step in steps:
        await carried_out(both, step)
    assert await carried_out(both, ("bet", "B3", {})) == "ROUND_CLOSED new"


async def test_wins_and_rollbacks_reach_the_blocked(both: World) -> None:
    await carried_out(both, BET)
    await carried_out(both, ("bet", "B2", {}))
    await both.stand("anna", players.PlayerStatus.BLOCKED)
    assert await carried_out(both, ("bet", "B3", {})) == "PLAYER_BLOCKED new"
    assert await carried_out(both, ("win", "W", {})) == "OK new"
    assert await carried_out(both, ("rollback", "R", {"referenceId": "B2"})) == "OK new"


async def test_the_remainder_of_a_split_win_is_cash(both: World) -> None:
    """100 of cash and 50 of bonus; a bet of 130 is 100 and 30, a win of 101 is 78 and 23."""
    await both.grant("anna", "KZT", 50)
    await carried_out(both, ("bet", "B", {"amount": 130}))
    await carried_out(both, ("win", "W", {"amount": 101}))
    wallet = both.oracle.wallets["anna", "KZT"]
    assert (wallet.cash, wallet.bonus) == (78, 20 + 23)


@pytest.mark.parametrize("header", ["h-1", "x" * 129])
async def test_a_header_may_name_the_transfer(both: World, header: str) -> None:
    body = {**WHO, "amount": 5}
    for again in range(2):
        answer = await both.ask("deposit", body, header=header)
        assert answer["success"] is (len(header) < 129), again
    answer = await both.ask("deposit", body | {"transferId": "its own"}, header=header)
    assert answer["data"]["externalId"] == "its own"
    assert (await both.ask("deposit", body))["code"] == "TRANSFER_ID_REQUIRED"


NO_WHOLE_NUMBERS = ("NaN", "Infinity", "1e2", "1.0", "-0.0", "1E400", "01", "+1", "9" * 5000)
NO_OBJECTS = (b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"7", b'{"operations":' + b"[" * 5000)


async def test_what_is_no_whole_number_is_refused(both: World) -> None:
    for amount in NO_WHOLE_NUMBERS:
        content = f'{{"playerExternalId":"anna","currency":"KZT","transferId":"n","amount":{amount}}}'
        status, found = await both.raw("deposit", content.encode())
        assert (status, found["code"], found["success"]) == (400, "VALIDATION", False), amount


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig"])
async def test_a_body_that_is_not_in_utf_8_is_refused(both: World, codec: str) -> None:
    content = '{"playerExternalId":"anna","currency":"KZT","transferId":"n","amount":1}'
    status, found = await both.raw("deposit", content.encode(codec))
    assert (status, found["code"], found["message"]) == (400, "VALIDATION", "body is not JSON.")


async def test_what_is_no_object_is_refused(both: World) -> None:
    for kind, content in itertools.product(("deposit", "bet", "game_batch"), NO_OBJECTS):
        status, found = await both.raw(kind, content)
        assert (status, found["code"], found["success"]) == (400, "VALIDATION", False), (kind, content)
