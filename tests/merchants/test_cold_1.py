"""An address is registered by the rule by which it is called later."""

from datetime import datetime

import pytest

from app import merchants
from app.plumbing.addresses import BadPeerAddress
from app.plumbing.database import Database


async def test_a_test_sites_callback_address_follows_the_rule_of_every_other_address(
    database: Database, now: datetime
) -> None:
    """The client is opened without `test_profile` (wiring): it would refuse every call to this address."""
    url = "http://shop.example.com:8080/callback"
    new = merchants.NewSite(
        "Altyn", ("KZT",), "https://a.example.com/", "https://a.example.com/", is_test=True
    )
    async with database.transaction() as tx:
        site_id = (await merchants.create_site(tx, new, at=now)).site_id
        with pytest.raises(BadPeerAddress):
            await merchants.set_callback_url(tx, site_id, url, at=now)
