"""How one transaction's worth of operations is decided, each upon what the earlier ones left. Pure.

A `Page` holds what was looked up for a transaction. `Page.post` decides one ask after the other and
collects what is to be written: operations, what moves, and how wallets and rounds stand. Nothing here touches
a database; one operation at the desk and a thousand in a batch run through the same lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from app.kernel import ids
from app.wallet.floats import floated
from app.wallet.model import BETS, decide, decide_nowhere
from app.wallet.sheets import Moved, Seat, Sheet, Verdict, gained
from app.wallet.states import campaign_of, capped, count, counted, opened, repeated, take_part, taken
from app.wallet.terms import (
    Ask,
    Code,
    Decision,
    Facts,
    FreeRounds,
    Grant,
    Kind,
    Leg,
    Operation,
    OperationKey,
    Policy,
    Round,
    RoundKey,
    RoundState,
    Type,
    Wallet,
)

__all__ = ["SUCCESSES", "Page"]

SUCCESSES: Final = frozenset({Code.OK, Code.NOTHING_TO_REVERSE, Code.ALREADY_ROLLED_BACK})
_NO_POLICY: Final = Policy()
_TRANSFERS: Final = frozenset({Type.DEPOSIT, Type.WITHDRAW})


@dataclass(slots=True)
class Page:
    """What one transaction knows and has decided.

    Args:
        at: this instant, not before the last movement of any account on it.
        wallets: by their numbers, every wallet an ask or its reference is about.
        operations: those already recorded, by what they are known by.
        tombstoned: bets that were rolled back before they came.
        rounds: those already recorded.
        grants: free rounds that are asked for, by wallet and campaign.
        session_games: which games those were launched with that bets name.
        opened_at: since when the sessions are open that they are asked for in.
        floats: what the operator has prepaid, by currency, where a deposit must stay within it.
        refused_wins: recorded as refusals, by our ids: perhaps the house itself is why.
    """

    at: datetime
    wallets: dict[int, Wallet] = field(default_factory=dict)
    operations: dict[OperationKey, Operation] = field(default_factory=dict)
    tombstoned: set[OperationKey] = field(default_factory=set)
    rounds: dict[RoundKey, Round] = field(default_factory=dict)
    grants: dict[tuple[int, str], Grant] = field(default_factory=dict)
    session_games: dict[str, str] = field(default_factory=dict)
    opened_at: dict[str, datetime] = field(default_factory=dict)
    floats: dict[str, int] = field(default_factory=dict)
    written: list[Operation] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    touched_wallets: dict[int, Wallet] = field(default_factory=dict)
    touched_rounds: dict[RoundKey, Round] = field(default_factory=dict)
    touched_grants: dict[tuple[int, str], Grant] = field(default_factory=dict)
    refused_wins: list[str] = field(default_factory=list)
    _ids: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        """Number operations by this instant."""
        self._ids = ids.series("wop", at=self.at)

    def post(self, ask: Ask, seat: Seat) -> Verdict:
        """Decide one ask and note what it changes."""
        reference_key = ask.reference_key
        reference = self.operations.get(reference_key) if reference_key else None
        wallet = self._wallet(ask, seat, reference)
        key = ask.operation_key
        known = self.operations.get(key)
        if wallet is None:
            decision = decide_nowhere(ask, Facts(known), is_player=seat.is_known)
            if known is not None and decision.is_replay:
                return Verdict(known.code, known, None, duplicate=True)
            return Verdict(decision.code, None, None, field=decision.field)
        around = self._round(ask, wallet, reference)
        facts = Facts(
            known=known,
            reference=reference,
            is_tombstoned=(reference_key or key) in self.tombstoned,
            is_own_tombstoned=key in self.tombstoned,
            round=around,
            session_ok=seat.session_ok and not (ask.policy.session_required and ask.session is None),
            session_game=None if ask.session is None else self.session_games.get(ask.session),
            round_open=seat.round_open or (ask.type is Type.WITHDRAW and self._has_opened(wallet)),
        )
        decision, campaign = decide(ask, wallet, facts), campaign_of(ask, reference)
        if ask.free_round != campaign:
            ask.free_round = None  # it is none of what it names; its rollback goes by what is recorded
        if campaign is not None:
            decision = self._counted(ask, wallet, facts, campaign, decision)
        elif decision.applied and ask.policy.max_win:
            decision = capped(decision, ask, None)
        if self.floats and decision.applied and ask.type in _TRANSFERS:
            decision = floated(decision, ask, self.floats, wallet.currency)
        if known is not None and decision.is_replay:
            # What it names may have come since, in another of the player's wallets.
            own = self.wallets.get(known.wallet_id or wallet.wallet_id)
            return Verdict(known.code, repeated(known, wallet), own, duplicate=True)
        if not decision.stored:
            return Verdict(decision.code, None, wallet, field=decision.field, why=decision.why)
        return self._carried_out(ask, wallet, facts, decision)

    def torn_off(self, *, is_last: bool) -> Sheet | None:
        """What is to be written now; nothing when nothing was decided since. What is known stays known.

        The last has the money of all (`is_last`): that locks the account of the house.
        """
        if not self.written and not (is_last and self.moved):
            return None
        wallets, rounds = list(self.touched_wallets.values()), list(self.touched_rounds.values())
        moved, self.moved = (self.moved, []) if is_last else ([], self.moved)
        sheet = Sheet(self.at, self.written, moved, wallets, rounds, list(self.touched_grants.values()))
        self.written, self.touched_wallets, self.touched_rounds, self.touched_grants = [], {}, {}, {}
        return sheet

    def adopt(self, wallet: Wallet, told: int) -> None:
        """Take money that another room moved on the wallet's accounts into its sequence.

        So each balance in a wallet's history follows from the one before (rule 85), whoever moved it. The
        wallet is as its accounts stand, `told` the balance that its last operation left.
        """
        self.touched_wallets[wallet.wallet_id] = wallet
        if wallet.balance != told:
            self._adopted(wallet, told)
        # A hold that came back over a debt leaves the same sum, and still pays what is owed.
        self._collect(wallet, f"{wallet.wallet_id}.{wallet.sequence}")

    def take(self, ask: Ask, wallet: Wallet, won: Operation) -> None:
        """Take what is held of a win: it comes back into the wallet, and goes as a win that is taken back.

        Two operations, so that each balance follows from an amount. In between it pays no debt of the player.

        Args:
            ask: of type reverse_win, as the platform would name it; its amount is what was held.
            wallet: whose; the ledger has released the hold since it was looked up.
            won: the win, or the bet and its win in one; no platform has taken it back.
        """
        told = wallet.balance
        wallet.cash += ask.amount or 0
        wallet.cash_version += 1
        self._adopted(wallet, told)
        facts, decision = Facts(reference=won, round=self._round(ask, wallet, won)), taken(ask)
        campaign = campaign_of(ask, won)
        if campaign is not None:
            decision = self._counted(ask, wallet, facts, campaign, decision)
        self._carried_out(ask, wallet, facts, decision)

    def _adopted(self, wallet: Wallet, told: int) -> None:
        """The operation that leads from what a wallet's last one told to what is there."""
        wallet.sequence += 1
        amount, key = abs(wallet.balance - told), f"{wallet.wallet_id}.{wallet.sequence}"
        ask = Ask(Type.CASHIER, "cashier", key, wallet.player, _NO_POLICY, b"", "", amount=amount)
        self._record(ask, wallet, Decision(Code.OK, applied=True, amount=amount), (amount, 0), told)

    def _wallet(self, ask: Ask, seat: Seat, reference: Operation | None) -> Wallet | None:
        """Whose money: for a rollback, of the operation it names, also if that came in this very batch."""
        if ask.type is Type.ROLLBACK and reference is not None and reference.wallet_id is not None:
            found = self.wallets.get(reference.wallet_id)
            if found is not None and found.player == ask.player:
                return found
        return seat.wallet

    def _round(self, ask: Ask, wallet: Wallet, reference: Operation | None) -> Round | None:
        round_id, provider = ask.round_id, ask.provider
        if reference is not None:
            # Where the operation it names belongs, whatever this one says of it.
            round_id, provider = reference.round_id, reference.provider
        return None if round_id is None else self.rounds.get(RoundKey(wallet.wallet_id, provider, round_id))

    def _counted(self, ask: Ask, wallet: Wallet, facts: Facts, campaign: str, made: Decision) -> Decision:
        """The decision about a free round, counted in the player's part of its campaign."""
        key = (wallet.wallet_id, campaign)
        grant = self.grants.get(key)
        has_spin = grant is not None and grant.has_spin(self.at, self.opened_at.get(ask.session or ""))
        found = counted(made, ask, grant, facts.reference, has_spin=has_spin)
        if found.applied and grant is not None and ask.policy.free_rounds is FreeRounds.HOUSE:
            count(grant, found)
            self.touched_grants[key] = grant
            ask.free_round = campaign
        return capped(found, ask, grant) if found.applied else found

    def _has_opened(self, wallet: Wallet) -> bool:
        """Whether a round that this transaction knows of is open, be it one that it opened itself."""
        own = [one for key, one in self.rounds.items() if key.wallet_id == wallet.wallet_id]
        return any(one.state is RoundState.OPEN for one in own)

    def _carried_out(self, ask: Ask, wallet: Wallet, facts: Facts, decision: Decision) -> Verdict:
        before = wallet.balance
        parts = [0, 0]
        for leg, minor in decision.legs:
            cash, bonus = gained(wallet, leg, minor)
            # Of a bet with its win, the stake's parts: a later win is split like them.
            if ask.type is not Type.BETWIN or leg in {Leg.BET_CASH, Leg.BET_BONUS}:
                parts[0] += cash
                parts[1] += bonus
        if decision.applied:
            # A wallet's place among its operations; refusals stand beside it, not in it.
            wallet.sequence += 1
            self.touched_wallets[wallet.wallet_id] = wallet
        if ask.type is Type.ROLLBACK and facts.reference is not None:
            # It belongs where its operation does, whether its caller said so or not.
            ask.round_id, ask.provider = facts.reference.round_id, facts.reference.provider
        operation = self._record(ask, wallet, decision, (parts[0], parts[1]), before)
        for leg, minor in decision.legs:
            self.moved.append(Moved(operation.operation_id, leg, minor, wallet))
        if decision.applied:
            self._note_round(ask, wallet, facts, operation)
        else:
            self._note_refusal(ask, operation)
        if decision.held:
            self._behind(Type.HOLD, wallet, Leg.HOLD_WIN, decision.held, ask.key)
        if wallet.debt:
            self._collect(wallet, ask.key)
        return Verdict(operation.code, operation, wallet)

    def _collect(self, wallet: Wallet, credit: str) -> None:
        """Let what has just come in, `credit`, pay what is owed, by an operation of its own."""
        paid = min(wallet.debt, wallet.cash)
        if paid:
            self._behind(Type.REPAYMENT, wallet, Leg.REPAY_DEBT, paid, credit)

    def _behind(self, kind: Type, wallet: Wallet, leg: Leg, amount: int, cause: str) -> None:
        """An operation of our own, right behind the one that caused it."""
        key = f"{wallet.wallet_id}.{wallet.sequence + 1}"
        ask = Ask(kind, "cashier", key, wallet.player, _NO_POLICY, b"", "", reference=cause)
        decision = Decision(Code.OK, applied=True, amount=amount, legs=((leg, amount),))
        self._carried_out(ask, wallet, Facts(), decision)

    def _record(
        self, ask: Ask, wallet: Wallet, decision: Decision, parts: tuple[int, int], before: int
    ) -> Operation:
        key = ask.operation_key
        operation = Operation(
            operation_id=next(self._ids),
            key=key,
            type=decision.turned or ask.type,
            code=decision.code,
            applied=decision.applied,
            fingerprint=ask.fingerprint,
            wallet_id=wallet.wallet_id,
            currency=wallet.currency,
            amount=decision.amount,
            win=ask.win,
            cash=parts[0],
            bonus=parts[1],
            before=before,
            after=wallet.balance,
            sequence=wallet.sequence,
            reference=ask.reference,
            round_id=ask.round_id,
            provider=ask.provider,
            game=ask.game,
            session=ask.session,
            detail=ask.free_round or decision.why or (None if ask.kind is Kind.WIN else ask.kind.value),
            request_id=ask.request_id,
            recorded_at=self.at,
            player_id=wallet.player_id,
            is_settled=ask.type is Type.BETWIN,
        )
        self.operations[key] = operation
        self.written.append(operation)
        return operation

    def _note_refusal(self, ask: Ask, operation: Operation) -> None:
        """What an operation that moves nothing leaves: a tombstone, or a win that somebody may miss."""
        if operation.code is Code.NOTHING_TO_REVERSE and ask.reference_key is not None:
            self.tombstoned.add(ask.reference_key)
        elif ask.type is Type.WIN:
            self.refused_wins.append(operation.operation_id)

    def _note_round(self, ask: Ask, wallet: Wallet, facts: Facts, operation: Operation) -> None:
        """What an applied operation makes of the one it names and of its round."""
        around = facts.round
        if around is None and operation.type in BETS:
            around = opened(ask, wallet, self.at)
            self.rounds[around.key] = around
        if take_part(around, ask, operation, facts.reference):
            assert around is not None, "it has changed"
            around.last_sequence = operation.sequence
            around.changed_at = self.at
            self.touched_rounds[around.key] = around
