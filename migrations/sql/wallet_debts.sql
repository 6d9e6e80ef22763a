-- What a player owes stands in an account that few have, opened with the first debt by whatever room. The wallet notes which one
-- it is, so that wallets that never owed anything are decided without looking for one.

-- First the player's cash account, like everybody: a batch that is deciding about this player ends first, and the next one knows.
CREATE FUNCTION wallet_note_debt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM ledger_lock(NEW.site_id, ARRAY(
    SELECT a.account_id FROM account a WHERE a.site_id = NEW.site_id AND a.owner = NEW.owner AND a.purpose = 'player_cash'
       AND a.currency = NEW.currency));
  UPDATE wallet SET debt_account_id = NEW.account_id
   WHERE site_id = NEW.site_id AND player_id = NEW.owner AND currency = NEW.currency;
  RETURN NULL;
END $$
-- ;;
CREATE TRIGGER account_debt_noted AFTER INSERT ON account FOR EACH ROW WHEN (NEW.purpose = 'player_debt')
  EXECUTE FUNCTION wallet_note_debt()
-- ;;
-- And a wallet that is opened after the debt was made.
CREATE FUNCTION wallet_find_debt() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM ledger_lock(NEW.site_id, ARRAY[NEW.cash_account_id]);
  NEW.debt_account_id := (SELECT a.account_id FROM account a
    WHERE a.site_id = NEW.site_id AND a.owner = NEW.player_id AND a.purpose = 'player_debt' AND a.currency = NEW.currency);
  RETURN NEW;
END $$
-- ;;
CREATE TRIGGER wallet_debt_found BEFORE INSERT ON wallet FOR EACH ROW EXECUTE FUNCTION wallet_find_debt()
-- ;;
UPDATE wallet w SET debt_account_id = a.account_id FROM account a
 WHERE a.site_id = w.site_id AND a.owner = w.player_id AND a.purpose = 'player_debt' AND a.currency = w.currency
-- ;;
DROP FUNCTION wallet_load
-- ;;
-- One row for each ask, in their order. First the cash accounts of every player to be locked, in the order of ids: whoever
-- holds a player's cash account decides about that player, so nothing read below can change before the commit. Every wallet of
-- the player, because a rollback names no currency. Then, in a second statement that sees what others committed meanwhile, all
-- that is known about each ask. A large batch is looked up in parts: the first part locks the players of all of them.
CREATE FUNCTION wallet_load(
  the_site integer, at timestamptz, locks text[], players text[], currencies text[], sources text[], withins text[], keys text[],
  refs text[], providers text[], round_ids text[], session_ids text[], asks_open boolean[])
  RETURNS TABLE (ord bigint, player_id text, status text, wallet wallet, cash_minor bigint, cash_version bigint, bonus_minor bigint,
    bonus_version bigint, debt_minor bigint, moved_at timestamptz, known wallet_operation, reference wallet_operation, reference_player text, is_tombstoned boolean,
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
           coalesce(b.version, 0), -coalesce(d.balance_minor, 0), greatest(c.moved_at, (w.whole).moved_at),
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
        (SELECT v AS whole, v.wallet_id, v.cash_account_id, v.bonus_account_id, v.bonus_version, v.debt_account_id FROM wallet v
          WHERE v.site_id = the_site AND v.player_id = q.player_id AND v.currency = i.currency)
        UNION ALL
        (SELECT v, v.wallet_id, v.cash_account_id, v.bonus_account_id, v.bonus_version, v.debt_account_id FROM wallet v
          WHERE i.currency = '' AND v.site_id = the_site AND v.player_id = q.player_id
          ORDER BY v.wallet_id = r.wallet_id DESC NULLS LAST, v.wallet_id) LIMIT 1) w ON true
      LEFT JOIN LATERAL (
        SELECT a.balance_minor, a.version, a.moved_at FROM account a
         WHERE a.site_id = the_site AND a.account_id = w.cash_account_id LIMIT 1) c ON true
      -- Bonus moves by this journal alone: a wallet that never moved any has none.
      LEFT JOIN LATERAL (
        SELECT a.balance_minor, a.version FROM account a
         WHERE w.bonus_version > 0 AND a.site_id = the_site AND a.account_id = w.bonus_account_id LIMIT 1) b ON true
      -- Whoever changes what a player owes holds the player's cash account, so this stays as it is too.
      LEFT JOIN LATERAL (
        SELECT a.balance_minor FROM account a
         WHERE w.debt_account_id IS NOT NULL AND a.site_id = the_site AND a.account_id = w.debt_account_id LIMIT 1) d ON true
      LEFT JOIN LATERAL (
        SELECT x AS whole FROM wallet_round x
         WHERE x.site_id = the_site AND x.wallet_id = w.wallet_id AND x.round_id = coalesce(r.round_id, i.round_id)
           AND x.provider_id = coalesce(r.provider_id, i.provider) LIMIT 1) o ON true
     ORDER BY i.ord;
END $$
