"""The fence between transactions and the network: whoever holds a transaction open calls nobody.

A file of its own, so that a process that only makes calls need not know databases.
"""

from contextvars import ContextVar

__all__ = ["NetworkInsideTransaction", "forbid_network", "transaction_is_open"]

# Set by `database`, asked by `http`.
transaction_is_open: ContextVar[bool] = ContextVar("a database transaction is open", default=False)


class NetworkInsideTransaction(RuntimeError):
    """A network call was tried while a database transaction was open: locks would wait for a stranger."""


def forbid_network() -> None:
    """Raise `NetworkInsideTransaction` when a transaction is open in this context.

    The HTTP client asks first.
    """
    if transaction_is_open.get():
        raise NetworkInsideTransaction
