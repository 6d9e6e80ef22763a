-- A large batch is sent while the one before it, upon whose promise it was decided, is still being written: wallet_confirm waits for
-- that one's locks. Had it failed, somebody else's batch could have moved its wallets as far. So the batch before it is looked for
-- by one of its operations, in a statement that sees what was committed until the locks were ours; it is there, or nothing of it is.
CREATE FUNCTION wallet_follow(the_site integer, before_it text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM wallet_operation o WHERE o.site_id = the_site AND o.operation_id = before_it) THEN
    RAISE EXCEPTION 'the batch that this one was decided upon was not written' USING ERRCODE = 'serialization_failure';
  END IF;
END $$
