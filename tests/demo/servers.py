"""What the tests of the demo servers share: a running server, and a stub that stands on the other side."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

Serve = Callable[[FastAPI], Awaitable[str]]


@dataclass
class Server:
    """An app on a free port of this machine."""

    url: str
    uvicorn: uvicorn.Server
    running: asyncio.Task[None]

    async def stop(self) -> None:
        self.uvicorn.should_exit = True
        await self.running


async def started(app: FastAPI) -> Server:
    """Serve an app until it is told to stop."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="warning", lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())  # serve() would take over the signals of the test run
    while not server.started:
        assert not running.done(), "the server did not start"
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    return Server(f"http://127.0.0.1:{port}", server, running)


@dataclass
class Peer:
    """The other side: keeps what it hears and gives the next of `answers`, the last one for ever."""

    answers: list[Response] = field(default_factory=lambda: [JSONResponse({"code": 0})])
    heard: list[dict[str, Any]] = field(default_factory=list)
    app: FastAPI = field(default_factory=lambda: FastAPI(openapi_url=None))

    def __post_init__(self) -> None:
        self.app.add_api_route("/{path:path}", self.hear, methods=["GET", "POST"], response_model=None)

    async def hear(self, request: Request) -> Response:
        self.heard.append(
            {
                "path": request.url.path,
                "query": dict(request.query_params),
                "headers": dict(request.headers),
                "body": await request.body(),
            }
        )
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def until(is_true: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is true, at most five seconds."""
    async with asyncio.timeout(5):
        while not await is_true():  # noqa: ASYNC110  what is waited for is in the other server
            await asyncio.sleep(0.02)


def sha1_signed(fields: Mapping[str, object], salt: str) -> dict[str, object]:
    """Sign as protocol.md 1 says, written out once more so that the test does not lean on our own code."""
    string = "".join(f"{name}:{fields[name]};" for name in sorted(fields) if fields[name] != "")
    digest = hashlib.sha1((string + salt).encode(), usedforsecurity=False).hexdigest()
    return {**fields, "signature": digest}


def hmac_signed(content: bytes, secret: str) -> str:
    """Sign as docs/sandbox.md says, written out once more."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def as_json(value: object) -> bytes:
    """Write compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()
