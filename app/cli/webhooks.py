"""What merchants were told: send it again."""

from app import webhooks
from app.cli.asking import done, group, out

__all__ = ["webhook"]

webhook = group("Notifications to merchants.")


@webhook.command("replay")
def webhooks_replay(site_id: int, webhook_id: str) -> None:
    """Send a notification again from the start of its schedule, with the same id."""
    done(lambda tx, at: webhooks.replay(tx, site_id, webhook_id, at=at))
    out.print("queued")
