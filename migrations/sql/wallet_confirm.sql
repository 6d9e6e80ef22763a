-- Most batches are decided upon what they read without a lock, and written only if all of that still stands. What a decision about
-- a wallet depends on is changed in few ways: by operations (its sequence), by other rooms (the version of its cash account, what
-- is owed), and by what moves no money and says so here (its revision): a session or a round that is ended, a bet that may not come
-- any more. Ids that two batches write at once are refused by their unique keys.

GRANT UPDATE (revision) ON wallet TO cashier_app
-- ;;
-- Make batches that have read about these players look again. Whoever calls it holds their cash accounts.
CREATE FUNCTION wallet_revise(the_site integer, players text[]) RETURNS void
  LANGUAGE sql SET search_path = public, pg_temp AS $$
  UPDATE wallet SET revision = revision + 1 WHERE site_id = the_site AND player_id = ANY (players)
$$
-- ;;
-- Lock what a batch has decided about, in the order of ids like everybody, and refuse the batch if anything was changed since.
CREATE FUNCTION wallet_confirm(
  the_site integer, wallet_ids bigint[], account_ids bigint[], versions bigint[], sequences bigint[], revisions bigint[], debts bigint[])
  RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM FROM ledger_lock(the_site, account_ids);
  -- In a second statement, which sees what others committed until the locks were ours.
  IF EXISTS (
    SELECT FROM unnest(wallet_ids, account_ids, versions, sequences, revisions, debts)
             AS x (wallet_id, account_id, version, sequence, revision, debt)
      LEFT JOIN LATERAL (
        SELECT w.sequence, w.revision, w.debt_account_id FROM wallet w
         WHERE w.site_id = the_site AND w.wallet_id = x.wallet_id OFFSET 0) w ON true
      LEFT JOIN LATERAL (
        SELECT a.version FROM account a WHERE a.site_id = the_site AND a.account_id = x.account_id OFFSET 0) a ON true
      LEFT JOIN LATERAL (
        SELECT d.balance_minor FROM account d
         WHERE w.debt_account_id IS NOT NULL AND d.site_id = the_site AND d.account_id = w.debt_account_id OFFSET 0) d ON true
     WHERE (a.version, w.sequence, w.revision, -coalesce(d.balance_minor, 0)) IS DISTINCT FROM (x.version, x.sequence, x.revision, x.debt)) THEN
    RAISE EXCEPTION 'what this batch was decided upon has changed' USING ERRCODE = 'serialization_failure';
  END IF;
END $$
-- ;;
-- A bet that was rolled back before it came may not come: no money moves for that and no sequence.
CREATE FUNCTION wallet_revise_tombstoned() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM wallet_revise(NEW.site_id, ARRAY(SELECT w.player_id FROM wallet w WHERE w.site_id = NEW.site_id AND w.wallet_id = NEW.wallet_id));
  RETURN NULL;
END $$
-- ;;
CREATE TRIGGER wallet_operation_tombstoned AFTER INSERT ON wallet_operation FOR EACH ROW WHEN (NEW.code = 'NOTHING_TO_REVERSE')
  EXECUTE FUNCTION wallet_revise_tombstoned()
