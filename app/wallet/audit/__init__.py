"""What was recorded: told page by page, held against other books, closed day by day, looked at by people."""

from app.wallet.audit.books import Difference, Item, differences
from app.wallet.audit.days import Balance, Closing, closing, mode_blockers, players_with_balance
from app.wallet.audit.debts import Debt, debts
from app.wallet.audit.history import Page, Place, Wanted, history_of_player, history_of_site
from app.wallet.audit.named import operations_by_their_id
from app.wallet.audit.refused import RefusedWin, refused_wins

__all__ = [
    "Balance",
    "Closing",
    "Debt",
    "Difference",
    "Item",
    "Page",
    "Place",
    "RefusedWin",
    "Wanted",
    "closing",
    "debts",
    "differences",
    "history_of_player",
    "history_of_site",
    "mode_blockers",
    "operations_by_their_id",
    "players_with_balance",
    "refused_wins",
]
