"""Free rounds, floats and wins over a cap: whatever happens around them, the oracle foretells the answer."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typing_extensions import override

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet import house
from tests.wallet.test_against_oracle import (
    EXAMPLES,
    IS_NIGHT,
    PLAYERS,
    SCENES,
    SCENES_AT_MOST,
    Command,
    Story,
    settled,
)
from tests.wallet.wishes import MOST
from tests.wallet.world import CURRENCIES, World, world

# Sessions live twelve hours, and the oracle has no clock.
MOST_HOURS = 5

# What a site may decide about them.
DECISIONS: dict[str, dict[str, object]] = {
    "each, taken back": {"reverse_wins": True},
    "together, taken back": {"reverse_wins": True, "free_wins": "together"},
    "together, capped": {"free_wins": "together", "max_win": 25, "prepaid_float": True},
    "each, capped and prepaid": {"max_win": 12, "prepaid_float": True, "reverse_wins": True},
    "the platform counts": {"free_rounds": "platform", "reverse_wins": True},
    "the platform counts and pays together": {"free_rounds": "platform", "free_wins": "together"},
}
# Of one number all belong to one player and currency.
FEW = st.integers(0, 1)
PLACES = st.integers(0, 3)
CAMPAIGNS = st.sampled_from(("spin", "spin", "cap", "cap", "dice", "soon over", "elsewhere", "none"))
AMOUNTS = st.sampled_from((0, 1, 5, 9, 13, 21, 30))
PLAYED = st.sampled_from(
    ("spin", "spin", "spin", "win of spin", "win of spin", "betwin of spin", "free win", "free win")
)
# What a rollback may name: a spin, its win, both in one, what paid them, what had nothing to do with it.
NAMED = st.sampled_from(("f", "fw", "fw", "fb", "all", "all", "odd"))


@st.composite
def played(draw: st.DrawFn, number: int, campaign: str) -> Command:
    """Something that a platform tells about free rounds."""
    kind = draw(PLAYED)
    odd: dict[str, Any] = {"place": draw(PLACES), "campaign": campaign}
    if kind == "spin":
        odd["session"] = draw(st.booleans())
    else:
        odd["won"] = draw(AMOUNTS)
    chance = draw(st.integers(0, 11))
    if chance == 0:
        odd["campaign"] = draw(CAMPAIGNS)
    elif chance == 1 or (chance < 7 and campaign == "dice"):
        odd["gameCode"] = "dice"
    elif chance == 8:
        odd["providerId"] = "other"
    elif chance == 9:
        odd["isRoundFinished"] = True
    return kind, number, odd


@st.composite
def around(draw: st.DrawFn, number: int, campaign: str) -> Command:
    """Something else that matters to them."""
    named = f"{draw(NAMED)}{number}-{draw(PLACES)}"
    odd = draw(AMOUNTS)
    commands: list[Command] = [
        *[("rollback", number, {"transactionId": f"{{}}x{named}", "referenceId": "{}" + named})] * 4,
        *[("grant", number, {"campaign": campaign})] * 2,
        ("cancel", number, {"campaign": campaign}),
        ("hour", number, {}),
        ("launch", number, {}),
        ("end", number, {}),
        ("release", odd, {}),
        ("confiscate", odd, {}),
        ("prepay", number, {"minor": 50}),
        ("prepay", number, {"minor": -60}),
        ("withdraw", number, {"transferId": f"{{}}out-{odd}", "all": True}),
        ("deposit", number, {"transferId": f"{{}}in-{odd}", "amount": 60}),
        # Neither is a win of a free round, whatever it names.
        ("odd jackpot", number, {"campaign": campaign, "won": odd}),
        ("odd win", number, {"campaign": campaign, "won": odd}),
    ]
    return draw(st.sampled_from(commands))


@st.composite
def campaigns(draw: st.DrawFn) -> list[Command]:
    """A campaign of one player, and what becomes of it."""
    number, campaign = draw(FEW), draw(CAMPAIGNS)
    rest = draw(st.lists(played(number, campaign) | around(number, campaign), min_size=3, max_size=9))
    return [("grant", number, {"campaign": campaign}), ("spin", number, {"campaign": campaign}), *rest]


@st.composite
def batches(draw: st.DrawFn) -> list[Command]:
    """In parts of three, all or none or each for itself."""
    number, campaign = draw(FEW), draw(CAMPAIGNS)
    items = draw(st.lists(played(number, campaign), min_size=1, max_size=6))
    items += draw(st.lists(around(number, campaign).filter(lambda it: it[0] == "rollback"), max_size=2))
    batch = {"items": draw(st.permutations(items)), "odd": "", "allOrNone": draw(st.booleans())}
    return [("grant", number, {"campaign": campaign}), ("game_batch", number, batch)]


BEGINNINGS = st.lists(
    st.tuples(FEW, st.sampled_from((40, 100, 300))).map(
        lambda it: ("deposit", it[0], {"transferId": f"{{}}first-{it[0]}-{it[1]}", "amount": it[1]})
    ),
    max_size=4,
)
STORIES = st.builds(
    lambda prepaid, beginning, scenes: [
        *(("prepay", number, {"target": target}) for number, target in enumerate(prepaid)),
        *beginning,
        *itertools.chain(*scenes),
    ],
    st.tuples(*[st.sampled_from((0, 90, 500))] * len(CURRENCIES)),
    BEGINNINGS,
    st.lists(
        st.one_of(campaigns(), campaigns(), batches(), SCENES),
        min_size=SCENES_AT_MOST // 8,
        max_size=SCENES_AT_MOST // 2,
    ),
)


TURNS: list[Command] = [
    ("withdraw", 0, {"transferId": "{}b1", "amount": 50}),
    ("deposit", 0, {"transferId": "{}b2", "amount": 50}),
]
ALL = {"odd": "", "allOrNone": False}


def script() -> list[Command]:
    """What chance alone would find too rarely."""
    spin = {"campaign": "spin"}
    return [
        ("prepay", 0, {"target": 100}),
        ("deposit", 0, {"transferId": "{}all of it", "amount": 100}),
        ("deposit", 0, {"transferId": "{}too much", "amount": 1}),
        ("withdraw", 0, {"transferId": "{}back", "amount": 60}),
        ("deposit", 0, {"transferId": "{}again", "amount": 60}),
        # What one batch gives back, it may take again.
        ("wallet_batch", 0, {"items": [*TURNS, ("deposit", 0, {"transferId": "{}b3", "amount": 1})], **ALL}),
        ("grant", 0, spin),
        ("grant", 0, {"campaign": "cap"}),
        ("launch", 0, {}),
        # Won, paid, the payment taken back, and then the win.
        ("spin", 0, spin),
        ("win of spin", 0, spin | {"won": 9}),
        ("free win", 0, spin | {"won": 9}),
        ("rollback", 0, {"transactionId": "{}x1", "referenceId": "{}all0-0"}),
        ("rollback", 0, {"transactionId": "{}x2", "referenceId": "{}fw0-0"}),
        # What names a campaign and is none of its wins.
        ("odd jackpot", 0, spin | {"won": 5}),
        ("rollback", 0, {"transactionId": "{}x3", "referenceId": "{}odd0-5"}),
        ("bet", 0, {"transactionId": "{}paid for", "roundId": "{}odd"}),
        ("odd win", 0, spin | {"won": 13, "referenceId": "{}paid for"}),
        ("rollback", 0, {"transactionId": "{}x4", "referenceId": "{}odd0-13"}),
        # As much as its cap by the second win, over it by the third.
        *(("spin", 0, {"campaign": "cap", "place": place}) for place in (1, 2, 3)),
        *(
            ("win of spin", 0, {"campaign": "cap", "place": place, "won": won})
            for place, won in ((1, 15), (2, 5), (3, 1))
        ),
        ("free win", 0, {"campaign": "cap", "place": 1, "won": 21}),
        ("release", 0, {}),
        # One more in the session that was open before, none outside of it.
        ("cancel", 0, spin),
        ("spin", 0, spin | {"place": 3}),
        ("spin", 0, spin | {"place": 2, "session": True}),
        *taken(),
    ]


def taken() -> list[Command]:
    """Whatever is held is taken, of one win the half of it, and then rolled back as well, twice."""
    halved: dict[str, Any] = {"roundId": "{}halved", "amount": 44}
    wins = ("halved win", "both", "fw0-1", "fw0-3", "all0-1", "jackpot")
    return [
        ("withdraw", 0, {"transferId": "{}all there is", "all": True}),
        ("deposit", 0, {"transferId": "{}a little", "amount": 38}),
        ("bonus", 0, {}),
        ("betwin", 0, {"transactionId": "{}both", "roundId": "{}both", "betAmount": 4, "winAmount": 30}),
        ("bet", 0, {"transactionId": "{}halved", **halved}),
        ("win", 0, {"transactionId": "{}halved win", "referenceId": "{}halved", **halved}),
        ("odd jackpot", 0, {"campaign": "spin", "won": 31, "transactionId": "{}jackpot"}),
        *[("confiscate", 0, {})] * 6,
        *(
            ("rollback", 0, {"transactionId": f"{{}}{again}{name}", "referenceId": "{}" + name})
            for name in wins
            for again in ("y", "z")
        ),
    ]


@pytest.fixture(params=DECISIONS)
async def decided(
    request: pytest.FixtureRequest, database: Database, clock: MovableClock
) -> AsyncIterator[World]:
    async with world(database, clock, **DECISIONS[request.param]) as made:
        yield made
    await invariants.hold(database)


@pytest.mark.timeout(7200 if IS_NIGHT else 120)
@settled(EXAMPLES // 4 if IS_NIGHT else 2)
@example(story=script())
@given(story=STORIES)
async def test_whatever_the_house_grants_and_holds(decided: World, story: list[Command]) -> None:
    await decided.forget()
    decided.counter.clock.advance(10)
    told = Favoured(decided)
    await decided.create(*(told.named(name) for name in PLAYERS))
    for command in story:
        await told.carry_out(*command)
    await decided.compare()
    await house.compare(decided)


class Favoured(Story):
    """A story with campaigns of its own."""

    def __init__(self, both: World) -> None:
        super().__init__(both)
        self.hours = 0
        # A session is of one player and currency, which is what a number stands for.
        self.launched: dict[int, str] = {}

    @override
    async def carry_out(self, kind: str, number: int, odd: dict[str, Any]) -> None:
        if kind in KINDS:
            await self.world.ask(KINDS[kind], self._body(kind, number, odd))
        elif not await self._done_by_the_house(kind, number, odd):
            await super().carry_out(kind, number, odd)
        if kind == "launch" and self.sessions:
            self.launched[number] = self.sessions[-1]

    async def _done_by_the_house(self, kind: str, number: int, odd: dict[str, Any]) -> bool:
        both, player = self.world, self.named(PLAYERS[number % 3])
        currency, campaign = CURRENCIES[number % 2], str(odd.get("campaign"))
        match kind:
            case "grant":
                if campaign in house.GRANTS:
                    await house.grant_spins(both, player, currency, self.prefix, campaign)
            case "cancel":
                await house.cancel_spins(both, self.prefix + campaign)
            case "hour":
                if self.hours < MOST_HOURS:
                    self.hours += 1
                    await house.pass_time(both)
            case "release" | "confiscate":
                await house.decide_held(both, number, released=kind == "release")
            case "prepay":
                more = odd.get("minor") or odd["target"] - both.oracle.floats[currency]
                while more:
                    step = max(-MOST, min(more, MOST))
                    await house.prepay(both, currency, step)
                    more -= step
            case _:
                return False
        return True

    @override
    def _batch(self, odd: dict[str, Any]) -> dict[str, Any]:
        body = super()._batch(odd)
        for item in body["operations"]:
            item["type"] = KINDS.get(item["type"], item["type"])
        return body

    @override
    def _body(self, kind: str, number: int, odd: dict[str, Any]) -> dict[str, Any]:
        if kind not in KINDS:
            return super()._body(kind, number, odd)
        # Else the usual fields, with those of a free round.
        place, won = odd.get("place", 0), odd.get("won", 0)
        more = {name: odd[name] for name in odd.keys() - {"place", "campaign", "won", "session"}}
        of_round: dict[str, Any] = {"roundId": f"{{}}free{number}-{place}"}
        free = {"freeRoundId": "{}" + odd["campaign"]}
        match kind:
            case "spin":
                made = {"transactionId": f"{{}}f{number}-{place}", "amount": 0} | of_round | free
                # It is of one platform as well, which nobody promised: a session is not asked for elsewhere.
                if odd.get("session") and number in self.launched and "providerId" not in more:
                    made["sessionId"] = self.launched[number]
            case "betwin of spin":
                made = {"transactionId": f"{{}}fb{number}-{place}", "betAmount": 0, "winAmount": won}
                made |= of_round | free
            case "win of spin":
                made = {"transactionId": f"{{}}fw{number}-{place}", "amount": won} | of_round
                made["referenceId"] = f"{{}}f{number}-{place}"
            case "free win":
                made = {
                    "transactionId": f"{{}}all{number}-{place}",
                    "amount": won,
                    "kind": "free_round",
                } | free
            case _:
                made = {"transactionId": f"{{}}odd{number}-{won}", "amount": won} | free
                made |= {"kind": "jackpot"} if kind == "odd jackpot" else {}
        found = super()._body(KINDS[kind], number, made | more)
        if "kind" in found:
            for name in ("referenceId", "roundId"):
                del found[name]
        if kind == "odd win" and "roundId" not in more and "referenceId" in more:
            found["roundId"] = self.named("odd")
        return found


KINDS = {
    "spin": "bet",
    "win of spin": "win",
    "betwin of spin": "betwin",
    "free win": "win",
    "odd jackpot": "win",
    "odd win": "win",
}
