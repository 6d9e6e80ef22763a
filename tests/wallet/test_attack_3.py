"""Attack: the bound of one site's waiting room can never keep that site from filling the whole process."""

from app.settings import Settings
from app.wallet import journal


def test_one_site_waits_in_less_than_the_whole_process() -> None:
    """At the limit of connections everybody is answered 503, whatever his site (see test_attack_1).

    One site whose calls wait (one player's 128 a batch do: one key is in one batch at a time) is refused only
    behind 1,024 of them, and the process refuses all sites behind 1,000.
    """
    assert journal._MOST_WAITING <= Settings().limit_concurrency // 2
