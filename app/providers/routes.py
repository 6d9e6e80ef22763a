"""Where providers knock."""

from fastapi import APIRouter, Request, Response

from app.plumbing.pipes import Pipes
from app.providers.contract import RawNotice
from app.providers.intake import Intake

__all__ = ["router"]


def router(pipes: Pipes, intake: Intake) -> APIRouter:
    """`POST /notices/{site_id}/{account}`.

    Stored raw before it is read, answered as the provider wants it.

    Args:
        pipes: the clock.
        intake: where notices are taken in; closed by the process.
    """
    routes = APIRouter(tags=["providers"])

    @routes.post("/notices/{site_id}/{account}", include_in_schema=False)
    async def notice(site_id: int, account: str, request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name != "cookie"}
        raw = RawNotice(request.url.path, headers, await request.body())
        reply = await intake.take(site_id, account, raw, at=pipes.clock.now())
        # It stands in the table of notices; a line in the log costs as much as keeping it.
        request.scope["counted_only"] = True
        return Response(reply.body, reply.status, media_type=reply.media_type)

    return routes
