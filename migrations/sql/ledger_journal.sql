-- How one batch reaches the ledger: open, lock, look up, write; one call each. They run as the owner of the tables: the
-- application's role may read them and may not write them, so these functions are the only way in.
-- One order of locks for everybody: accounts with a floor by id, because decisions depend on them; then those without one,
-- the hot ones, by id and as late as can be.
-- Whatever the statistics of young tables say, and however long ago a plan was made, each row here is found by a probe of a
-- unique index. LATERAL with OFFSET 0 (or a lock) says so: the planner may not turn such a join round and scan the table. So
-- one plan serves for ever, and is kept.

-- Open what is missing; answers in the order asked.
CREATE FUNCTION ledger_open(the_site integer, owners text[], purposes text[], currencies text[], floors bigint[], at timestamptz)
  RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO account (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at)
    SELECT DISTINCT the_site, w.owner, w.purpose, w.currency, w.floor_minor, at, at
      FROM unnest(owners, purposes, currencies, floors) AS w (owner, purpose, currency, floor_minor)
      LEFT JOIN LATERAL (SELECT a.account_id FROM account a WHERE a.site_id = the_site AND a.owner = w.owner
                            AND a.purpose = w.purpose AND a.currency = w.currency OFFSET 0) a ON true
     WHERE a.account_id IS NULL
     ORDER BY w.owner, w.purpose, w.currency
    ON CONFLICT (site_id, owner, purpose, currency) DO NOTHING;
  -- A second statement, which sees what others opened meanwhile.
  RETURN ARRAY(
    SELECT a.account_id FROM unnest(owners, purposes, currencies) WITH ORDINALITY AS w (owner, purpose, currency, place)
      LEFT JOIN LATERAL (SELECT a.account_id FROM account a WHERE a.site_id = the_site AND a.owner = w.owner
                            AND a.purpose = w.purpose AND a.currency = w.currency OFFSET 0) a ON true
     ORDER BY w.place);
END $$
-- ;;
-- Lock the accounts with a floor among these, and tell what they hold; ids may repeat.
CREATE FUNCTION ledger_lock(the_site integer, ids bigint[])
  RETURNS TABLE (account_id bigint, balance_minor bigint, version bigint, moved_at timestamptz)
  LANGUAGE plpgsql ROWS 50 SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT a.* FROM (SELECT DISTINCT id FROM unnest(ids) AS id ORDER BY id) k,
      LATERAL (SELECT a.account_id, a.balance_minor, a.version, a.moved_at FROM account a
                WHERE a.site_id = the_site AND a.account_id = k.id AND a.floor_minor IS NOT NULL FOR NO KEY UPDATE) a;
END $$
-- ;;
-- For who decides upon names and keys: open what is missing, then lock it all. An account is not opened for a request whose key
-- is known: a replay or a conflict writes nothing.
CREATE FUNCTION ledger_lock_accounts(
  the_site integer, sources text[], keys text[], owners text[], purposes text[], currencies text[], floors bigint[], at timestamptz)
  RETURNS SETOF account LANGUAGE plpgsql ROWS 50 SECURITY DEFINER SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  INSERT INTO account (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at)
    SELECT DISTINCT the_site, w.owner, w.purpose, w.currency, w.floor_minor, at, at
      FROM unnest(sources, keys, owners, purposes, currencies, floors) AS w (source, key, owner, purpose, currency, floor_minor)
      LEFT JOIN LATERAL (SELECT a.account_id FROM account a WHERE a.site_id = the_site AND a.owner = w.owner
                            AND a.purpose = w.purpose AND a.currency = w.currency OFFSET 0) a ON true
      LEFT JOIN LATERAL (SELECT t.transfer_id FROM transfer t
                          WHERE t.site_id = the_site AND t.source = w.source AND t.key = w.key OFFSET 0) t ON true
     WHERE a.account_id IS NULL AND t.transfer_id IS NULL
     ORDER BY w.owner, w.purpose, w.currency
    ON CONFLICT (site_id, owner, purpose, currency) DO NOTHING;
  RETURN QUERY
    SELECT a.* FROM (
      SELECT k.account_id
        FROM (SELECT DISTINCT owner, purpose, currency FROM unnest(owners, purposes, currencies) AS w (owner, purpose, currency)) w,
          LATERAL (SELECT a.account_id, a.floor_minor IS NULL AS is_last FROM account a
                    WHERE a.site_id = the_site AND a.owner = w.owner AND a.purpose = w.purpose AND a.currency = w.currency OFFSET 0) k
       ORDER BY k.is_last, k.account_id) k,
      LATERAL (SELECT * FROM account a WHERE a.site_id = the_site AND a.account_id = k.account_id FOR NO KEY UPDATE) a;
END $$
-- ;;
-- What is known of some keys.
CREATE FUNCTION ledger_known_keys(the_site integer, sources text[], keys text[]) RETURNS SETOF transfer
  LANGUAGE plpgsql ROWS 50 SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY
    SELECT t.* FROM unnest(sources, keys) AS w (source, key),
      LATERAL (SELECT * FROM transfer t WHERE t.site_id = the_site AND t.source = w.source AND t.key = w.key OFFSET 0) t;
END $$
-- ;;
-- A sum of whole minor units that stays one: `sum(bigint)` is a numeric, and this refuses what a BIGINT cannot hold.
CREATE AGGREGATE ledger_sum(bigint) (SFUNC = int8pl, STYPE = bigint, INITCOND = '0')
-- ;;
-- Transfers, entries and balances: the only way to write them. The caller says what moves between which accounts and nothing
-- else; numbers, versions, balances, instants and entries follow here from the rows of the accounts, which are locked first
-- (those with a floor the caller has locked before it decided). So no entry can say what its transfer does not say, and no
-- balance what its entries do not say. What may not be is refused, the whole batch with it.
-- sources, actors, outcomes, fingerprints, currencies   one for each transfer, or one for all of them
CREATE FUNCTION ledger_write(
  the_site integer, at timestamptz, sources text[], actors text[], outcomes text[], fingerprints bytea[], currencies text[],
  keys text[], kinds text[], amounts bigint[], source_ids bigint[], target_ids bigint[], reasons text[],
  OUT recorded_at timestamptz, OUT numbers bigint[])
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
  SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
  many CONSTANT integer := cardinality(keys);
  this_transaction CONSTANT bigint := pg_current_xact_id()::text::bigint;  -- once, not for each row
  the_instant timestamptz;
  the_numbers bigint[];
  versions bigint[];  -- after each transfer: of its source, of its target, of the next one's source ...
  balances bigint[];
  moved_ids bigint[];
  moved_versions bigint[];
  moved_balances bigint[];
  unfit bigint;
  below bigint;
BEGIN
  IF many > 0 IS NOT TRUE OR ARRAY[cardinality(kinds), cardinality(amounts), cardinality(source_ids), cardinality(target_ids), cardinality(reasons)]
       <@ ARRAY[many] IS NOT TRUE
     OR ARRAY[cardinality(sources), cardinality(actors), cardinality(outcomes), cardinality(fingerprints), cardinality(currencies)]
       <@ ARRAY[1, many] IS NOT TRUE THEN
    RAISE EXCEPTION 'ledger_write refused: arrays that are empty or of different lengths' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  -- Each account begins with what it holds (place 0); then come the transfers that touch it, in their order.
  WITH locked AS MATERIALIZED (
    SELECT a.* FROM (SELECT DISTINCT id FROM unnest(source_ids || target_ids) AS id ORDER BY id) k,
      LATERAL (SELECT a.account_id, a.balance_minor, a.version, a.floor_minor, a.purpose, a.currency, a.moved_at FROM account a
                WHERE a.site_id = the_site AND a.account_id = k.id FOR NO KEY UPDATE) a),
  wanted AS MATERIALIZED (
    SELECT 2 * w.place AS place, w.source_id, w.target_id, w.amount, coalesce(w.outcome, outcomes[1]) = 'posted' AS moves,
           coalesce(w.currency, currencies[1]) AS currency, m.source_purpose, m.target_purpose
      FROM unnest(source_ids, target_ids, amounts, outcomes, currencies, kinds) WITH ORDINALITY
        AS w (source_id, target_id, amount, outcome, currency, kind, place)
      LEFT JOIN movement m ON m.kind = w.kind),
  line AS (
    SELECT account_id, 0::bigint AS place, balance_minor AS gain, version, floor_minor, purpose, currency, moved_at, false AS moves
      FROM locked
    UNION ALL
    SELECT source_id, place - 1, CASE WHEN moves THEN -amount ELSE 0 END, NULL, NULL, source_purpose, currency, NULL, moves
      FROM wanted
    UNION ALL
    SELECT target_id, place, CASE WHEN moves THEN amount ELSE 0 END, NULL, NULL, target_purpose, currency, NULL, moves
      FROM wanted),
  running AS (
    SELECT l.account_id, l.place, l.moved_at,
           ledger_sum(l.gain) OVER w AS balance,
           first_value(l.version) OVER w + count(*) FILTER (WHERE l.moves) OVER w AS version,
           lead(l.place) OVER w IS NULL AS is_last,
           l.purpose = first_value(l.purpose) OVER w AND l.currency = first_value(l.currency) OVER w
             AND first_value(l.place) OVER w = 0 AS is_fit,
           ledger_sum(l.gain) OVER w >= first_value(l.floor_minor) OVER w AS is_floored
      FROM line l WINDOW w AS (PARTITION BY l.account_id ORDER BY l.place ROWS UNBOUNDED PRECEDING))
  SELECT greatest(at, max(r.moved_at)), min(r.place) FILTER (WHERE r.is_fit IS NOT TRUE), min(r.place) FILTER (WHERE r.is_floored IS FALSE),
         array_agg(r.version ORDER BY r.place) FILTER (WHERE r.place > 0), array_agg(r.balance ORDER BY r.place) FILTER (WHERE r.place > 0),
         array_agg(r.account_id ORDER BY r.place) FILTER (WHERE r.is_last), array_agg(r.version ORDER BY r.place) FILTER (WHERE r.is_last),
         array_agg(r.balance ORDER BY r.place) FILTER (WHERE r.is_last)
    INTO the_instant, unfit, below, versions, balances, moved_ids, moved_versions, moved_balances
    FROM running r;
  IF unfit IS NOT NULL THEN
    RAISE EXCEPTION 'transfer % refused: its accounts are not of this site, its currency and what % joins',
      keys[(unfit + 1) / 2], kinds[(unfit + 1) / 2] USING ERRCODE = 'integrity_constraint_violation';
  ELSIF below IS NOT NULL THEN
    RAISE EXCEPTION 'transfer % refused: it takes an account under its floor', keys[(below + 1) / 2] USING ERRCODE = 'check_violation';
  END IF;
  -- Drawn while the accounts are locked: on each account, later transfers have higher numbers.
  the_numbers := ARRAY(SELECT nextval('transfer_number') FROM generate_series(1, many));
  WITH written AS (
    INSERT INTO transfer (site_id, transfer_id, source, key, kind, outcome, fingerprint, amount_minor, currency,
      source_account_id, source_version, source_balance_minor, target_account_id, target_version, target_balance_minor,
      because, actor, recorded_at, recorded_in)
    SELECT the_site, w.number, coalesce(w.source, sources[1]), w.key, w.kind, coalesce(w.outcome, outcomes[1]),
           coalesce(w.fingerprint, fingerprints[1]), w.amount, coalesce(w.currency, currencies[1]),
           w.source_id, versions[2 * w.place - 1], balances[2 * w.place - 1],
           w.target_id, versions[2 * w.place], balances[2 * w.place], w.because, coalesce(w.actor, actors[1]), the_instant, this_transaction
      FROM unnest(the_numbers, sources, keys, kinds, outcomes, fingerprints, amounts, currencies, source_ids, target_ids, reasons,
        actors) WITH ORDINALITY AS w (number, source, key, kind, outcome, fingerprint, amount, currency, source_id, target_id,
        because, actor, place)),
  moved AS (
    UPDATE account AS a SET balance_minor = w.balance, version = w.version, moved_at = the_instant
      FROM unnest(moved_ids, moved_versions, moved_balances) AS w (account_id, version, balance),
        -- Locked above, so its place in the table stays until this statement has found it there.
        LATERAL (SELECT b.ctid FROM account b WHERE b.site_id = the_site AND b.account_id = w.account_id OFFSET 0) b
     WHERE a.ctid = b.ctid AND a.version <> w.version)
  INSERT INTO entry (site_id, account_id, account_version, transfer_id, amount_minor, currency, balance_after_minor, recorded_at)
  SELECT the_site, e.account_id, versions[e.place], w.number, e.gain, coalesce(w.currency, currencies[1]), balances[e.place], the_instant
    FROM unnest(the_numbers, outcomes, currencies, amounts, source_ids, target_ids) WITH ORDINALITY
      AS w (number, outcome, currency, amount, source_id, target_id, place),
    LATERAL (VALUES (w.source_id, 2 * w.place - 1, -w.amount), (w.target_id, 2 * w.place, w.amount)) AS e (account_id, place, gain)
   WHERE coalesce(w.outcome, outcomes[1]) = 'posted';
  recorded_at := the_instant;
  numbers := the_numbers;
END $$
-- ;;
-- While a table is empty the planner takes one site's rows for one row, any index that begins with the site for as good as the
-- right one, and a session keeps what it planned then. So it is told beforehand that a site has many rows; what it learns later
-- takes this place. PostgreSQL 18; before, plans made on empty tables stay until the first ANALYZE.
DO $$
DECLARE name text;
BEGIN
  IF to_regproc('pg_catalog.pg_restore_attribute_stats') IS NOT NULL THEN
    FOREACH name IN ARRAY ARRAY['account', 'transfer', 'entry', 'hold', 'seal'] LOOP
      PERFORM pg_restore_attribute_stats('schemaname', 'public', 'relname', name, 'attname', 'site_id', 'inherited', false,
        'null_frac', 0::real, 'avg_width', 4, 'n_distinct', 1::real);
    END LOOP;
  END IF;
END $$
