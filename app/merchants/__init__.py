"""Whom we serve: merchants, their sites, keys, and what each site has switched on.

Promises that a signed request is the site's own (`authentic_site`) and that an unknown site cannot be told
from a wrong signature. Owns sites, salts, API tokens, and the signatures we issued.
"""

from app.merchants.model import (
    BadAttempts,
    MessageFormat,
    NotAuthentic,
    Scope,
    Site,
    SiteId,
    WalletMode,
    site_number,
)
from app.merchants.operations import (
    FIRST_SEEN,
    BadName,
    BadOrigin,
    CreatedSite,
    NewSite,
    TokenNotFound,
    create_site,
    create_token,
    forget_signatures,
    issued_signature,
    revoke_token,
    rotate_salt,
    seen_signature,
    set_callback_url,
    set_most_attempts,
    set_tell_every_change,
)
from app.merchants.queries import (
    SiteNotFound,
    Token,
    authentic_site,
    bearer,
    know_site,
    shown,
    site,
    site_beside,
    site_of_rows,
    site_of_token,
    tells_every_change,
    tokens_of,
)

# fmt: off
__all__ = [
    "FIRST_SEEN", "BadAttempts", "BadName", "BadOrigin", "CreatedSite", "MessageFormat", "NewSite",
    "NotAuthentic", "Scope", "Site", "SiteId", "SiteNotFound", "Token", "TokenNotFound", "WalletMode",
    "authentic_site", "bearer", "create_site", "create_token", "forget_signatures", "issued_signature",
    "know_site", "revoke_token", "rotate_salt", "seen_signature", "set_callback_url", "set_most_attempts",
    "set_tell_every_change", "shown", "site", "site_beside", "site_number", "site_of_rows", "site_of_token",
    "tells_every_change", "tokens_of",
]
# fmt: on
