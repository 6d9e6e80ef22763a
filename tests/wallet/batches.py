"""What the oracle says of many operations, all in their order or none, and of one that was."""

import copy
from collections.abc import Mapping
from typing import Any, Protocol

from tests.wallet.answers import SUCCESSES, Answer, Operation, envelope, refused
from tests.wallet.wishes import Kind, No, Policy, Wish, read

__all__ = ["Batches", "Body", "Key"]

Body = Mapping[str, Any]
Key = tuple[str, str, str]


class Batches(Protocol):
    """What the oracle does with many operations; `_do` and `_now` are its own."""

    policy: Policy
    is_seamless: bool
    operations: dict[Key, Operation]

    def _do(self, wish: Wish) -> Answer: ...

    def _now(self, player: str, currency: str) -> dict[str, Any]: ...

    def transfer_status(self, transfer: str) -> Answer:
        known = self.operations.get(("operator", "", transfer))
        if known is None:
            return refused("TRANSFER_NOT_FOUND")
        if known.wish is None:
            return envelope("OK", transferId=transfer, status="voided")
        status = "completed" if known.code in SUCCESSES else "refused"
        return envelope("OK", transferId=transfer, status=status)

    def unread(self, kind: Kind, no: No, field: str | None) -> Answer:
        """What asks for nothing hears first that nothing of the kind is to be had."""
        if self.is_seamless and kind not in {"win", "rollback"}:
            return refused("WRONG_WALLET_MODE")
        return refused(no.code, field)

    def _batch(self, body: Body, kinds: tuple[Kind, ...]) -> Answer:
        items = body.get("operations")
        if not isinstance(items, list) or not 1 <= len(items) <= 1000:
            return self.unread(kinds[0], No("VALIDATION"), "operations")
        if not isinstance(body.get("allOrNone", False), bool):
            return self.unread(kinds[0], No("VALIDATION"), "allOrNone")
        if body.get("allOrNone", False):
            return self._all_or_none(items, kinds)
        return self._executed([self._item(*item, kinds) for item in enumerate(items)])

    def _executed(self, answers: list[Answer]) -> Answer:
        """The balance now is the one when the whole batch is answered."""
        for _, item in answers:
            if "balance" in item["data"]:
                item["data"] |= self._now(item["data"]["playerExternalId"], item["data"]["currency"])
        return envelope("OK", results=[item for _, item in answers])

    def _all_or_none(self, items: list[object], kinds: tuple[Kind, ...]) -> Answer:
        """One refusal undoes all; what cannot even be read keeps the others from being tried."""
        before = copy.deepcopy(self.__dict__)
        tried = [self._item(*item, kinds, only_read=True) for item in enumerate(items)]
        readable = all(item["success"] for _, item in tried)
        tried = [self._item(*item, kinds) for item in enumerate(items)] if readable else tried
        failed = [answer for answer in tried if not answer[1]["success"]]
        if not failed:
            return self._executed(tried)
        self.__dict__ = before
        undone: list[dict[str, Any]] = [
            # What was done before this batch stays done, and is told as such.
            {} if self._is_known(item["data"]) else {"data": {"applied": False}, "success": False}
            for _, item in tried
        ]
        for shown, (_, item) in zip(undone, tried, strict=True):
            shown.update({} if item["success"] else {"code": item["code"]})
            if "data" in shown and item["code"] in {"INSUFFICIENT_FUNDS", "LIMIT_EXCEEDED"}:
                shown["data"] |= self._left_alone(item["data"])
        data = {"results": undone} if readable else {}
        return failed[0][0], {"success": False, "code": failed[0][1]["code"], "data": data}

    def _left_alone(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The balance as it was before, and which limit was in the way."""
        kept = {name: data[name] for name in ("limit",) if name in data}
        if "currency" in data:
            kept["balance"] = self._now(data["playerExternalId"], data["currency"])["balance"]
        return kept

    def _is_known(self, data: Mapping[str, Any]) -> bool:
        keys = [known.wish.id for known in self.operations.values() if known.wish is not None]
        return bool(data.get("duplicate")) and data["externalId"] in keys

    def _item(self, number: int, item: object, kinds: tuple[Kind, ...], *, only_read: bool = False) -> Answer:
        if not isinstance(item, Mapping):
            return refused("VALIDATION", f"operations.{number}")
        if item.get("type") not in kinds:
            return refused("VALIDATION", f"operations.{number}.type")
        try:
            wish = read(item["type"], item, self.policy)
        except No as no:
            return self.unread(item["type"], no, f"operations.{number}.{no.field}" if no.field else None)
        try:
            return envelope("OK") if only_read else self._do(wish)
        except No as no:
            return refused(no.code, f"operations.{number}.{no.field}" if no.field else None)
