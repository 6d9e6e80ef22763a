-- How one batch of wallet operations meets the database: everything is locked and looked up by one call, and written by one.
-- They run with the caller's rights. Each lookup is a LATERAL with a LIMIT (or OFFSET 0), which the planner cannot turn around:
-- left to itself it reads whole tables while they are young and it knows nothing about them.

-- One row for each ask, in their order. First the cash accounts of every player to be locked, in the order of ids: whoever
-- holds a player's cash account decides about that player, so nothing read below can change before the commit. Every wallet of
-- the player, because a rollback names no currency. Then, in a second statement that sees what others committed meanwhile, all
-- that is known about each ask. A large batch is looked up in parts: the first part locks the players of all of them.
CREATE FUNCTION wallet_load(
  the_site integer, at timestamptz, locks text[], players text[], currencies text[], sources text[], withins text[], keys text[],
  refs text[], providers text[], round_ids text[], session_ids text[], asks_open boolean[])
  RETURNS TABLE (ord bigint, player_id text, status text, wallet wallet, cash_minor bigint, cash_version bigint, bonus_minor bigint,
    bonus_version bigint, moved_at timestamptz, known wallet_operation, reference wallet_operation, reference_player text, is_tombstoned boolean,
    is_own_tombstoned boolean, is_reversed boolean, is_settled boolean, around wallet_round, session_ok boolean, round_open boolean)
  LANGUAGE plpgsql ROWS 50 SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF cardinality(locks) > 0 THEN
    PERFORM FROM ledger_lock(the_site, ARRAY(
      SELECT w.cash_account_id
        FROM (SELECT DISTINCT name FROM unnest(locks) AS name) p,
        LATERAL (SELECT q.player_id FROM player q WHERE q.site_id = the_site AND q.site_login = p.name LIMIT 1) q,
        LATERAL (SELECT v.* FROM wallet v WHERE v.site_id = the_site AND v.player_id = q.player_id OFFSET 0) w));
  END IF;
  RETURN QUERY
    SELECT i.ord, q.player_id, q.status, w.whole, c.balance_minor, c.version, coalesce(b.balance_minor, 0),
           coalesce(b.version, 0), greatest(c.moved_at, (w.whole).moved_at),
           k, r, (SELECT v.player_id FROM wallet v WHERE v.site_id = the_site AND v.wallet_id = r.wallet_id),
           m.is_tombstoned,
           i.ref IS NOT NULL AND coalesce((
             SELECT true FROM wallet_operation t
              WHERE t.site_id = the_site AND t.source = i.source AND t.within = i.within AND t.reference = i.key
                AND t.code = 'NOTHING_TO_REVERSE' LIMIT 1), false),
           m.is_reversed, m.is_settled, o.whole,
           i.session_id IS NULL OR coalesce((
             SELECT s.wallet_id = w.wallet_id AND s.provider_id = i.provider AND s.ended_at IS NULL AND s.expires_at > at
               FROM game_session s WHERE s.site_id = the_site AND s.session_id = i.session_id LIMIT 1), false),
           i.asks AND coalesce((
             SELECT true FROM wallet_round x
              WHERE x.site_id = the_site AND x.wallet_id = w.wallet_id AND x.state = 'open' LIMIT 1), false)
      FROM (SELECT x.ord, x.player, coalesce(x.currency, currencies[1]) AS currency, coalesce(x.source, sources[1]) AS source,
                   coalesce(x.within, withins[1]) AS within, x.key,
                   CASE WHEN cardinality(refs) = 1 THEN refs[1] ELSE x.ref END AS ref,
                   coalesce(x.provider, providers[1]) AS provider,
                   CASE WHEN cardinality(round_ids) = 1 THEN round_ids[1] ELSE x.round_id END AS round_id,
                   CASE WHEN cardinality(session_ids) = 1 THEN session_ids[1] ELSE x.session_id END AS session_id,
                   coalesce(x.asks, asks_open[1]) AS asks
              FROM unnest(players, currencies, sources, withins, keys, refs, providers, round_ids, session_ids, asks_open)
                     WITH ORDINALITY AS x (player, currency, source, within, key, ref, provider, round_id, session_id, asks, ord)
             OFFSET 0) i
      LEFT JOIN player q ON q.site_id = the_site AND q.site_login = i.player
      LEFT JOIN wallet_operation k ON k.site_id = the_site AND k.source = i.source AND k.within = i.within AND k.key = i.key
      LEFT JOIN wallet_operation r ON r.site_id = the_site AND r.source = i.source AND r.within = i.within AND r.key = i.ref
      -- What later operations did to the one this is about; for a bet: what came before it. Each is one probe of an index, however
      -- many operations name the same one.
      LEFT JOIN LATERAL (
        SELECT coalesce((
                 SELECT true FROM wallet_operation l
                  WHERE l.site_id = the_site AND l.source = i.source AND l.within = i.within
                    AND l.reference = coalesce(i.ref, i.key) AND l.code = 'NOTHING_TO_REVERSE' LIMIT 1), false) AS is_tombstoned,
               (r.operation_id IS NOT NULL OR k.operation_id IS NOT NULL) AND coalesce((
                 SELECT true FROM wallet_operation l
                  WHERE l.site_id = the_site AND l.source = i.source AND l.within = i.within
                    AND l.reference = coalesce(i.ref, i.key) AND l.code = 'OK' AND l.type IN ('rollback', 'reverse_win')
                    AND l.applied LIMIT 1), false) AS is_reversed,
               r.operation_id IS NOT NULL AND coalesce((
                 SELECT true FROM wallet_operation l
                  WHERE l.site_id = the_site AND l.source = i.source AND l.within = i.within
                    AND l.reference = i.ref AND l.code = 'OK' AND l.type = 'win' AND l.applied LIMIT 1), false) AS is_settled
        OFFSET 0) m ON true
      LEFT JOIN LATERAL (
        (SELECT v AS whole, v.wallet_id, v.cash_account_id, v.bonus_account_id, v.bonus_version FROM wallet v
          WHERE v.site_id = the_site AND v.player_id = q.player_id AND v.currency = i.currency)
        UNION ALL
        (SELECT v, v.wallet_id, v.cash_account_id, v.bonus_account_id, v.bonus_version FROM wallet v
          WHERE i.currency = '' AND v.site_id = the_site AND v.player_id = q.player_id
          ORDER BY v.wallet_id = r.wallet_id DESC NULLS LAST, v.wallet_id) LIMIT 1) w ON true
      LEFT JOIN LATERAL (
        SELECT a.balance_minor, a.version, a.moved_at FROM account a
         WHERE a.site_id = the_site AND a.account_id = w.cash_account_id LIMIT 1) c ON true
      -- Bonus moves by this journal alone: a wallet that never moved any has none.
      LEFT JOIN LATERAL (
        SELECT a.balance_minor, a.version FROM account a
         WHERE w.bonus_version > 0 AND a.site_id = the_site AND a.account_id = w.bonus_account_id LIMIT 1) b ON true
      LEFT JOIN LATERAL (
        SELECT x AS whole FROM wallet_round x
         WHERE x.site_id = the_site AND x.wallet_id = w.wallet_id AND x.round_id = coalesce(r.round_id, i.round_id)
           AND x.provider_id = coalesce(r.provider_id, i.provider) LIMIT 1) o ON true
     ORDER BY i.ord;
END $$
-- ;;
-- What a batch decided: operations, where each wallet stands, and how each round is. The money itself is the ledger's to write.
-- sources, withins, types, codes, applied, currencies, wins, bonus, refs, round_ids, provider_ids, games, session_ids, details and
-- request_ids have one value for each operation, or one for all of them: arrays are most of what a large batch costs here.
CREATE FUNCTION wallet_write(
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
-- ;;
-- Told to the planner beforehand, as for the ledger's tables (end of ledger_journal.sql): one site has many rows, ids are all
-- different, and namespaces, codes and platforms are few. Positive: so many different values; negative: such a part of the rows.
DO $$
DECLARE told record;
BEGIN
  IF to_regproc('pg_catalog.pg_restore_attribute_stats') IS NOT NULL THEN
    FOR told IN
      SELECT * FROM (VALUES
        ('player', 'site_id', 1), ('player', 'site_login', -1), ('player', 'player_id', -1),
        ('wallet', 'site_id', 1), ('wallet', 'player_id', -1), ('wallet', 'currency', 2),
        ('wallet_operation', 'site_id', 1), ('wallet_operation', 'source', 2), ('wallet_operation', 'within', 1),
        ('wallet_operation', 'key', -1), ('wallet_operation', 'reference', -1), ('wallet_operation', 'code', 5),
        ('wallet_operation', 'type', 5), ('wallet_operation', 'wallet_id', -0.1),
        ('wallet_round', 'site_id', 1), ('wallet_round', 'wallet_id', -0.1), ('wallet_round', 'provider_id', 5),
        ('wallet_round', 'round_id', -1), ('wallet_round', 'state', 2),
        ('game_session', 'site_id', 1), ('game_session', 'session_id', -1)) AS v (table_name, column_name, differs)
    LOOP
      PERFORM pg_restore_attribute_stats('schemaname', 'public', 'relname', told.table_name, 'attname', told.column_name,
        'inherited', false, 'null_frac', 0::real, 'avg_width', 8, 'n_distinct', told.differs::real);
    END LOOP;
  END IF;
END $$
