-- How one batch reaches the ledger: lock, look up, write; one call each. They run with the caller's rights, so the grants and
-- the guards hold for them too. Plans are made for each call, for the reason given in ledger_guards.sql.

-- Open what is missing, then lock everything in the order of ids; two statements, so that the second sees what others opened.
-- An account is not opened for a request whose key is known: a replay or a conflict writes nothing.
CREATE FUNCTION ledger_lock_accounts(
  the_site integer, sources text[], keys text[], owners text[], purposes text[], currencies text[], floors bigint[], at timestamptz)
  RETURNS SETOF account LANGUAGE plpgsql ROWS 50
  SET plan_cache_mode = force_custom_plan
  SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO account (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at)
    SELECT DISTINCT the_site, w.owner, w.purpose, w.currency, w.floor_minor, at, at
      FROM unnest(sources, keys, owners, purposes, currencies, floors) AS w (source, key, owner, purpose, currency, floor_minor)
     WHERE NOT EXISTS (SELECT FROM account a WHERE a.site_id = the_site AND a.owner = w.owner
                         AND a.purpose = w.purpose AND a.currency = w.currency)
       AND NOT EXISTS (SELECT FROM transfer t WHERE t.site_id = the_site AND t.source = w.source AND t.key = w.key)
     ORDER BY w.owner, w.purpose, w.currency
    ON CONFLICT (site_id, owner, purpose, currency) DO NOTHING;
  RETURN QUERY
    SELECT * FROM account a
     WHERE a.site_id = the_site AND a.account_id = ANY (ARRAY(
           SELECT k.account_id FROM unnest(owners, purposes, currencies) AS w (owner, purpose, currency)
             JOIN account k ON k.site_id = the_site AND k.owner = w.owner AND k.purpose = w.purpose AND k.currency = w.currency))
     ORDER BY a.account_id FOR NO KEY UPDATE;
END $$
-- ;;
-- One row for each key: what is known of it, and a fresh number. The numbers of replays are lost; gaps say nothing.
-- Drawn while the accounts are locked: on each account, later transfers have higher numbers.
CREATE FUNCTION ledger_known_keys(the_site integer, sources text[], keys text[])
  RETURNS TABLE (number bigint, source text, key text, transfer_id bigint, fingerprint bytea, outcome text,
    source_account_id bigint, source_version bigint, source_balance_minor bigint,
    target_account_id bigint, target_version bigint, target_balance_minor bigint, recorded_at timestamptz)
  LANGUAGE plpgsql ROWS 50
  SET plan_cache_mode = force_custom_plan
  SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
    SELECT nextval('transfer_number'), t.source, t.key, t.transfer_id, t.fingerprint, t.outcome,
           t.source_account_id, t.source_version, t.source_balance_minor,
           t.target_account_id, t.target_version, t.target_balance_minor, t.recorded_at
      FROM unnest(sources, keys) AS w (source, key)
      LEFT JOIN transfer t ON t.site_id = the_site AND t.source = w.source AND t.key = w.key;
END $$
-- ;;
-- Transfers, balances and entries of a decided batch, in one statement: the guards look at its end.
CREATE FUNCTION ledger_write(
  the_site integer,
  transfer_ids bigint[], sources text[], keys text[], kinds text[], outcomes text[], fingerprints bytea[], amounts bigint[],
  transfer_currencies text[], source_account_ids bigint[], source_versions bigint[], source_balances bigint[],
  target_account_ids bigint[], target_versions bigint[], target_balances bigint[], reasons text[], actors text[],
  recorded_ats timestamptz[],
  moved_account_ids bigint[], moved_balances bigint[], moved_versions bigint[], moved_ats timestamptz[],
  entry_account_ids bigint[], entry_versions bigint[], entry_transfer_ids bigint[], entry_amounts bigint[],
  entry_currencies text[], entry_balances bigint[], entry_ats timestamptz[])
  RETURNS void LANGUAGE plpgsql
  SET plan_cache_mode = force_custom_plan
  SET search_path = public, pg_temp AS $$
BEGIN
  WITH written AS (
    INSERT INTO transfer (site_id, transfer_id, source, key, kind, outcome, fingerprint, amount_minor, currency,
      source_account_id, source_version, source_balance_minor, target_account_id, target_version, target_balance_minor,
      because, actor, recorded_at)
    SELECT the_site, w.* FROM unnest(transfer_ids, sources, keys, kinds, outcomes, fingerprints, amounts, transfer_currencies,
      source_account_ids, source_versions, source_balances, target_account_ids, target_versions, target_balances,
      reasons, actors, recorded_ats) AS w),
  moved AS (
    UPDATE account AS a SET balance_minor = w.balance_minor, version = w.version, moved_at = w.moved_at
      FROM unnest(moved_account_ids, moved_balances, moved_versions, moved_ats)
        AS w (account_id, balance_minor, version, moved_at)
     WHERE a.site_id = the_site AND a.account_id = w.account_id)
  INSERT INTO entry (site_id, account_id, account_version, transfer_id, amount_minor, currency, balance_after_minor, recorded_at)
  SELECT the_site, w.* FROM unnest(entry_account_ids, entry_versions, entry_transfer_ids, entry_amounts, entry_currencies,
    entry_balances, entry_ats) AS w;
END $$
