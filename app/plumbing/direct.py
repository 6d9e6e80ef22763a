"""Routes without what the framework does around an endpoint, for what comes thousands of times a second."""

from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

__all__ = ["Application", "Direct", "Handle"]

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


class Direct(APIRoute):
    """A route whose endpoint takes the request and nothing else.

    The framework would look for parameters to solve; finding none costs as much as deciding a bet. Put such
    routes onto the application's own router, where `Application` looks for them: one that is included is
    searched through twice for each call, and the framework puts its own layer around each endpoint again.
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


class Application(FastAPI):
    """FastAPI that answers its direct routes before it goes through its own layers.

    Around them stay the middleware that was added and the handlers of exceptions. Not the framework's
    telemetry, error page, exit stack and walk through the router: together a fifth of what a bet costs, for
    nothing that a direct route uses. Whatever is not found here, a wrong method too, is the framework's.
    """

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the process's life."""
        if scope["type"] == "http" and self._leads_to_direct(scope):
            await self._direct(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    @cached_property
    def _direct(self) -> ASGIApp:
        handlers = {on: does for on, does in self.exception_handlers.items() if on not in {500, Exception}}
        layered: ASGIApp = ExceptionMiddleware(_through, handlers=handlers)
        for layer in reversed(self.user_middleware):
            layered = layer.cls(layered, *layer.args, **layer.kwargs)
        return layered

    @cached_property
    def _named(self) -> dict[tuple[str, str], Direct]:
        """Direct routes whose path has no parameters, by method and path; they come before all patterns."""
        routes = [one for one in self.routes if isinstance(one, Direct) and not one.param_convertors]
        return {(method, one.path): one for one in reversed(routes) for method in one.methods or ()}

    @cached_property
    def _patterns(self) -> list[Direct]:
        return [one for one in self.routes if isinstance(one, Direct) and one.param_convertors]

    def _leads_to_direct(self, scope: Scope) -> bool:
        """Whether a direct route answers; the request then knows which."""
        scope["app"] = self
        named = self._named.get((scope["method"], scope["path"]))
        if named is not None:
            scope["route"], scope["path_params"] = named, {}
            return True
        for route in self._patterns:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return True
        return False


async def _through(scope: Scope, receive: Receive, send: Send) -> None:
    await scope["route"].app(scope, receive, send)
