"""A passing storm of this review: three journals, all policies by chance, sweeps, holds, debts, lost connections; not collected.

Run it: .venv/bin/pytest -q tests/wallet/hammer_of_review.py (HSEED, HN)."""
import asyncio, os
from random import Random
from datetime import timedelta
import pytest
from app import ledger, wallet, players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.plumbing.batching import Overloaded
from app.wallet.contract import Refused
from app.wallet.journal import Journal
from app.wallet.queries import policies_of
from app.wallet.schemas import game_ask, transfer_ask
from app.wallet.sweeps import sweep_stuck, grant_bonus
from app.wallet.rounds import stuck_rounds, close_round, Stuck
from app.wallet.terms import Type, Policy
from tests import invariants
from tests.wallet.counter import opened
from tests.wallet.test_free_rounds import grant

SEED = int(os.environ.get("HSEED", "1"))
N = int(os.environ.get("HN", "1500"))

@pytest.mark.timeout(300)
async def test_hammer(database: Database, clock: MovableClock) -> None:
    r = Random(SEED)
    async with opened(database, clock) as c:
        names = [f"p{i}" for i in range(6)]
        codes = {}
        for n in names:
            for cur in ("KZT", "USD"):
                codes[n] = (await c.player(n, currency=cur, cash=3000))["playerCode"]
            await grant(c, player=n, spins=8, max_win=150)
        dec = {"reverse_wins": r.choice(["true", "true", "false"]), "max_win": r.choice(["0", "150"]), "stake_order": r.choice(["cash_first", "bonus_first"]),
               "stuck_action": r.choice(["refund", "close"]), "stuck_after_hours": "1", "free_wins": r.choice(["each", "together"]),
               "id_scope": r.choice(["site", "player", "round"])}
        await c.decide(**dec)
        async with database.reading() as reader:
            base = (await policies_of(reader, c.site_id))[""]
        js = [Journal(c.pipes, part=p, abreast=a) for p, a in ((3, 2), (7, 2), (200, 1))]
        made = {n: [] for n in names}
        cnt = iter(range(10**9))
        def new(n):
            known = made[n]
            if known and r.random() < .2:
                return r.choice(known[-10:])
            num = len(known)
            k = r.choices(["deposit", "withdraw", "bet", "win", "betwin", "rollback", "jackpot", "spin", "pay"], [6, 5, 34, 24, 6, 20, 3, 6, 2])[0]
            cur = r.choice(["KZT", "KZT", "KZT", "USD"])
            who = {"playerExternalId": n, "currency": cur}
            if k in ("deposit", "withdraw"):
                b = who | {"transferId": f"{n}-t{num}"} | ({"all": True} if k == "withdraw" and r.random() < .2 else {"amount": r.randint(1, 300)})
                one = (k, b)
            else:
                near = max(0, num + r.randint(-7, 2))
                b = who | {"transactionId": f"{n}-{num}", "providerId": "acme", "gameCode": "g", "roundId": f"r{num//5}", "isRoundFinished": r.random() < .08}
                kind = k
                if k == "rollback":
                    b = {"playerExternalId": n, "transactionId": f"{n}-{num}", "referenceId": f"{n}-{near}", "roundId": f"r{near//5}"}
                elif k == "win":
                    b |= {"referenceId": f"{n}-{near}", "roundId": f"r{near//5}", "amount": r.randint(0, 250)}
                    if near < len(known) and "currency" in known[near][1]: b["currency"] = known[near][1]["currency"]
                elif k == "betwin":
                    b |= {"betAmount": r.randint(1, 150), "winAmount": r.randint(0, 250)}
                elif k == "jackpot":
                    b |= {"kind": "jackpot", "amount": r.randint(1, 300)}; kind = "win"
                elif k == "pay":
                    b |= {"kind": "free_round", "freeRoundId": "gift", "amount": r.randint(1, 200), "currency": "KZT"}; kind = "win"
                elif k == "spin":
                    b |= {"amount": 0, "freeRoundId": "gift", "currency": "KZT"}; kind = "bet"
                else:
                    b |= {"amount": r.randint(1, 300)}
                one = (kind, b)
            known.append(one)
            return one
        from dataclasses import replace
        from app.wallet.terms import StakeOrder, FreeWins, FreeRounds, ShortReversal
        def ask(one):
            pol = replace(base, reverse_wins=r.random() < .7, max_win=r.choice([0, 150]), stake_order=r.choice(list(StakeOrder)), free_wins=r.choice(list(FreeWins)), tombstoned_bet_ok=r.random() < .3, short_reversal=r.choice(list(ShortReversal)), one_bet_per_round=r.random() < .05, withdraw_while_round_open=r.random() < .8)
            k, b = one
            t = Type(k)
            return transfer_ask(t, b, pol, "req") if t in (Type.DEPOSIT, Type.WITHDRAW) else game_ask(t, b, lambda _: pol, "req")
        bad = []
        async def client():
            for _ in range(N // 12):
                if r.random() < .85:
                    a = ask(new(r.choice(names)))
                    try:
                        await r.choice(js).post(c.site_id, a)
                    except (Overloaded, ) as e:
                        pass
                    except Exception as e:
                        (None if type(e).__name__ in ('CommitUnknown','DatabaseDown') else bad.append(repr(e)))
                else:
                    few = r.sample(names, 2)
                    asks = [ask(new(r.choice(few))) for _ in range(r.choice([2, 5, 9, 9]))]
                    try:
                        got = await r.choice(js).run(c.site_id, asks, all_or_none=r.random() < .3)
                        pass
                    except Overloaded:
                        pass
                    except Exception as e:
                        (None if type(e).__name__ in ('CommitUnknown','DatabaseDown') else bad.append(repr(e)))
        stop = False
        async def house():
            while not stop:
                await asyncio.sleep(.02)
                d = r.choice(["close", "sweep", "held", "held", "take", "bonus", "status", "hold", "time", "kill"])
                n = r.choice(names); cur = r.choice(["KZT", "USD"])
                now = clock.now()
                try:
                    if d == "time":
                        clock.advance(timedelta(minutes=25))
                    elif d == "kill":
                        if r.random() < .5:
                            async with database.reading() as reader:
                                from sqlalchemy import text as T
                                await reader.all(T("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < .5"))
                    elif d == "sweep":
                        await sweep_stuck(c.pipes, r.choice(js))
                    elif d == "bonus":
                        await grant_bonus(c.pipes, c.site_id, n, Money(r.randint(1, 400), cur), f"b{next(cnt)}")
                    elif d == "status":
                        async with database.transaction() as tx:
                            await players.set_status(tx, c.site_id, n, r.choice([*[players.PlayerStatus.ACTIVE] * 5, players.PlayerStatus.BLOCKED]))
                    elif d == "take":
                        dm = ledger.Demand("payments", f"d{next(cnt)}", ledger.CHARGEBACK, Money(r.randint(1, 900), cur), codes[n], "psp", "x")
                        async def work(tx):
                            return await ledger.take(tx, c.site_id, dm, at=now)
                        await database.retried(work)
                    elif d == "hold":
                        key = f"h{next(cnt)}"
                        async def hold(tx):
                            return await ledger.hold(tx, c.site_id, ledger.HoldRequest("payments", key, codes[n], Money(r.randint(1, 500), cur), "w"), at=now)
                        h = await database.retried(hold)
                        if isinstance(h, ledger.Hold):
                            await asyncio.sleep(.02)
                            async def rel(tx):
                                return await ledger.release(tx, h, because="x", at=clock.now())
                            await database.retried(rel)
                    elif d == "held":
                        async with database.reading() as reader:
                            hs = await wallet.held_wins(reader, c.site_id)
                        if hs:
                            one = r.choice(hs)
                            deed = r.choice([wallet.let_go, wallet.take_back])
                            async with database.transaction() as tx:
                                await deed(tx, c.site_id, one.number, "why", at=clock.now())
                except Refused:
                    pass
                except Exception as e:
                    s = repr(e)
                    if not any(w in s for w in ("CommitUnknown","DatabaseDown","lost","terminat","closed")) and "lock timeout" not in s and "Deadlock" not in s and "deadlock" not in s:
                        bad.append("house " + d + " " + s)
        h = [asyncio.create_task(house()) for _ in range(2)]
        await asyncio.gather(*(client() for _ in range(12)))
        stop = True
        await asyncio.gather(*h)
        # settle
        for n in names:
            for cur in ("KZT", "USD"):
                b = {"playerExternalId": n, "currency": cur, "amount": 1, "transferId": f"{n}-{cur}-end"}
                async with database.transaction() as tx:
                    await players.set_status(tx, c.site_id, n, players.PlayerStatus.ACTIVE)
                pol = base
                assert (await js[0].post(c.site_id, transfer_ask(Type.DEPOSIT, b, base, "req"))).code == "OK"
        for j in js:
            await j.aclose()
        print("decisions", dec, "bad", bad[:5], len(bad))
        assert not bad, bad[:5]
        async with database.reading() as reader:
            from sqlalchemy import text
            q = lambda s: reader.all(text(s))
            ops = await q("SELECT o.*, w.player_id FROM wallet_operation o LEFT JOIN wallet w USING (site_id, wallet_id) ORDER BY wallet_id, sequence")
            tr = await q("SELECT t.*, s.purpose sp, g.purpose gp FROM transfer t JOIN account s ON s.account_id=t.source_account_id JOIN account g ON g.account_id=t.target_account_id WHERE t.source='wallet'")
            rounds = await q("SELECT * FROM wallet_round")
            grants = await q("SELECT * FROM free_round")
            wal = await q("SELECT w.*, c.balance_minor cash, b.balance_minor bonus, c.version cv FROM wallet w JOIN account c ON c.account_id=w.cash_account_id JOIN account b ON b.account_id=w.bonus_account_id")
        import collections
        print(collections.Counter((o.type, o.code) for o in ops))
        net = collections.defaultdict(int)
        for t in tr:
            if t.sp in ("player_cash", "player_bonus"): net[t.because] -= t.amount_minor
            if t.gp in ("player_cash", "player_bonus"): net[t.because] += t.amount_minor
        last = {}
        applied = [o for o in ops if o.applied]
        for o in applied:
            seq, bal = last.get(o.wallet_id, (0, 0))
            assert o.sequence == seq + 1, o
            assert o.balance_before_minor == bal, o
            last[o.wallet_id] = (o.sequence, o.balance_after_minor)
            if o.type != "cashier":
                assert net[o.operation_id] == o.balance_after_minor - o.balance_before_minor, o
        for w in wal:
            assert (w.sequence, w.balance_minor) == last[w.wallet_id]
            assert w.cash + w.bonus == w.balance_minor and w.cv == w.cash_version, w
        bykey = {(o.source, o.within, o.key): o for o in ops}
        refs = collections.defaultdict(list)
        for o in applied:
            if o.reference is not None and o.source in ("game", "desk"):
                refs[(("game", o.within, o.reference))].append(o)
        tomb = {(o.source, o.within, o.reference) for o in ops if o.code == "NOTHING_TO_REVERSE"}
        for k in tomb:
            assert k not in bykey or not bykey[k].applied or bykey[k].type in ("rollback", "reverse_win"), bykey[k]
        rs = collections.defaultdict(lambda: [0, 0, 0, 0])
        used = collections.defaultdict(int)
        for o in applied:
            if o.source not in ("game",): continue
            mine = refs[(o.source, o.within, o.key)]
            if o.type in ("bet", "betwin"):
                rb = [m for m in mine if m.type == "rollback"]; wi = [m for m in mine if m.type == "win"]
                assert len(rb) <= 1 and not (rb and wi), (o, mine)
                if rb:
                    assert (rb[0].amount_minor, rb[0].cash_minor, rb[0].bonus_minor, rb[0].wallet_id) == (o.amount_minor, o.cash_minor, o.bonus_minor, o.wallet_id)
                key = (o.wallet_id, o.provider_id, o.round_id)
                rs[key][0] += o.amount_minor; rs[key][1] += o.win_minor; rs[key][3] += 1 - len(rb)
                rs[key][2] += sum(m.amount_minor for m in rb)
                if o.detail: used[(o.wallet_id, o.detail)] += 1 - len(rb)
            if o.type == "win":
                rv = [m for m in mine if m.type == "reverse_win"]
                assert len([m for m in rv if not m.key.startswith("sweeper-")]) <= 1
                assert len(rv) <= 2
                got = o.cash_minor + o.bonus_minor
                assert sum(m.amount_minor for m in rv) <= got, (o, rv)
                if o.reference is not None:
                    key = (o.wallet_id, o.provider_id, o.round_id)
                    out = 0
                    for m in rv:
                        out += m.amount_minor if m.key.startswith("sweeper-") else 0
                    if any(not m.key.startswith("sweeper-") for m in rv): out = o.amount_minor
                    rs[key][1] += o.amount_minor - out
        desk = [o for o in applied if o.source == "desk" and o.type == "reverse_win"]
        for o in desk:
            rs[(o.wallet_id, o.provider_id, o.round_id)][1] -= o.amount_minor
        for x in rounds:
            key = (x.wallet_id, x.provider_id, x.round_id)
            assert [x.bet_minor, x.win_minor, x.reversed_minor, x.open_bets] == rs[key], (x, rs[key])
            assert (x.state == "cancelled") == (x.open_bets == 0), x
        assert {(x.wallet_id, x.provider_id, x.round_id) for x in rounds} == set(rs)
        for g in grants:
            assert g.used == used[(g.wallet_id, g.campaign_id)], (g, used)
        days = sorted({o.recorded_at.date() for o in ops})
        prev = {}
        cnt2 = 0
        for day in days:
            async with database.reading() as reader:
                for one in await wallet.closing(reader, c.site_id, day):
                    assert one.is_balanced, one
                    assert one.opening == prev.get(one.currency, 0), one
                    prev[one.currency] = one.closing
                    cnt2 += one.count
        assert cnt2 == len(applied)
        await c.settled()
        for whose in [{}, *({"playerExternalId": n} for n in names)]:
            seen = []
            asked = dict(whose, includeRefused="true", limit=37)
            while True:
                _, told = await c.get("/v1/transaction/list", **asked)
                seen += [t["transactionId"] for t in told["data"]["transactions"]]
                if told["data"]["nextCursor"] is None: break
                asked["cursor"] = told["data"]["nextCursor"]
            want = {o.operation_id for o in ops if not whose or o.player_id == codes[whose["playerExternalId"]]}
            assert len(seen) == len(set(seen)) and set(seen) == want, (whose, len(seen), len(want))
            for _ in range(6):
                a, b = sorted(r.sample([o.recorded_at for o in ops], 2))
                if a == b: continue
                seen = []
                asked = dict(whose, includeRefused="true", limit=23, startTime=a.isoformat(), endTime=b.isoformat())
                while True:
                    _, told = await c.get("/v1/transaction/list", **asked)
                    assert told["data"].get("transactions") is not None, told
                    seen += [t["transactionId"] for t in told["data"]["transactions"]]
                    if told["data"]["nextCursor"] is None: break
                    asked["cursor"] = told["data"]["nextCursor"]
                w2 = {o.operation_id for o in ops if o.operation_id in want and a <= o.recorded_at < b}
                assert set(seen) == w2 and len(seen) == len(w2), (whose, a, b, len(seen), len(w2), [ (o.type,o.code,o.recorded_at,o.sequence) for o in ops if o.operation_id in (w2 ^ set(seen))][:5])
        await invariants.hold(database)
