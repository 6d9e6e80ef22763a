-- What a batch was decided upon is confirmed with one look at each row. Of an account, what its lock tells; of a wallet, all at once,
-- its instant too: counters alone fit again where a standby that lacks the last commits has taken over, and others have moved on.
-- Whether a round that a batch opens is new is told by writing it. Arrays are unnested in the select list: in FROM, PostgreSQL stores
-- all of their rows before it reads one.
-- The former wallet_confirm and wallet_expect, with other parameters, stay for processes of the version before, until a later
-- migration drops them. wallet_write is replaced for all.

-- Lock what a batch has decided about, in the order of ids like everybody, and refuse the batch if anything was changed since.
-- account_ids   each once, and with a floor: what the locks tell is held against all of them
CREATE FUNCTION wallet_confirm(
  the_site integer, wallet_ids bigint[], account_ids bigint[], versions bigint[], sequences bigint[], revisions bigint[], debts bigint[],
  moved_ats timestamptz[])
  RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  has_changed boolean;
BEGIN
  has_changed := ARRAY(SELECT l.version FROM ledger_lock(the_site, account_ids) l ORDER BY l.account_id)
    IS DISTINCT FROM ARRAY(SELECT x.version FROM (SELECT unnest(account_ids) AS account_id, unnest(versions) AS version) x ORDER BY x.account_id);
  -- In a second statement, which sees what others committed until the locks were ours.
  has_changed := has_changed OR EXISTS (
    SELECT FROM (SELECT unnest(wallet_ids) AS wallet_id, unnest(sequences) AS sequence, unnest(revisions) AS revision,
                        unnest(debts) AS debt, unnest(moved_ats) AS moved_at) x
      LEFT JOIN LATERAL (
        SELECT w.sequence, w.revision, w.moved_at, w.debt_account_id FROM wallet w
         WHERE w.site_id = the_site AND w.wallet_id = x.wallet_id OFFSET 0) w ON true
      LEFT JOIN LATERAL (
        SELECT d.balance_minor FROM account d
         WHERE w.debt_account_id IS NOT NULL AND d.site_id = the_site AND d.account_id = w.debt_account_id OFFSET 0) d ON true
     WHERE (w.sequence, w.revision, w.moved_at, -coalesce(d.balance_minor, 0))
       IS DISTINCT FROM (x.sequence, x.revision, x.moved_at, x.debt));
  IF has_changed THEN
    RAISE EXCEPTION 'what this batch was decided upon has changed' USING ERRCODE = 'serialization_failure';
  END IF;
END $$
-- ;;
-- Refuse a batch where anything that was not looked up is not as it nearly always is: keys that nobody rolled back before they came,
-- rounds that are not recorded (of those that are not written behind it), sessions that live. With a code of its own: nobody has moved
-- what is remembered.
CREATE FUNCTION wallet_expect(
  the_site integer, at timestamptz, sources text[], withins text[], keys text[],
  round_wallets bigint[], round_providers text[], round_names text[],
  session_wallets bigint[], session_providers text[], session_ids text[])
  RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  is_wrong boolean := false;
BEGIN
  IF cardinality(keys) > 0 THEN
    is_wrong := EXISTS (
      SELECT FROM (SELECT unnest(sources) AS source, unnest(withins) AS within, unnest(keys) AS key) x,
        LATERAL (SELECT FROM wallet_operation o
                  WHERE o.site_id = the_site AND o.source = x.source AND o.within = x.within AND o.reference = x.key
                    AND o.code = 'NOTHING_TO_REVERSE' LIMIT 1) o);
  END IF;
  IF cardinality(round_names) > 0 AND NOT is_wrong THEN
    is_wrong := EXISTS (
      SELECT FROM (SELECT unnest(round_wallets) AS wallet_id, unnest(round_providers) AS provider, unnest(round_names) AS name) x,
        LATERAL (SELECT FROM wallet_round r
                  WHERE r.site_id = the_site AND r.wallet_id = x.wallet_id AND r.round_id = x.name AND r.provider_id = x.provider LIMIT 1) r);
  END IF;
  IF cardinality(session_ids) > 0 AND NOT is_wrong THEN
    is_wrong := EXISTS (
      SELECT FROM (SELECT unnest(session_wallets) AS wallet_id, unnest(session_providers) AS provider, unnest(session_ids) AS session_id) x
        LEFT JOIN LATERAL (
          SELECT s.wallet_id = x.wallet_id AND s.provider_id = x.provider AND s.ended_at IS NULL AND s.expires_at > at AS lives
            FROM game_session s WHERE s.site_id = the_site AND s.session_id = x.session_id LIMIT 1) s ON true
       WHERE s.lives IS NOT TRUE);
  END IF;
  IF is_wrong THEN
    RAISE EXCEPTION 'what this batch took for granted is not so' USING ERRCODE = 'W0001';
  END IF;
END $$
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
    FROM (SELECT unnest(operation_ids) AS operation_id, unnest(sources) AS source, unnest(withins) AS within, unnest(keys) AS key,
                 unnest(types) AS type, unnest(codes) AS code, unnest(applied) AS applied, unnest(fingerprints) AS fingerprint,
                 unnest(wallet_ids) AS wallet_id, unnest(currencies) AS currency, unnest(amounts) AS amount, unnest(wins) AS win,
                 unnest(cash) AS cash, unnest(bonus) AS bonus, unnest(befores) AS before, unnest(afters) AS after,
                 unnest(sequences) AS sequence, unnest(refs) AS ref, unnest(round_ids) AS round_id,
                 unnest(provider_ids) AS provider_id, unnest(games) AS game, unnest(session_ids) AS session_id,
                 unnest(details) AS detail, unnest(request_ids) AS request_id) x;
  -- Through the row's place, so that the wallets named are looked up one by one, never all of them read.
  UPDATE wallet w SET sequence = x.sequence, cash_version = x.cash_version, bonus_version = x.bonus_version, balance_minor = x.balance,
         moved_at = at
    FROM (SELECT unnest(moved_ids) AS wallet_id, unnest(moved_sequences) AS sequence, unnest(cash_versions) AS cash_version,
                 unnest(bonus_versions) AS bonus_version, unnest(balances) AS balance) x,
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
  -- A round that was to be new, and is recorded, began with another operation: it is not written over.
  IF cardinality(round_wallets) > 0 THEN
    INSERT INTO wallet_round AS r (site_id, wallet_id, provider_id, round_id, game_code, currency, state, is_free, open_bets,
      bet_minor, win_minor, reversed_minor, first_sequence, last_sequence, opened_at, changed_at)
    SELECT the_site, unnest(round_wallets), unnest(round_providers), unnest(round_names), unnest(round_games), unnest(round_currencies),
           unnest(round_states), unnest(round_free), unnest(round_open_bets), unnest(round_bets), unnest(round_wins),
           unnest(round_reversed), unnest(round_first), unnest(round_last), at, at
    ON CONFLICT (site_id, wallet_id, provider_id, round_id) DO UPDATE SET state = excluded.state, is_free = excluded.is_free,
      open_bets = excluded.open_bets, bet_minor = excluded.bet_minor, win_minor = excluded.win_minor,
      reversed_minor = excluded.reversed_minor, last_sequence = excluded.last_sequence, changed_at = excluded.changed_at
      WHERE r.first_sequence = excluded.first_sequence;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> cardinality(round_wallets) THEN
      RAISE EXCEPTION 'a round that this batch took for a new one is recorded' USING ERRCODE = 'W0001';
    END IF;
  END IF;
END $$
