"""What was recorded: told page by page, held against other people's books, and closed day by day."""

from app.wallet.audit.books import Difference, Item, differences
from app.wallet.audit.days import Balance, Closing, closing, mode_blockers, players_with_balance
from app.wallet.audit.debts import Debt, debts
from app.wallet.audit.history import Page, Place, Wanted, history_of_player, history_of_site

__all__ = [
    "Balance",
    "Closing",
    "Debt",
    "Difference",
    "Item",
    "Page",
    "Place",
    "Wanted",
    "closing",
    "debts",
    "differences",
    "history_of_player",
    "history_of_site",
    "mode_blockers",
    "players_with_balance",
]
