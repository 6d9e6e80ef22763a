"""How a round changes: opened by its first bet, ended once (wallet.md 2.5). Pure."""

from datetime import datetime

from app.wallet.terms import Ask, Kind, Operation, Round, RoundKey, RoundState, Type, Wallet

__all__ = ["opened", "take_part"]


def opened(ask: Ask, wallet: Wallet, at: datetime) -> Round:
    """The round that a bet is the first of."""
    assert ask.round_id is not None, "a bet names its round"
    return Round(
        RoundKey(wallet.wallet_id, ask.provider, ask.round_id),
        ask.game or "",
        wallet.currency,
        first_sequence=wallet.sequence,
        last_sequence=wallet.sequence,
        opened_at=at,
        changed_at=at,
    )


def take_part(around: Round | None, ask: Ask, operation: Operation, reference: Operation | None) -> bool:
    """What an applied operation makes of the one it names and of its round; whether the round has changed.

    Args:
        around: the round it belongs to, opened already if it is a bet; changed in place.
        ask: what was asked.
        operation: as it was decided.
        reference: the operation that it names; changed in place.
    """
    match operation.type:
        case Type.BET | Type.BETWIN:
            assert around is not None, "a bet is part of a round"
            around.open_bets += 1
            around.bet += operation.amount
            around.win += operation.win
            around.is_free &= ask.free_round is not None
        case Type.WIN if ask.kind is Kind.WIN and reference is not None:
            reference.is_settled = True
            if around is not None:
                around.win += operation.amount
        case Type.ROLLBACK if reference is not None:
            reference.is_reversed = True
            if around is not None:
                _give_back(around, operation.amount)
        case Type.REVERSE_WIN if reference is not None:
            reference.is_reversed = True
            if reference.reference is None:
                # Won without a bet, a jackpot, say: it was never counted in a round (rule 34).
                return False
            if around is not None:
                around.win -= operation.amount
        case _:
            return False
    if around is not None and ask.is_finished and around.state is RoundState.OPEN:
        around.state = RoundState.COMPLETED
    return around is not None


def _give_back(around: Round, stake: int) -> None:
    """One bet less; without any it is cancelled (rule 52)."""
    around.open_bets -= 1
    around.reversed += stake
    if not around.open_bets:
        around.state = RoundState.CANCELLED
