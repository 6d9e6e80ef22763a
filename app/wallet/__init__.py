"""The player's balance as game platforms use it: transfers, sessions, rounds, bets, wins, rollbacks.

Promises that each operation has one effect and one answer for ever, that no bet overdraws and no win is lost,
and that a wallet's history counts without a gap. Owns what was asked and answered; the money is the ledger's.
Refuses by the codes of its published contract.
"""

from app.wallet.audit import (
    Balance,
    Closing,
    Debt,
    closing,
    debts,
    players_with_balance,
    refused_wins,
)
from app.wallet.campaigns import FreeRoundsWish, cancel_free_rounds, free_rounds_of, grant_free_rounds
from app.wallet.catalogue import Game
from app.wallet.contract import Refused
from app.wallet.decisions import decide
from app.wallet.held import HeldWin, held_wins, let_go, take_back
from app.wallet.journal import Journal, abreast
from app.wallet.modes import switch_mode
from app.wallet.operations import add_game
from app.wallet.prepaid import float_of, fund_float, return_float
from app.wallet.rounds import stuck_rounds
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Code, Policy

__all__ = [
    "Balance",
    "Closing",
    "Code",
    "Debt",
    "FreeRoundsWish",
    "Game",
    "HeldWin",
    "Journal",
    "Policy",
    "Refused",
    "abreast",
    "add_game",
    "cancel_free_rounds",
    "closing",
    "debts",
    "decide",
    "float_of",
    "free_rounds_of",
    "fund_float",
    "grant_bonus",
    "grant_free_rounds",
    "held_wins",
    "let_go",
    "players_with_balance",
    "refused_wins",
    "return_float",
    "stuck_rounds",
    "switch_mode",
    "take_back",
]
