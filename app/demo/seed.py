"""A demo site with every method on the sandbox provider."""

from dataclasses import replace
from datetime import datetime

from app import merchants, methods, payments, providers, staff
from app.demo.facts import ACCOUNT, SECOND_ACCOUNT, Demo
from app.kernel import ids
from app.kernel.money import Money
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["ACCOUNT", "SANDBOX", "SECOND_ACCOUNT", "Demo", "offer_everything", "seed"]

SANDBOX = "sandbox"  # the provider account's name at every test site
SECOND_SANDBOX = "sandbox-2"
THROUGH_BOTH = "e_wallet"  # the method that goes on to the second account where the first refuses
CURRENCY = "KZT"
# Smallest and largest payment at a test site, in major units.
LIMITS = {
    "KZT": ("500", "1000000"),
    "UZS": ("5000", "10000000"),
    "RUB": ("100", "300000"),
    "JPY": ("100", "1000000"),
}
OTHER_LIMITS = ("1", "10000")
# Below the first a withdrawal needs nobody but the shop's owner; above the second two people besides.
AUTO_BELOW, SECOND_ABOVE = "50000", "500000"


async def seed(
    pipes: Pipes,
    earlier: Demo | None,
    *,
    merchant_url: str,
    sandbox_url: str,
    peers: frozenset[tuple[str, int]],
) -> Demo:
    """The demo site of this database: the one an earlier run made, or a new one.

    Args:
        pipes: as `wiring` opens them.
        earlier: what demo.json said.
        merchant_url, sandbox_url: where the two demo servers listen now.
        peers: the private addresses that callouts may reach here.
    """
    async with pipes.database.transaction() as tx:
        if earlier is not None and earlier.merchant_url == merchant_url and await _is_here(tx, earlier):
            secret = earlier.sandbox_secret
            await offer_everything(
                tx, earlier.site_id, CURRENCY, sandbox_url=sandbox_url, secret=secret, peers=peers
            )
            await _let_small_payouts_go(tx, earlier.site_id, pipes.clock.now())
            return replace(
                earlier,
                base_url=pipes.public_url,
                sandbox_url=sandbox_url,
                allowed_private_peers=_written(peers),
            )
        created = await merchants.create_site(
            tx,
            merchants.NewSite(
                name="Altyn Games",
                currencies=(CURRENCY,),
                callout_url=f"{merchant_url}/cashier/callout",
                notify_url=f"{merchant_url}/cashier/notify",
                frame_origins=(merchant_url,),
                is_test=True,
            ),
            at=pipes.clock.now(),
            allowed_private_peers=peers,
        )
        secret = ids.secret()
        await offer_everything(
            tx, created.site_id, CURRENCY, sandbox_url=sandbox_url, secret=secret, peers=peers
        )
        await _let_small_payouts_go(tx, created.site_id, pipes.clock.now())
    return Demo(
        base_url=pipes.public_url,
        merchant_url=merchant_url,
        sandbox_url=sandbox_url,
        site_id=created.site_id,
        salt=created.salt,
        currency=CURRENCY,
        api_tokens=created.tokens,
        webhook_secret=created.webhook_secret,
        sandbox_secret=secret,
        allowed_private_peers=_written(peers),
    )


async def offer_everything(
    tx: Transaction,
    site_id: int,
    currency: str,
    *,
    sandbox_url: str,
    secret: str,
    peers: frozenset[tuple[str, int]],
) -> None:
    """Let a test site offer every way to pay in and out in a currency, carried out by the sandbox."""
    for name, account in ((SANDBOX, ACCOUNT), (SECOND_SANDBOX, SECOND_ACCOUNT)):
        await providers.seed_account(
            tx,
            site_id,
            name,
            gateway="sandbox",
            base_url=sandbox_url,
            page_origin=sandbox_url,
            credentials={"account": account, "secret": secret},
            allowed_private_peers=peers,
        )
    low, high = (Money.parse(limit, currency) for limit in LIMITS.get(currency, OTHER_LIMITS))
    ways = {
        methods.Direction.DEPOSIT: methods.CATALOGUE,
        methods.Direction.PAYOUT: methods.DESTINATION_FIELDS,
    }
    for direction, codes in ways.items():
        for position, method in enumerate(codes):
            await methods.offer_method(
                tx,
                site_id,
                method,
                minimum=low,
                maximum=high,
                account=SANDBOX,
                position=position,
                direction=direction,
            )
        both = (SANDBOX, SECOND_SANDBOX)
        await methods.order_accounts(tx, site_id, THROUGH_BOTH, currency, both, direction=direction)


async def _let_small_payouts_go(tx: Transaction, site_id: int, at: datetime) -> None:
    """Give the demo site a policy, unless it has one of its own."""
    now_is = await payments.policy(tx, site_id, CURRENCY)
    if now_is == payments.PayoutPolicy():
        wanted = replace(
            now_is,
            auto_below=Money.parse(AUTO_BELOW, CURRENCY),
            second_above=Money.parse(SECOND_ABOVE, CURRENCY),
        )
        await payments.set_policy(tx, site_id, CURRENCY, wanted, by=staff.SYSTEM, at=at)


async def _is_here(tx: Transaction, earlier: Demo) -> bool:
    """Whether this database knows the site of an earlier run."""
    try:
        site = await merchants.site(tx, earlier.site_id)
    except merchants.SiteNotFound:
        return False
    return site.signing_salt == earlier.salt and site.callout_url.startswith(earlier.merchant_url)


def _written(peers: frozenset[tuple[str, int]]) -> list[str]:
    return sorted(f"{host}:{port}" for host, port in peers)
