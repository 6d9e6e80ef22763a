"""What a name leads to, asked of the system, on threads of our own: strangers' name servers may be slow."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

__all__ = ["Resolver", "system_resolver"]

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to every address the name has, in order of preference; OSError when it has none."""


def system_resolver(threads: ThreadPoolExecutor) -> Resolver:
    """The system's own look-up (files, DNS), of each name once at a time.

    A look-up cannot be called off, and lasts longer than anybody waits for it. Whoever asks for the same name
    meanwhile hears its answer, so that a name holds one thread, however often it is called.
    """
    under_way: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def resolve(host: str, port: int) -> Sequence[str]:
        def look_up() -> Sequence[str]:
            found: list[Any] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(entry[4][0]) for entry in found))

        asked = under_way.get((host, port))
        if asked is None:
            asked = asyncio.get_running_loop().run_in_executor(threads, look_up)
            under_way[host, port] = asked
            asked.add_done_callback(lambda _: under_way.pop((host, port)))
        return await asyncio.shield(asked)

    return resolve
