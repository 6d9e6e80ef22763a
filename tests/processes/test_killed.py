"""A process dies in the middle: nothing is lost, and nothing happens twice."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.processes.parts import Parts, parts
from tests.processes.running import until

pytestmark = pytest.mark.timeout(120)
# Where the worker stands when it is killed: before it has read the payment, or in the midst of the posting.
LOCKS = {
    "payment": "SELECT 1 FROM payment WHERE sub_status = 'awaiting_player' FOR UPDATE",
    "posting": "SELECT 1 FROM account FOR UPDATE",
}
BLOCKED = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'cashier worker' AND wait_event_type = 'Lock'"""
ENTRIES = """
    SELECT e.amount_minor FROM entry e JOIN transfer t USING (site_id, transfer_id)
    JOIN payment p ON p.site_id = t.site_id AND p.payment_id = t.because
    WHERE p.amount_minor = $1 ORDER BY e.amount_minor"""


@pytest.fixture
def cashier(clone_url: str) -> Iterator[Parts]:
    with parts(clone_url) as made:
        yield made


@pytest.mark.parametrize("where", LOCKS)
def test_a_worker_killed_before_the_posting_leaves_exactly_one_credit(cashier: Parts, where: str) -> None:
    first = cashier.player  # the accounts exist afterwards, so that one of them can be held
    first.deposit("1 000")
    first.decide("approve")
    first.until_stage("success")
    until(lambda: first.shop()["effects"]["credited"] == 1, "the first webhook")

    player = cashier.player
    assert player.deposit("2 500")["stage"] == "go_to_provider"
    with cashier.locked(LOCKS[where]):
        player.decide("approve")  # the provider's notice is acknowledged, a job reads it
        until(lambda: bool(cashier.rows(BLOCKED)), "the worker waits for the lock")
        cashier.kill("worker")
    assert cashier.rows(ENTRIES, 250_000) == []
    assert player.look()["stage"] != "success"

    cashier.start("worker")
    player.until_stage("success")
    until(lambda: player.shop()["effects"]["credited"] == 2, "the second webhook")
    assert [row["amount_minor"] for row in cashier.rows(ENTRIES, 250_000)] == [-250_000, 250_000]
    assert player.shop()["balances_minor"]["aigerim"] == 350_000
    assert cashier.rows("SELECT count(*) FROM webhook") == [{"count": 2}]
    cashier.check_invariants()


def test_a_web_process_killed_while_the_merchant_is_asked_leaves_nothing_half_done(cashier: Parts) -> None:
    player = cashier.player
    player.browser.post(f"{player.demo['merchant_url']}/demo/behaviour", json={"callout": "hang"})
    form = player.form("1 500")

    def press_pay() -> None:
        with pytest.raises(httpx.HTTPError):
            player.browser.post(f"{player.demo['base_url']}/cashier/deposit", data=form)

    paying = threading.Thread(target=press_pay)
    paying.start()
    until(lambda: bool(player.shop()["callouts"]), "the merchant is asked")
    cashier.kill("web")
    paying.join()
    states = "SELECT p.sub_status, c.state FROM payment p JOIN callout c USING (site_id, payment_id)"
    assert cashier.rows(states) == [{"sub_status": "checking", "state": "sent"}]

    cashier.start("web")
    # The sweep looks every half minute for payments abandoned for a minute: this one, from now on.
    cashier.rows("UPDATE payment SET changed_at = changed_at - interval '1 minute'")
    until(
        lambda: cashier.rows("SELECT sub_status FROM payment") == [{"sub_status": "merchant_unreachable"}],
        "the sweep has ended it",
        seconds=45,
    )
    until(lambda: bool(player.shop()["webhooks"]), "the merchant is told")
    told = player.shop()["webhooks"][0]
    assert '"status_id":10' in told["body"].replace(" ", "")
    assert cashier.rows(ENTRIES, 150_000) == []
    # The impatient player presses the same button again: the same payment, not a second one.
    again = player.browser.post(f"{player.demo['base_url']}/cashier/deposit", data=form)
    assert again.status_code == 303
    assert cashier.rows("SELECT count(*) FROM payment") == [{"count": 1}]
    cashier.check_invariants()
