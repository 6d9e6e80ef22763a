-- The invariants of the ledger as questions: each answers with the trespasses it finds, and with nothing when all is well.
-- the_site   one site
-- is_full    everything; else only what came after the last verified point, and every account's last entry
-- since      transfers of this transaction and later ones; 0 with is_full

-- Entries behind the version up to which their account was verified; with is_full all of them.
CREATE FUNCTION ledger_fresh_entries(the_site integer, is_full boolean)
  RETURNS TABLE (account_id bigint, account_version bigint, transfer_id bigint, amount_minor bigint, currency text,
    balance_after_minor bigint, recorded_at timestamptz, base_version bigint, base_balance bigint)
  STABLE LANGUAGE sql AS $$
  SELECT e.account_id, e.account_version, e.transfer_id, e.amount_minor, e.currency, e.balance_after_minor, e.recorded_at,
         0::bigint, 0::bigint
    FROM entry e WHERE is_full AND e.site_id = the_site
  UNION ALL
  SELECT e.account_id, e.account_version, e.transfer_id, e.amount_minor, e.currency, e.balance_after_minor, e.recorded_at,
         coalesce(v.version, 0), coalesce(v.balance_minor, 0)
    FROM account a
    LEFT JOIN verified_account v ON v.site_id = a.site_id AND v.account_id = a.account_id
    JOIN entry e ON e.site_id = a.site_id AND e.account_id = a.account_id AND e.account_version > coalesce(v.version, 0)
   WHERE NOT is_full AND a.site_id = the_site AND a.version > coalesce(v.version, 0)
$$
-- ;;
-- I2: no key has two transfers, and no transfer moves an account twice or, refused, at all.
CREATE FUNCTION ledger_i2(the_site integer, is_full boolean, since bigint) RETURNS TABLE (what text) STABLE LANGUAGE sql AS $$
  SELECT format('key %s of %s has the transfers %s and %s', r.key, r.source, r.transfer_id, o.transfer_id)
    FROM (SELECT * FROM transfer WHERE site_id = the_site AND recorded_in >= since) r
    JOIN transfer o ON o.site_id = r.site_id AND o.source = r.source AND o.key = r.key AND o.transfer_id <> r.transfer_id
  UNION ALL
  SELECT format('transfer %s moved account %s %s times', f.transfer_id, f.account_id, count(*))
    FROM ledger_fresh_entries(the_site, is_full) f GROUP BY f.transfer_id, f.account_id HAVING count(*) > 1
  UNION ALL
  SELECT format('refused transfer %s moved account %s', t.transfer_id, f.account_id)
    FROM ledger_fresh_entries(the_site, is_full) f
    JOIN transfer t ON t.site_id = the_site AND t.transfer_id = f.transfer_id
   WHERE t.outcome <> 'posted'
$$
-- ;;
-- I3: the entries of each transfer sum to zero per currency, and are what the transfer says; and it joins what its kind joins.
CREATE FUNCTION ledger_i3(the_site integer, is_full boolean, since bigint) RETURNS TABLE (what text) STABLE LANGUAGE sql AS $$
  SELECT format('the entries of transfer %s sum to %s %s', f.transfer_id, sum(f.amount_minor), f.currency)
    FROM ledger_fresh_entries(the_site, is_full) f GROUP BY f.transfer_id, f.currency HAVING sum(f.amount_minor) <> 0
  UNION ALL
  SELECT format('entry %s of account %s belongs to no transfer', f.account_version, f.account_id)
    FROM ledger_fresh_entries(the_site, is_full) f
    LEFT JOIN transfer t ON t.site_id = the_site AND t.transfer_id = f.transfer_id
   WHERE t.transfer_id IS NULL
  UNION ALL
  SELECT format('posted transfer %s lacks an entry, or it says otherwise', r.transfer_id)
    FROM (SELECT * FROM transfer WHERE site_id = the_site AND recorded_in >= since) r
    LEFT JOIN entry s ON s.site_id = r.site_id AND s.account_id = r.source_account_id
      AND s.account_version = r.source_version AND s.transfer_id = r.transfer_id AND s.currency = r.currency
      AND s.amount_minor = -r.amount_minor AND s.balance_after_minor = r.source_balance_minor
    LEFT JOIN entry g ON g.site_id = r.site_id AND g.account_id = r.target_account_id
      AND g.account_version = r.target_version AND g.transfer_id = r.transfer_id AND g.currency = r.currency
      AND g.amount_minor = r.amount_minor AND g.balance_after_minor = r.target_balance_minor
   WHERE r.outcome = 'posted' AND (s.account_id IS NULL OR g.account_id IS NULL)
  UNION ALL
  SELECT format('transfer %s is no legal movement: %s', r.transfer_id, r.kind)
    FROM (SELECT * FROM transfer WHERE site_id = the_site AND recorded_in >= since) r
    JOIN account s ON s.site_id = r.site_id AND s.account_id = r.source_account_id
    JOIN account g ON g.site_id = r.site_id AND g.account_id = r.target_account_id
   WHERE NOT EXISTS (SELECT FROM movement m WHERE m.kind = r.kind AND m.source_purpose = s.purpose
                        AND m.target_purpose = g.purpose AND s.currency = r.currency AND g.currency = r.currency)
$$
-- ;;
-- I4: the stored balance of every account is the sum of its entries.
CREATE FUNCTION ledger_i4(the_site integer, is_full boolean, since bigint) RETURNS TABLE (what text) STABLE LANGUAGE sql AS $$
  SELECT format('account %s holds %s, its entries sum to %s', a.account_id, a.balance_minor,
                coalesce(s.total, 0) + coalesce(v.balance_minor, 0))
    FROM account a
    LEFT JOIN verified_account v ON NOT is_full AND v.site_id = a.site_id AND v.account_id = a.account_id
    LEFT JOIN (SELECT account_id, sum(amount_minor) AS total FROM ledger_fresh_entries(the_site, is_full) GROUP BY account_id) s
      ON s.account_id = a.account_id
   WHERE a.site_id = the_site AND a.balance_minor <> coalesce(s.total, 0) + coalesce(v.balance_minor, 0)
  UNION ALL
  SELECT format('account %s is gone', f.account_id) FROM ledger_fresh_entries(the_site, is_full) f
   WHERE NOT EXISTS (SELECT FROM account a WHERE a.site_id = the_site AND a.account_id = f.account_id)
  UNION ALL
  SELECT format('account %s is gone', r.account_id)
    FROM (SELECT source_account_id AS account_id FROM transfer WHERE site_id = the_site AND recorded_in >= since
          UNION SELECT target_account_id FROM transfer WHERE site_id = the_site AND recorded_in >= since) r
   WHERE NOT EXISTS (SELECT FROM account a WHERE a.site_id = the_site AND a.account_id = r.account_id)
  UNION ALL
  SELECT format('account %s is gone', v.account_id) FROM verified_account v WHERE v.site_id = the_site
     AND NOT EXISTS (SELECT FROM account a WHERE a.site_id = v.site_id AND a.account_id = v.account_id)
$$
-- ;;
-- I5: no account is or was under its floor, and what is held is held for somebody.
CREATE FUNCTION ledger_i5(the_site integer, is_full boolean, since bigint) RETURNS TABLE (what text) STABLE LANGUAGE sql AS $$
  SELECT format('account %s holds %s, less than its floor', a.account_id, a.balance_minor) FROM account a
   WHERE a.site_id = the_site
     AND (a.balance_minor < a.floor_minor OR a.purpose LIKE 'player\_%' AND coalesce(a.floor_minor, -1) < 0)
  UNION ALL
  SELECT format('entry %s left account %s under its floor', f.account_version, f.account_id)
    FROM ledger_fresh_entries(the_site, is_full) f JOIN account a ON a.site_id = the_site AND a.account_id = f.account_id
   WHERE f.balance_after_minor < a.floor_minor
  UNION ALL
  SELECT format('account %s holds %s, its open holds sum to %s', a.account_id, a.balance_minor, coalesce(h.total, 0))
    FROM account a
    LEFT JOIN (SELECT player_id, currency, sum(amount_minor - captured_minor - released_minor) AS total FROM hold
                WHERE site_id = the_site AND captured_minor + released_minor < amount_minor GROUP BY 1, 2) h
      ON h.player_id = a.owner AND h.currency = a.currency
   WHERE a.site_id = the_site AND a.purpose = 'player_held' AND a.balance_minor <> coalesce(h.total, 0)
$$
-- ;;
-- I6: per account, versions count without a gap and each balance follows from the one before.
CREATE FUNCTION ledger_i6(the_site integer, is_full boolean, since bigint) RETURNS TABLE (what text) STABLE LANGUAGE sql AS $$
  SELECT format('entry %s of account %s does not follow the one before', c.account_version, c.account_id)
    FROM (SELECT f.*, lag(account_version, 1, base_version) OVER w AS version_before,
                 lag(balance_after_minor, 1, base_balance) OVER w AS balance_before,
                 lag(recorded_at) OVER w AS before_at
            FROM ledger_fresh_entries(the_site, is_full) f WINDOW w AS (PARTITION BY account_id ORDER BY account_version)) c
   WHERE c.account_version <> c.version_before + 1 OR c.balance_after_minor <> c.balance_before + c.amount_minor
      OR c.recorded_at < c.before_at
  UNION ALL
  SELECT format('account %s stands at version %s, which is not its last entry', a.account_id, a.version)
    FROM account a
    LEFT JOIN entry e ON e.site_id = a.site_id AND e.account_id = a.account_id AND e.account_version = a.version
    LEFT JOIN entry n ON n.site_id = a.site_id AND n.account_id = a.account_id AND n.account_version = a.version + 1
    LEFT JOIN verified_account v ON NOT is_full AND v.site_id = a.site_id AND v.account_id = a.account_id
   WHERE a.site_id = the_site AND (n.account_id IS NOT NULL OR a.version < v.version
      OR a.version > 0 AND e.balance_after_minor IS DISTINCT FROM a.balance_minor)
$$
