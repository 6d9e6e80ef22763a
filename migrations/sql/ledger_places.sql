-- The ledger's one way in, as before; but an account is looked up once, where it is locked, and written there by its place in the
-- table: a locked row keeps its place until we write it, which the last statement does. Arrays are unnested in the select list: in
-- FROM, PostgreSQL stores all of their rows before it reads one.

-- Transfers, entries and balances: the only way to write them. The caller says what moves between which accounts and nothing
-- else; numbers, versions, balances, instants and entries follow here from the rows of the accounts, which are locked first
-- (those with a floor the caller has locked before it decided). So no entry can say what its transfer does not say, and no
-- balance what its entries do not say. What may not be is refused, the whole batch with it.
-- sources, actors, outcomes, fingerprints, currencies   one for each transfer, or one for all of them
CREATE OR REPLACE FUNCTION ledger_write(
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
  moved_rows tid[];
  moved_versions bigint[];
  moved_balances bigint[];
  unfit bigint;
  below bigint;
  moved bigint;
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
      LATERAL (SELECT a.account_id, a.balance_minor, a.version, a.floor_minor, a.purpose, a.currency, a.moved_at,
                      a.ctid AS row_place FROM account a
                WHERE a.site_id = the_site AND a.account_id = k.id FOR NO KEY UPDATE) a),
  wanted AS MATERIALIZED (
    SELECT 2 * w.place AS place, w.source_id, w.target_id, w.amount, coalesce(w.outcome, outcomes[1]) = 'posted' AS moves,
           coalesce(w.currency, currencies[1]) AS currency, m.source_purpose, m.target_purpose
      FROM (SELECT unnest(source_ids) AS source_id, unnest(target_ids) AS target_id, unnest(amounts) AS amount, unnest(outcomes) AS outcome,
                   unnest(currencies) AS currency, unnest(kinds) AS kind, generate_series(1, many) AS place) w
      LEFT JOIN movement m ON m.kind = w.kind),
  line AS (
    SELECT account_id, 0::bigint AS place, balance_minor AS gain, version, floor_minor, purpose, currency, moved_at, false AS moves,
           row_place
      FROM locked
    UNION ALL
    SELECT source_id, place - 1, CASE WHEN moves THEN -amount ELSE 0 END, NULL, NULL, source_purpose, currency, NULL, moves, NULL
      FROM wanted
    UNION ALL
    SELECT target_id, place, CASE WHEN moves THEN amount ELSE 0 END, NULL, NULL, target_purpose, currency, NULL, moves, NULL
      FROM wanted),
  running AS (
    SELECT l.account_id, l.place, l.moved_at,
           ledger_sum(l.gain) OVER w AS balance,
           first_value(l.version) OVER w + count(*) FILTER (WHERE l.moves) OVER w AS version,
           count(*) FILTER (WHERE l.moves) OVER w > 0 AND lead(l.place) OVER w IS NULL AS is_moved,
           first_value(l.row_place) OVER w AS row_place,
           l.purpose = first_value(l.purpose) OVER w AND l.currency = first_value(l.currency) OVER w
             AND first_value(l.place) OVER w = 0 AS is_fit,
           ledger_sum(l.gain) OVER w >= first_value(l.floor_minor) OVER w AS is_floored
      FROM line l WINDOW w AS (PARTITION BY l.account_id ORDER BY l.place ROWS UNBOUNDED PRECEDING))
  SELECT greatest(at, max(r.moved_at)), min(r.place) FILTER (WHERE r.is_fit IS NOT TRUE), min(r.place) FILTER (WHERE r.is_floored IS FALSE),
         array_agg(r.version ORDER BY r.place) FILTER (WHERE r.place > 0), array_agg(r.balance ORDER BY r.place) FILTER (WHERE r.place > 0),
         array_agg(r.row_place ORDER BY r.place) FILTER (WHERE r.is_moved), array_agg(r.version ORDER BY r.place) FILTER (WHERE r.is_moved),
         array_agg(r.balance ORDER BY r.place) FILTER (WHERE r.is_moved)
    INTO the_instant, unfit, below, versions, balances, moved_rows, moved_versions, moved_balances
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
      FROM (SELECT unnest(the_numbers) AS number, unnest(sources) AS source, unnest(keys) AS key, unnest(kinds) AS kind,
                   unnest(outcomes) AS outcome, unnest(fingerprints) AS fingerprint, unnest(amounts) AS amount, unnest(currencies) AS currency,
                   unnest(source_ids) AS source_id, unnest(target_ids) AS target_id, unnest(reasons) AS because, unnest(actors) AS actor,
                   generate_series(1, many) AS place) w),
  entries AS (
    INSERT INTO entry (site_id, account_id, account_version, transfer_id, amount_minor, currency, balance_after_minor, recorded_at)
    SELECT the_site, e.account_id, versions[e.place], w.number, e.gain, coalesce(w.currency, currencies[1]), balances[e.place], the_instant
      FROM (SELECT unnest(the_numbers) AS number, unnest(outcomes) AS outcome, unnest(currencies) AS currency, unnest(amounts) AS amount,
                   unnest(source_ids) AS source_id, unnest(target_ids) AS target_id, generate_series(1, many) AS place) w,
      LATERAL (VALUES (w.source_id, 2 * w.place - 1, -w.amount), (w.target_id, 2 * w.place, w.amount)) AS e (account_id, place, gain)
     WHERE coalesce(w.outcome, outcomes[1]) = 'posted')
  -- Last, because its rows are counted: should an account not be there, nothing is written.
  UPDATE account AS a SET balance_minor = w.balance, version = w.version, moved_at = the_instant
    FROM (SELECT unnest(moved_rows) AS row_place, unnest(moved_versions) AS version, unnest(moved_balances) AS balance) w
   WHERE a.ctid = w.row_place;
  GET DIAGNOSTICS moved = ROW_COUNT;
  IF moved <> coalesce(cardinality(moved_rows), 0) THEN
    RAISE EXCEPTION 'ledger_write refused: an account was not where it was locked' USING ERRCODE = 'serialization_failure';
  END IF;
  recorded_at := the_instant;
  numbers := the_numbers;
END $$
