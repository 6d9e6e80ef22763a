"""What `var/demo.json` says: everything that another program needs to play a merchant of the demo."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["ACCOUNT", "SECOND_ACCOUNT", "Demo"]

ACCOUNT = "open-cashier-demo"  # what the sandbox provider calls us
SECOND_ACCOUNT = "open-cashier-demo-2"  # another contract with it, for what the first does not take


@dataclass(frozen=True, slots=True)
class Demo:
    """The running demo, as `cashier up` writes it down."""

    base_url: str
    merchant_url: str
    sandbox_url: str
    site_id: int
    salt: str = field(repr=False)
    currency: str
    api_tokens: dict[str, str] = field(repr=False)
    webhook_secret: str = field(repr=False)
    sandbox_secret: str = field(repr=False)
    allowed_private_peers: list[str] = field(default_factory=list)
    staff: list[dict[str, str]] = field(default_factory=list)

    @property
    def peers(self) -> frozenset[tuple[str, int]]:
        """The private addresses that the running demo may call, as host and port."""
        parted = (peer.rpartition(":") for peer in self.allowed_private_peers)
        return frozenset((host, int(port)) for host, _, port in parted)

    def write(self, path: Path) -> None:
        """Write the file so that only its owner can read it: it holds the demo's secrets.

        A reader finds the whole of it or the whole of the one before.
        """
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps(asdict(self), indent=2) + "\n")
        new.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Demo | None":
        """What an earlier run wrote, if it is still of this shape."""
        try:
            return cls(**json.loads(path.read_text()))
        except (FileNotFoundError, TypeError, ValueError):
            return None
