"""The player's balance as game platforms use it: transfers, sessions, rounds, bets, wins, rollbacks.

Promises that each operation has one effect and one answer for ever, that no bet overdraws and no win is lost,
and that a wallet's history counts without a gap. Owns what was asked and answered; the money is the ledger's.
Refuses by the codes of its published contract.
"""
