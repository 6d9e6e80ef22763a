"""The `cashier` command: run the processes, open sites, look after the ledger and the webhooks."""

from app.cli import deposits, simulation, staff
from app.cli.asking import DATABASE_REFUSALS, NAME_IT, fail, fail_at
from app.cli.cases import case
from app.cli.letters import job
from app.cli.payouts import payout
from app.cli.processes import program
from app.cli.providers import provider
from app.cli.refunds import dispute, refund
from app.cli.sites import site, token
from app.cli.switches import switch
from app.cli.wallet import player, purse
from app.cli.webhooks import webhook
from app.kernel.errors import Refusal
from app.plumbing import logs
from app.plumbing.addresses import BadPeerAddress
from app.plumbing.database import CommitUnknown, DatabaseDown, NotCommitted
from app.settings import BadSetting
from app.wallet import Refused

__all__ = ["main", "program"]

program.info.help = __doc__
for _name, _group in {
    "site": site,
    "provider": provider,
    "token": token,
    "webhooks": webhook,
    "player": player,
    "wallet": purse,
    "deposit": deposits.deposit,
    "refund": refund,
    "dispute": dispute,
    "case": case,
    "payout": payout,
    "switch": switch,
    "jobs": job,
}.items():
    program.add_typer(_group, name=_name)
staff.register(program)
simulation.register(program)


def main() -> None:
    """Run a command; what goes wrong is one sentence, and status 1."""
    # What a command says goes to standard output, its log does not. The servers set up their own.
    logs.configure("warning", as_json=False)
    try:
        program()
    except BadPeerAddress as error:
        fail(f"{error} {NAME_IT}")
    except CommitUnknown as error:
        fail(f"{error}; it may have happened. Look before you run it again.")
    except NotCommitted as error:
        fail(f"{error}; nothing was changed.")
    except (BadSetting, Refusal, Refused, DatabaseDown) as error:
        fail(str(error))
    except DATABASE_REFUSALS as error:
        fail_at(error)
