"""Which addresses may be reached from here: the judgement against server-side request forgery.

A merchant gives us web addresses and we call them from inside our own network. Two judgements stand between
the two:

- `target_of` reads the *text* of a URL, when it is registered and again before every call: https, a public
  name, a web port. It is one strict grammar, so two parsers cannot read two hosts out of one text.
- `why_refused` judges an *address* at the moment of dialling, after the name was resolved. Only this one
  stops a name that points inward, because what a name points at is decided by its owner, anew at every
  look-up.

`ipaddress.is_global` alone is not a guard: Python 3.11.7 says yes to NAT64, 6to4, multicast and more
(CVE-2024-4032).
"""

import re
import socket
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from app.kernel.errors import Refusal

__all__ = [
    "DEFAULT_PORTS",
    "TEST_PORTS",
    "WEB_PORTS",
    "BadPeerAddress",
    "Peer",
    "Target",
    "check_registered_url",
    "is_allowed",
    "is_this_machine",
    "target_of",
    "why_refused",
]

Peer: TypeAlias = tuple[str, int]
"""A host as a URL writes it (a name, or an address without brackets) and a port: ("127.0.0.1", 8081)."""

WEB_PORTS = frozenset({443, 8443})
TEST_PORTS = WEB_PORTS | {80, 8080}  # beside the ports of named peers; a test profile speaks plain http too
DEFAULT_PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2_048  # characters; what every proxy and log on the way still carries
LONGEST_HOST = 253  # characters; RFC 1035 section 2.3.4

URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*)?"
)
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# A last label that is a number makes the whole host one: 127.1, 0x7f.1, 2130706433 and 0177.0.0.1 are all
# 127.0.0.1.
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Sources: the IANA special-purpose registries of IPv4 and IPv6 addresses (RFC 6890 and its updates).
REFUSED: tuple[tuple[IPv4Network | IPv6Network, str], ...] = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "it means this very network"),
        ("10.0.0.0/8", "it is private"),
        ("100.64.0.0/10", "it lies behind a carrier's address translation"),
        ("127.0.0.0/8", "it is loopback"),
        ("168.63.129.16/32", "it is the host's own service in a known cloud, although it looks public"),
        ("169.254.0.0/16", "it is link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "it is private"),
        ("192.0.0.0/24", "it is reserved for protocols"),
        ("192.0.2.0/24", "it is reserved for documentation"),
        ("192.88.99.0/24", "it is the retired 6to4 relay"),
        ("192.168.0.0/16", "it is private"),
        ("198.18.0.0/15", "it is reserved for benchmarks"),
        ("198.51.100.0/24", "it is reserved for documentation"),
        ("203.0.113.0/24", "it is reserved for documentation"),
        ("224.0.0.0/4", "it is multicast"),
        ("240.0.0.0/4", "it is reserved"),
        ("::/128", "it means this very host"),
        ("::1/128", "it is loopback"),
        ("::/96", "it is the retired form of an embedded IPv4 address"),
        ("64:ff9b::/96", "it is translated to IPv4 behind our back (NAT64)"),
        ("64:ff9b:1::/48", "it is translated to IPv4 behind our back (local NAT64)"),
        ("100::/64", "it is a black hole"),
        ("2001::/32", "it is a tunnel to IPv4 (Teredo)"),
        ("2001::/23", "it is reserved for protocols"),
        ("2001:db8::/32", "it is reserved for documentation"),
        ("2002::/16", "it is a tunnel to IPv4 (6to4)"),
        ("3fff::/20", "it is reserved for documentation"),
        ("5f00::/16", "it is reserved for segment routing"),
        ("fc00::/7", "it is private"),
        ("fe80::/10", "it is link-local"),
        ("fec0::/10", "it is the retired site-local form"),
        ("ff00::/8", "it is multicast"),
    )
)
GLOBAL_UNICAST = IPv6Network(
    "2000::/3"
)  # all that was ever given out; anything else of IPv6 is not the public internet


class BadPeerAddress(Refusal):
    """This web address cannot be used: {reason}."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL points at: the scheme, the host in lower case and without brackets, the port."""

    scheme: str
    host: str
    port: int

    @property
    def peer(self) -> str:
        """The target in one word, as breakers, bulkheads and the desk name it: `https://shop.example:443`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def check_registered_url(
    url: str, *, test_profile: bool, allowed_private_peers: AbstractSet[Peer] = frozenset()
) -> None:
    """Refuse a URL that may not be registered as a callout, webhook or gateway address.

    Args:
        url: the text as the merchant or operator gave it.
        test_profile: whether plain http is spoken here; never in production.
        allowed_private_peers: hosts and ports that are named exactly; each may be an address, private, and
            plain http.

    Raises:
        BadPeerAddress: with the rule that is broken. The URL itself is not repeated: it may hold a password.
    """
    target_of(url, test_profile=test_profile, allowed_private_peers=allowed_private_peers)


def target_of(
    url: str, *, test_profile: bool = False, allowed_private_peers: AbstractSet[Peer] = frozenset()
) -> Target:
    """Read a URL by the rule of `check_registered_url` and say what it points at.

    Raises:
        BadPeerAddress: with the rule that is broken.
    """
    if len(url) > LONGEST_URL:
        raise BadPeerAddress(reason=f"it is longer than {LONGEST_URL} characters")
    if url.partition(":")[0] not in DEFAULT_PORTS:
        raise BadPeerAddress(reason="it must begin with https://")
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise BadPeerAddress(reason="it must not hold a user name or password")
    parts = URL.fullmatch(url)
    if parts is None:
        raise BadPeerAddress(
            reason="it holds a character that has no place there (write an international name as xn--...)"
        )
    scheme, host = parts["scheme"], (parts["literal"] or parts["name"]).lower()
    target = Target(scheme, host, int(parts["port"] or DEFAULT_PORTS[scheme]))
    if (host, target.port) in allowed_private_peers:
        return target
    if scheme != "https" and not test_profile:
        raise BadPeerAddress(reason="it must begin with https://")
    if target.port not in (TEST_PORTS if test_profile else WEB_PORTS):
        raise BadPeerAddress(reason=f"port {target.port} is not a web port (443 or 8443)")
    if parts["literal"]:
        raise BadPeerAddress(reason="its host must be a name, not an address")
    _check_public_name(host)
    return target


def _check_public_name(host: str) -> None:
    labels = host.split(".")
    if NUMBER.fullmatch(labels[-1]):
        raise BadPeerAddress(reason="its host must be a name, not an address")
    if len(host) > LONGEST_HOST or not all(LABEL.fullmatch(label) for label in labels):
        raise BadPeerAddress(reason="its host is not a well-formed name")
    if len(labels) == 1:
        raise BadPeerAddress(reason="its host is a local name; a public one has a dot")


def is_allowed(ip: str | IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet, so that a stranger may send us there."""
    return why_refused(ip) is None


def why_refused(ip: str | IPv4Address | IPv6Address) -> str | None:
    """Why an address may not be dialled for a stranger, or None when it may.

    Raises:
        ValueError: `ip` is not an address.
    """
    address = ip_address(ip) if isinstance(ip, str) else ip
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "it is bound to one of our network cards"
        if (
            address.ipv4_mapped is not None
        ):  # ::ffff:0:0/96 is dialled as IPv4, so the embedded address is judged
            return why_refused(address.ipv4_mapped)
    for network, reason in REFUSED:
        if address.version == network.version and address in network:
            return reason
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return "it is not of the public internet"
    if not address.is_global:  # whatever a newer Python knows beyond the list
        return "it is not of the public internet"
    return None


def is_this_machine(ip: str | IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of this machine's own, so that calling it would be calling ourselves.

    The kernel is asked which source address it would use: for an address of its own it is that very address.
    Connecting a datagram socket sends nothing. What a translator in front of us maps to us cannot be seen
    from here.
    """
    address = ip_address(ip) if isinstance(ip, str) else ip
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((str(address), 9))  # 9: discard; the number means nothing here
            return ip_address(asking.getsockname()[0].partition("%")[0]) == address
    except OSError:  # no way there, so it is not here
        return False
