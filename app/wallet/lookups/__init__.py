"""The wallet's calls that read, and those that prepare play: players, launches, sessions, histories, books.

Mounted by `app.wallet.routes`. Every parameter is checked, and a wrong one named; reads may be done with a
token of any scope.
"""

from fastapi import APIRouter

from app.plumbing.pipes import Pipes
from app.wallet.access import Access, Enveloped
from app.wallet.lookups import books, histories, people, play

__all__ = ["router"]


def router(pipes: Pipes, access: Access) -> APIRouter:
    """Everything of the wallet's surface that moves no money.

    Args:
        pipes: the database, the clock, the public address.
        access: who calls, and what the token may do.
    """
    routes = APIRouter(route_class=Enveloped, tags=["wallet"])
    people.mount(routes, pipes, access)
    play.mount(routes, pipes, access)
    histories.mount(routes, pipes, access)
    books.mount(routes, pipes, access)
    return routes
