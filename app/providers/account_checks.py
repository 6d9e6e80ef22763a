"""What can be an account at a provider: its name, its gateway, where it is, and as whom we come."""

import re
from dataclasses import dataclass, field
from typing import Final

from app.kernel.errors import Refusal
from app.plumbing.addresses import DEFAULT_PORTS, Peer, check_registered_url, target_of
from app.providers.gateways import GATEWAYS

__all__ = [
    "BadAccount",
    "NewAccount",
    "check_gateway",
    "check_new",
    "check_place",
    "check_secret",
]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # it stands in the address of the account's notices
# As the browser spells it: the page of each order is compared with it letter by letter.
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_NUMBER: Final = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")  # it goes into headers and signatures
_LONGEST_SECRET: Final = 4_096  # characters; a key of RSA with 4,096 bits has fewer


class BadAccount(Refusal):
    """The account's {field} {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Name what cannot be."""
        super().__init__(field=field, rule=rule)
        self.param = field.replace(" ", "_")


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody decides who opens an account: whose gateway, where, and as whom we come.

    Args:
        name: by which orders of accounts, payments and the diary call it.
        gateway: one of those that are known here.
        base_url: where the provider's interface is.
        merchant_id: our number at the provider.
        secret: with which both sides sign, or log in.
        page_origin: the only place to which the provider may send a player's browser; empty: any.
    """

    name: str
    gateway: str
    base_url: str
    merchant_id: str
    secret: str = field(repr=False)
    page_origin: str = ""


def check_new(new: NewAccount, peers: frozenset[Peer]) -> None:
    """Refuse what can be no account."""
    check_gateway(new.gateway)
    if not _NAME.fullmatch(new.name):
        raise BadAccount(
            field="name", rule="must be 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit"
        )
    check_place(new.base_url, new.merchant_id, new.page_origin, peers)
    check_secret(new.secret)


def check_gateway(name: str) -> None:
    """Refuse a gateway that nobody here knows."""
    if name not in GATEWAYS:
        known = ", ".join(sorted(GATEWAYS))
        raise BadAccount(field="gateway", rule=f"{name} is not known here; known are: {known}")


def check_place(
    base_url: str | None, merchant_id: str | None, page_origin: str | None, peers: frozenset[Peer]
) -> None:
    """Refuse what can be no place of a provider, or no number of ours there; None is not judged."""
    if base_url is not None:
        check_registered_url(base_url, test_profile=False, allowed_private_peers=peers)
        if "?" in base_url:
            raise BadAccount(field="url", rule="must have no query: paths are put behind it")
    if page_origin:
        _check_origin(page_origin, peers)
    if merchant_id is not None and not _NUMBER.fullmatch(merchant_id):
        rule = "must be 1 to 128 printable ASCII characters without blanks around them"
        raise BadAccount(field="merchant id", rule=rule)


def _check_origin(origin: str, peers: frozenset[Peer]) -> None:
    """A browser leaves out its scheme's own port, and the page of each order is compared letter by letter."""
    target = target_of(origin, allowed_private_peers=peers)
    if not _ORIGIN.fullmatch(origin):
        raise BadAccount(field="page origin", rule="must be like https://host or https://host:port")
    usual = DEFAULT_PORTS[target.scheme]
    if origin.endswith(f":{usual}"):
        raise BadAccount(field="page origin", rule=f"must leave out the port {usual}, as browsers do")


def check_secret(secret: str) -> None:
    """Refuse what can be no secret."""
    if not secret:
        raise BadAccount(field="secret", rule="is empty")
    if len(secret) > _LONGEST_SECRET:
        raise BadAccount(field="secret", rule=f"is longer than {_LONGEST_SECRET} characters")
    if not secret.isprintable():
        raise BadAccount(field="secret", rule="must be one line of printable characters")
