"""Routes without what the framework does around an endpoint, for what comes thousands of times a second."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send
from typing_extensions import override

__all__ = ["Direct", "Handle"]

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class Direct(APIRoute):
    """A route whose endpoint takes the request and nothing else.

    The framework would look for parameters to solve; finding none costs as much as deciding a bet. Put such
    routes onto the application's own router: one that is included is searched through twice for each call,
    and the framework puts its own layer around each endpoint again.
    """

    def __init__(self, path: str, endpoint: Handle, **options: Any) -> None:  # noqa: ANN401  FastAPI's own
        """Make the route, for the API's documents and for matching, and answer without the rest."""
        super().__init__(path, endpoint, **options)
        handle = self.guarded(endpoint)

        async def direct(scope: Scope, receive: Receive, send: Send) -> None:
            response = await handle(Request(scope, receive))
            await response(scope, receive, send)

        self.app = direct

    @override
    def get_route_handler(self) -> Handle:
        """The same for a route whose router was included after all."""
        return self.guarded(self.endpoint)

    def guarded(self, endpoint: Handle) -> Handle:
        """The endpoint, with what a room does about what it raises."""
        return endpoint
