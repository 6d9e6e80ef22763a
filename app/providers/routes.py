"""Where providers knock."""

import re
from typing import Final

from fastapi import APIRouter, Request, Response

from app.plumbing.direct import Direct
from app.plumbing.pipes import Pipes
from app.plumbing.reading import NotReadable
from app.providers.contract import RawNotice
from app.providers.intake import Intake

__all__ = ["router"]

_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")


def router(pipes: Pipes, intake: Intake) -> APIRouter:
    """`POST /notices/{site_id}/{account}`.

    Stored raw before it is read, answered as the provider wants it.

    Args:
        pipes: the clock.
        intake: where notices are taken in; closed by the process.
    """
    routes = APIRouter(route_class=Direct, tags=["providers"])

    async def notice(request: Request) -> Response:
        site, account = request.path_params["site_id"], request.path_params["account"]
        if not _NUMBER.fullmatch(site):
            raise NotReadable(why="the site in its address is not a number")
        headers = {name: value for name, value in request.headers.items() if name != "cookie"}
        raw = RawNotice(request.url.path, headers, await request.body())
        reply = await intake.take(int(site), account, raw, at=pipes.clock.now())
        # It is counted and stands in the table of notices; lines of them would be most of the log.
        request.scope["counted_only"] = True
        return Response(reply.body, reply.status, media_type=reply.media_type)

    path = "/notices/{site_id}/{account}"
    routes.add_api_route(path, notice, methods=["POST"], include_in_schema=False)
    return routes
