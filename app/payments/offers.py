"""What a player can choose now: methods that the site offers, through an account that takes new orders."""

from app import merchants, methods, providers
from app.plumbing.database import Reader

__all__ = ["first_account", "offered"]


async def offered(reader: Reader, site: merchants.Site, currency: str) -> list[methods.Offer]:
    """Every method of a site in a currency that somebody can carry out now, in the site's order.

    Not those all of whose accounts are switched off, of as many as the site lets be asked.
    """
    offers = await methods.offers(reader, site.site_id, currency)
    if not offers:
        return []
    accounts = await providers.accounts_of_site(reader, site.site_id)
    on = {one.account for one, is_on in accounts if is_on}
    return [offer for offer in offers if on.intersection(_asked(site, offer))]


async def first_account(
    reader: Reader, site: merchants.Site, offer: methods.Offer
) -> providers.ProviderAccount:
    """The first account of a method that is not switched off, among those that the site lets be asked.

    Raises:
        MethodUnavailable: all of them are.
    """
    for name in _asked(site, offer):
        try:
            return await providers.account(reader, site.site_id, name, must_be_enabled=True)
        except providers.AccountNotFound:
            continue
    raise methods.MethodUnavailable(method=offer.method.code)


def _asked(site: merchants.Site, offer: methods.Offer) -> tuple[str, ...]:
    return offer.accounts[: site.most_attempts]
