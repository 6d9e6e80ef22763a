-- I5: no account is or was under its floor, no debt is more than repaid, and what is held is held for somebody.
CREATE OR REPLACE FUNCTION ledger_i5(the_site integer, is_full boolean, since bigint) RETURNS TABLE (what text) STABLE LANGUAGE sql AS $$
  SELECT format('account %s holds %s, less than its floor', a.account_id, a.balance_minor) FROM account a
   WHERE a.site_id = the_site
     AND (a.balance_minor < a.floor_minor
          OR a.purpose LIKE 'player\_%' AND a.purpose <> 'player_debt' AND coalesce(a.floor_minor, -1) < 0)
  UNION ALL
  SELECT format('account %s is a debt and holds %s', a.account_id, a.balance_minor) FROM account a
   WHERE a.site_id = the_site AND a.purpose = 'player_debt' AND a.balance_minor > 0
  UNION ALL
  SELECT format('entry %s left account %s beyond its limit', f.account_version, f.account_id)
    FROM ledger_fresh_entries(the_site, is_full) f JOIN account a ON a.site_id = the_site AND a.account_id = f.account_id
   WHERE f.balance_after_minor < a.floor_minor OR a.purpose = 'player_debt' AND f.balance_after_minor > 0
  UNION ALL
  SELECT format('account %s holds %s, its open holds sum to %s', a.account_id, a.balance_minor, coalesce(h.total, 0))
    FROM account a
    LEFT JOIN (SELECT player_id, currency, sum(amount_minor - captured_minor - released_minor) AS total FROM hold
                WHERE site_id = the_site AND captured_minor + released_minor < amount_minor GROUP BY 1, 2) h
      ON h.player_id = a.owner AND h.currency = a.currency
   WHERE a.site_id = the_site AND a.purpose = 'player_held' AND a.balance_minor <> coalesce(h.total, 0)
$$
