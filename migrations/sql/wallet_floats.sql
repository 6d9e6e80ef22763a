-- The house's own accounts of a site, locked before a batch decides about them: only where the operator has prepaid what players
-- are given. By id and behind the accounts with a floor, like everywhere.
CREATE FUNCTION wallet_lock_floats(the_site integer)
  RETURNS TABLE (purpose text, currency text, balance_minor bigint) LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT a.purpose, a.currency, a.balance_minor FROM account a
   WHERE a.site_id = the_site AND a.owner = 'site' AND a.purpose IN ('house_gaming', 'operator_float')
   ORDER BY a.account_id FOR NO KEY UPDATE
$$
-- ;;
REVOKE ALL ON FUNCTION wallet_lock_floats FROM PUBLIC
-- ;;
GRANT EXECUTE ON FUNCTION wallet_lock_floats TO cashier_app
