-- Most batches are decided upon what they read without a lock, and written only if all of that still stands. What a decision about
-- a wallet depends on is changed in few ways: by operations (its sequence), by other rooms (the version of its cash account, what
-- is owed), and by what moves no money and says so here (its revision): a session or a round that is ended, a bet that may not come
-- any more. Ids that two batches write at once are refused by their unique keys.

GRANT UPDATE (revision) ON wallet TO cashier_app
-- ;;
-- Make batches that have looked these wallets up look again. They are locked here, lest a batch that is writing be passed.
CREATE FUNCTION wallet_revise(the_site integer, wallet_ids bigint[]) RETURNS void
  LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM ledger_lock(the_site, ARRAY(SELECT w.cash_account_id FROM wallet w WHERE w.site_id = the_site AND w.wallet_id = ANY (wallet_ids)));
  UPDATE wallet SET revision = revision + 1 WHERE site_id = the_site AND wallet_id = ANY (wallet_ids);
END $$
-- ;;
-- Lock what a batch has decided about, in the order of ids like everybody, and refuse the batch if anything was changed since.
CREATE FUNCTION wallet_confirm(
  the_site integer, wallet_ids bigint[], account_ids bigint[], versions bigint[], sequences bigint[], revisions bigint[], debts bigint[])
  RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM ledger_lock(the_site, account_ids);
  -- In a second statement, which sees what others committed until the locks were ours.
  IF EXISTS (
    SELECT FROM unnest(wallet_ids, account_ids, versions, sequences, revisions, debts)
             AS x (wallet_id, account_id, version, sequence, revision, debt)
      LEFT JOIN LATERAL (
        SELECT w.sequence, w.revision, w.debt_account_id FROM wallet w
         WHERE w.site_id = the_site AND w.wallet_id = x.wallet_id OFFSET 0) w ON true
      LEFT JOIN LATERAL (
        SELECT a.version FROM account a WHERE a.site_id = the_site AND a.account_id = x.account_id OFFSET 0) a ON true
      LEFT JOIN LATERAL (
        SELECT d.balance_minor FROM account d
         WHERE w.debt_account_id IS NOT NULL AND d.site_id = the_site AND d.account_id = w.debt_account_id OFFSET 0) d ON true
     WHERE (a.version, w.sequence, w.revision, -coalesce(d.balance_minor, 0)) IS DISTINCT FROM (x.version, x.sequence, x.revision, x.debt)) THEN
    RAISE EXCEPTION 'what this batch was decided upon has changed' USING ERRCODE = 'serialization_failure';
  END IF;
END $$
-- ;;
-- Where the facts are, so that nobody who changes them can forget it. A round that an operation ends is told by the sequence.
CREATE FUNCTION wallet_revise_its() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM wallet_revise(NEW.site_id, ARRAY[NEW.wallet_id]);
  RETURN NULL;
END $$
-- ;;
CREATE TRIGGER game_session_ended AFTER UPDATE OF ended_at ON game_session FOR EACH ROW
  WHEN (NEW.ended_at IS DISTINCT FROM OLD.ended_at) EXECUTE FUNCTION wallet_revise_its()
-- ;;
CREATE TRIGGER wallet_round_ended AFTER UPDATE OF state ON wallet_round FOR EACH ROW
  WHEN (NEW.state <> OLD.state AND NEW.last_sequence = OLD.last_sequence) EXECUTE FUNCTION wallet_revise_its()
-- ;;
-- What a batch decided: operations, where each wallet stands, and how each round is. The money itself is the ledger's to write.
-- sources, withins, types, codes, applied, currencies, wins, bonus, refs, round_ids, provider_ids, games, session_ids, details and
-- request_ids have one value for each operation, or one for all of them: arrays are most of what a large batch costs here.
CREATE OR REPLACE FUNCTION wallet_write(
  the_site integer, at timestamptz,
  operation_ids text[], sources text[], withins text[], keys text[], types text[], codes text[], applied boolean[],
  fingerprints bytea[], wallet_ids bigint[], currencies text[], amounts bigint[], wins bigint[], cash bigint[], bonus bigint[],
  befores bigint[], afters bigint[], sequences bigint[], refs text[], round_ids text[], provider_ids text[], games text[], session_ids text[],
  details text[], request_ids text[],
  moved_ids bigint[], moved_sequences bigint[], cash_versions bigint[], bonus_versions bigint[], balances bigint[],
  round_wallets bigint[], round_providers text[], round_names text[], round_games text[], round_currencies text[],
  round_states text[], round_free boolean[], round_open_bets integer[], round_bets bigint[], round_wins bigint[],
  round_reversed bigint[], round_first bigint[], round_last bigint[])
  RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  written bigint;
BEGIN
  INSERT INTO wallet_operation (site_id, operation_id, source, within, key, type, code, applied, fingerprint, wallet_id, currency,
    amount_minor, win_minor, cash_minor, bonus_minor, balance_before_minor, balance_after_minor, sequence, reference, round_id,
    provider_id, game_code, session_id, detail, request_id, recorded_at)
  SELECT the_site, x.operation_id, coalesce(x.source, sources[1]), coalesce(x.within, withins[1]), x.key,
         coalesce(x.type, types[1]), coalesce(x.code, codes[1]), coalesce(x.applied, applied[1]), x.fingerprint, x.wallet_id,
         coalesce(x.currency, currencies[1]), x.amount, coalesce(x.win, wins[1]), x.cash, coalesce(x.bonus, bonus[1]),
         x.before, x.after, x.sequence,
         CASE WHEN cardinality(refs) = 1 THEN refs[1] ELSE x.ref END,
         CASE WHEN cardinality(round_ids) = 1 THEN round_ids[1] ELSE x.round_id END,
         coalesce(x.provider_id, provider_ids[1]),
         CASE WHEN cardinality(games) = 1 THEN games[1] ELSE x.game END,
         CASE WHEN cardinality(session_ids) = 1 THEN session_ids[1] ELSE x.session_id END,
         CASE WHEN cardinality(details) = 1 THEN details[1] ELSE x.detail END,
         coalesce(x.request_id, request_ids[1]), at
    FROM unnest(operation_ids, sources, withins, keys, types, codes, applied, fingerprints, wallet_ids, currencies, amounts, wins,
           cash, bonus, befores, afters, sequences, refs, round_ids, provider_ids, games, session_ids, details, request_ids)
      AS x (operation_id, source, within, key, type, code, applied, fingerprint, wallet_id, currency, amount, win, cash, bonus,
            before, after, sequence, ref, round_id, provider_id, game, session_id, detail, request_id);
  -- Through the row's place, so that the wallets named are looked up one by one, never all of them read.
  UPDATE wallet w SET sequence = x.sequence, cash_version = x.cash_version, bonus_version = x.bonus_version, balance_minor = x.balance,
         moved_at = at
    FROM unnest(moved_ids, moved_sequences, cash_versions, bonus_versions, balances)
           AS x (wallet_id, sequence, cash_version, bonus_version, balance),
         LATERAL (SELECT v.ctid AS place FROM wallet v WHERE v.site_id = the_site AND v.wallet_id = x.wallet_id LIMIT 1) p
   WHERE w.ctid = p.place;
  -- Whoever changes a wallet holds its cash account, as this batch does. Should anybody not, no money moves past a row that was missed.
  GET DIAGNOSTICS written = ROW_COUNT;
  IF written <> cardinality(moved_ids) THEN
    RAISE EXCEPTION 'a wallet was changed by somebody who had not locked it' USING ERRCODE = 'serialization_failure';
  END IF;
  -- A bet that was rolled back before it came may not come, in whatever wallet of the player's: no money tells, and no sequence.
  IF 'NOTHING_TO_REVERSE' = ANY (codes) THEN
    PERFORM wallet_revise(the_site, ARRAY(
      SELECT v.wallet_id
        FROM (SELECT DISTINCT w.player_id FROM unnest(wallet_ids, codes) AS x (wallet_id, code)
                JOIN wallet w ON w.site_id = the_site AND w.wallet_id = x.wallet_id
               WHERE coalesce(x.code, codes[1]) = 'NOTHING_TO_REVERSE') p
        JOIN wallet v ON v.site_id = the_site AND v.player_id = p.player_id));
  END IF;
  IF cardinality(round_wallets) > 0 THEN
    INSERT INTO wallet_round AS r (site_id, wallet_id, provider_id, round_id, game_code, currency, state, is_free, open_bets,
      bet_minor, win_minor, reversed_minor, first_sequence, last_sequence, opened_at, changed_at)
    SELECT the_site, x.*, at, at FROM unnest(round_wallets, round_providers, round_names, round_games, round_currencies,
      round_states, round_free, round_open_bets, round_bets, round_wins, round_reversed, round_first, round_last) AS x
    ON CONFLICT (site_id, wallet_id, provider_id, round_id) DO UPDATE SET state = excluded.state, is_free = excluded.is_free,
      open_bets = excluded.open_bets, bet_minor = excluded.bet_minor, win_minor = excluded.win_minor,
      reversed_minor = excluded.reversed_minor, last_sequence = excluded.last_sequence, changed_at = excluded.changed_at;
  END IF;
END $$
