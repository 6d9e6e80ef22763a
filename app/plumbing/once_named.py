"""JSON bodies in which a name stands once.

Of a name that stands twice nobody knows which value is meant, and whoever stands in between, a firewall say,
may have read the other one.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from typing_extensions import override

__all__ = ["OnceNamed"]


class _Twice(ValueError):
    """The name stands in one object twice."""


class OnceNamed(APIRoute):
    """Refuses a body in which a name stands twice."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Look at the body before it is read."""
        handler = super().get_route_handler()

        async def once_named(request: Request) -> Response:
            name = _named_twice(await request.body())
            if name is not None:
                fault = {"type": "named_twice", "loc": ("body", name), "input": None}
                raise RequestValidationError([fault | {"msg": "stands in one object twice"}])
            return await handler(request)

        return once_named


def _named_twice(body: bytes) -> str | None:
    """The first such name; None also of a body that is no JSON, of which the handler tells what it lacks."""
    try:
        json.loads(body, object_pairs_hook=_once)
    except _Twice as found:
        # Half a character can be read, and not be written.
        return str(found).encode(errors="backslashreplace").decode()
    except (ValueError, RecursionError):
        return None
    return None


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len({*names}) < len(names):
        raise _Twice(next(name for name in names if names.count(name) > 1))
