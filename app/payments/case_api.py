"""Our own API of what people must look at: cases with both stories, how two people end them, and disputes.

Cases are for people: a site's own server hears `transaction.resolved` instead. Disputes it may read.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPBearer

from app import staff
from app.kernel.money import Money
from app.payments.access import Key, Site, Text, caller_of, done_once, named_as_sent, person_of
from app.payments.api_schemas import PROBLEMS
from app.payments.case_schemas import (
    CaseList,
    CaseListQuery,
    CaseObject,
    DecideBody,
    DisputeList,
    DisputeListQuery,
    DisputeObject,
    MoveBody,
    OpenCaseBody,
    ResolveBody,
    case_object,
)
from app.payments.casebook import case, case_page
from app.payments.cases import decide_case, proposal_waiting, propose_resolution, raise_case
from app.payments.dispute_queries import dispute_page, public_dispute
from app.payments.disputes import move_dispute
from app.payments.proposals import BadProposal, Proposal
from app.plumbing.database import Reader
from app.plumbing.once_named import OnceNamed
from app.plumbing.pipes import Pipes

__all__ = ["case_api"]

# What a proposal calls otherwise than the body of `ResolveBody`.
_AS_SENT: Final = {"attachment": "attachment_sha256", "amount": "amount_minor"}


def case_api(pipes: Pipes) -> APIRouter:
    """The routes; everything else is said by the deeds."""
    told = Depends(HTTPBearer(auto_error=False, scheme_name="token"))
    routes = APIRouter(route_class=OnceNamed, tags=["cases"], responses=PROBLEMS, dependencies=[told])
    _reading(routes, pipes)
    _ending(routes, pipes)
    _disputes(routes, pipes)
    return routes


def _reading(routes: APIRouter, pipes: Pipes) -> None:
    @routes.get("/v1/cases", operation_id="cases_list")
    async def listed(request: Request, asked: Annotated[CaseListQuery, Query()]) -> CaseList:
        """List cases, the newest first; `next_cursor` goes into `starting_after`."""
        site_id, _ = await person_of(pipes, request, asked.site_id, verb="read cases")
        async with pipes.database.reading() as reader:
            cursor = "ending_before" if asked.ending_before is not None else "starting_after"
            with named_as_sent({"": cursor}):
                found = await case_page(
                    reader, site_id, state=asked.state, kinds=asked.kind, payment_id=asked.payment_id,
                    limit=asked.limit, starting_after=asked.starting_after, ending_before=asked.ending_before,
                )  # fmt: skip
        last = found.cases[-1].case_id if found.has_more and found.cases else None
        data = [case_object(one) for one in found.cases]
        return CaseList(data=data, has_more=found.has_more, next_cursor=last)

    @routes.get("/v1/cases/{case_id}", operation_id="cases_get")
    async def read(request: Request, case_id: Text, site_id: Site = 0) -> CaseObject:
        """Read a case: both stories, and the proposal that waits for another person."""
        its_site, _ = await person_of(pipes, request, site_id, verb="read cases")
        async with pipes.database.reading() as reader:
            return await _shown(reader, its_site, case_id)


def _ending(routes: APIRouter, pipes: Pipes) -> None:
    @routes.post("/v1/payments/{payment_id}/cases", operation_id="cases_open", response_model=CaseObject)
    async def opened(
        request: Request, payment_id: Text, body: OpenCaseBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Open a case about a payment that goes on for too long; or read the one that is open."""

        async def deed(at_site: int, operator: staff.Operator) -> CaseObject:
            return case_object(await raise_case(pipes, at_site, payment_id, operator, reason=body.reason))

        asked = (site_id, payment_id, "open a case", key)
        return await done_once(pipes, request, asked, body.model_dump(), deed)

    @routes.post("/v1/cases/{case_id}/resolve", operation_id="cases_resolve", response_model=CaseObject)
    async def proposed(
        request: Request, case_id: Text, body: ResolveBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Propose how a case ends, with a note and the hash of a proof; somebody else decides."""

        async def deed(at_site: int, operator: staff.Operator) -> CaseObject:
            with named_as_sent(_AS_SENT):
                await propose_resolution(pipes, at_site, case_id, operator, _proposal(body))
            async with pipes.database.reading() as reader:
                return await _shown(reader, at_site, case_id)

        return await done_once(pipes, request, (site_id, case_id, "resolve", key), body.model_dump(), deed)

    @routes.post("/v1/cases/{case_id}/decide", operation_id="cases_decide", response_model=CaseObject)
    async def decided(
        request: Request, case_id: Text, body: DecideBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Decide about what somebody else proposed; approved, it is carried out at once."""

        async def deed(at_site: int, operator: staff.Operator) -> CaseObject:
            said = {"reason": body.reason, "approval_id": body.approval_id}
            return case_object(await decide_case(pipes, at_site, case_id, operator, body.verdict, **said))

        return await done_once(pipes, request, (site_id, case_id, "decide", key), body.model_dump(), deed)


def _disputes(routes: APIRouter, pipes: Pipes) -> None:
    @routes.get("/v1/disputes", operation_id="disputes_list")
    async def listed(request: Request, asked: Annotated[DisputeListQuery, Query()]) -> DisputeList:
        """List disputes, the newest first; `next_cursor` goes into `starting_after`."""
        caller = await caller_of(pipes, request, asked.site_id)
        async with pipes.database.reading() as reader:
            with named_as_sent({"": "starting_after"}):
                found = await dispute_page(
                    reader, caller.site_id, is_open=asked.is_open, payment_id=asked.payment_id,
                    limit=asked.limit, starting_after=asked.starting_after,
                )  # fmt: skip
        last = found.disputes[-1].dispute_id if found.has_more else None
        data = [DisputeObject.model_validate(public_dispute(one)) for one in found.disputes]
        return DisputeList(data=data, has_more=found.has_more, next_cursor=last)

    @routes.post("/v1/disputes/{dispute_id}/move", operation_id="disputes_move", response_model=DisputeObject)
    async def moved(
        request: Request, dispute_id: Text, body: MoveBody, site_id: Site = 0, key: Key = None
    ) -> Response:
        """Say what people did about a dispute: needs_response, submitted, accepted or prevented."""

        async def deed(at_site: int, operator: staff.Operator) -> DisputeObject:
            its = await move_dispute(pipes, at_site, dispute_id, operator, body.state, note=body.note)
            return DisputeObject.model_validate(public_dispute(its))

        asked = (site_id, dispute_id, "move a dispute", key)
        return await done_once(pipes, request, asked, body.model_dump(), deed)


async def _shown(reader: Reader, site_id: int, case_id: str) -> CaseObject:
    its = await case(reader, site_id, case_id)
    return case_object(its, await proposal_waiting(reader, its))


def _proposal(body: ResolveBody) -> Proposal:
    if (body.amount_minor is None) is bool(body.currency):
        raise BadProposal(field="currency", rule="of amount_minor, and only with it")
    amount = None if body.amount_minor is None else Money(body.amount_minor, body.currency)
    return Proposal(
        body.resolution,
        body.note,
        body.attachment_sha256,
        amount,
        body.provider_reference,
        body.leg,
        body.payment_id,
    )
