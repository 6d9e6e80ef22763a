-- What an account held at an instant, entries of that very instant included. Instants ascend with the versions of an account, so
-- it is found by halving over the primary key of its entries: 20 probes for a million of them, and no index that every entry
-- ever written would have to pay for.
CREATE FUNCTION ledger_balance_at(the_site integer, the_account bigint, at timestamptz)
  RETURNS bigint STABLE LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
  -- The last version that had come by then is at least the one and at most the other.
  low bigint := 0;
  high bigint;
  middle bigint;
BEGIN
  SELECT a.version INTO high FROM account a WHERE a.site_id = the_site AND a.account_id = the_account;
  WHILE low < high LOOP
    middle := (low + high + 1) / 2;
    IF (SELECT e.recorded_at <= at FROM entry e
         WHERE e.site_id = the_site AND e.account_id = the_account AND e.account_version = middle) THEN
      low := middle;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  RETURN coalesce((SELECT e.balance_after_minor FROM entry e
    WHERE e.site_id = the_site AND e.account_id = the_account AND e.account_version = low), 0);
END $$
