"""I1-I6 and I9 for the end of every story: the same functions that production runs on a schedule."""

from collections.abc import Mapping, Sequence

from app import ledger
from app.ledger.audit import (
    acknowledged_exist,
    balances_are_sums,
    chain_verifies,
    entries_sum_to_zero,
    floors_hold,
    keys_have_effect_once,
    versions_chain,
)
from app.plumbing.database import Database, Transaction

__all__ = ["ALL", "hold", "i1", "i2", "i3", "i4", "i5", "i6", "i9"]

i1 = acknowledged_exist
i2 = keys_have_effect_once
i3 = entries_sum_to_zero
i4 = balances_are_sums
i5 = floors_hold
i6 = versions_chain
i9 = chain_verifies
ALL = {"I1": i1, "I2": i2, "I3": i3, "I4": i4, "I5": i5, "I6": i6, "I9": i9}


async def hold(
    database: Database, *, acknowledged: Mapping[int, Sequence[ledger.Posted]] | None = None
) -> ledger.Report:
    """Assert that every invariant holds, of the whole ledger and again from the verified point.

    Args:
        database: as any role that may verify.
        acknowledged: the answers that were given, by site.
    """
    for site_id, answers in (acknowledged or {}).items():
        async with database.reading() as reader:
            missing = await i1(reader, site_id, answers)
        assert missing is None, missing

    async def full(tx: Transaction) -> ledger.Report:
        return await ledger.checkpoint(tx, full=True)

    report = await database.retried(full)
    assert report.ok, report.violations
    async with database.reading() as reader:
        again = await ledger.verify(reader)
    assert again.ok, again.violations
    return report
