-- Approvals, votes and the diary guard themselves: whoever writes, also the owner of the tables, is held to the same rules.

-- A vote counts while its approval is open, and only of somebody who may still sit at the desk. That maker is not checker, that a
-- person votes once, and that the maker is the approval's own are constraints of the table.
CREATE FUNCTION staff_check_vote() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE asked record;
BEGIN
  SELECT state, made_at, expires_at INTO asked FROM approval
    WHERE site_id = NEW.site_id AND approval_id = NEW.approval_id FOR UPDATE;
  IF FOUND AND asked.state <> 'open' THEN
    RAISE EXCEPTION 'approval % is %: nobody votes on it', NEW.approval_id, asked.state
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF FOUND AND NOT (NEW.voted_at < asked.expires_at) THEN
    RAISE EXCEPTION 'approval % had expired', NEW.approval_id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (SELECT FROM operator WHERE operator_id = NEW.operator_id AND disabled_at IS NOT NULL) THEN
    RAISE EXCEPTION 'operator % is disabled', NEW.operator_id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
-- ;;
CREATE TRIGGER vote_counts BEFORE INSERT ON approval_vote FOR EACH ROW EXECUTE FUNCTION staff_check_vote()
-- ;;
-- What was asked never changes; an approval is decided once, and only as its votes say.
CREATE FUNCTION staff_check_approval() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE approvals bigint; rejections bigint;
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'open' THEN
      RAISE EXCEPTION 'an approval is born open, not %', NEW.state USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.state <> 'open' THEN
    RAISE EXCEPTION 'approval % is % for good', OLD.approval_id, OLD.state USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF (to_jsonb(OLD) - 'state' - 'decided_at') <> (to_jsonb(NEW) - 'state' - 'decided_at') THEN
    RAISE EXCEPTION 'what approval % asks for never changes', OLD.approval_id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  SELECT count(*) FILTER (WHERE verdict = 'approve'), count(*) FILTER (WHERE verdict = 'reject') INTO approvals, rejections
    FROM approval_vote WHERE site_id = OLD.site_id AND approval_id = OLD.approval_id;
  IF NEW.state = 'approved' AND (approvals < OLD.people_needed OR rejections > 0) THEN
    RAISE EXCEPTION 'approval % has the votes of % people and needs %', OLD.approval_id, approvals, OLD.people_needed
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.state = 'rejected' AND rejections = 0 THEN
    RAISE EXCEPTION 'nobody has rejected approval %', OLD.approval_id USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$
-- ;;
CREATE TRIGGER approval_is_decided_by_votes BEFORE INSERT OR UPDATE ON approval
  FOR EACH ROW EXECUTE FUNCTION staff_check_approval()
-- ;;
CREATE TRIGGER approval_stays BEFORE DELETE OR TRUNCATE ON approval
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()
-- ;;
CREATE TRIGGER approval_vote_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_vote
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()
-- ;;
CREATE TRIGGER operator_stays BEFORE DELETE OR TRUNCATE ON operator
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()
-- ;;
-- Each line of a diary gets its number and its place in the chain when its transaction commits: the lock of the site is then the
-- last one taken, is held for the COMMIT alone, and the numbers have no gap and stand in the order of the commits.
-- As the owner of the tables, so that the application, which writes lines, cannot write seals.
CREATE FUNCTION staff_seal_line() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE last_number bigint; last_hash bytea;
BEGIN
  PERFORM pg_advisory_xact_lock(7266343, NEW.site_id);
  SELECT number, hash INTO last_number, last_hash FROM diary_seal WHERE site_id = NEW.site_id ORDER BY number DESC LIMIT 1;
  last_number := coalesce(last_number, 0) + 1;
  last_hash := coalesce(last_hash, decode(repeat('00', 32), 'hex'));
  INSERT INTO diary_seal (site_id, number, entry_id, hash) VALUES (NEW.site_id, last_number, NEW.entry_id,
    sha256(last_hash || convert_to(jsonb_build_array(NEW.site_id, last_number, NEW.entry_id, NEW.actor, NEW.deed, NEW.subject,
      NEW.detail, to_char(NEW.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))::text, 'UTF8')));
  RETURN NULL;
END $$
-- ;;
CREATE CONSTRAINT TRIGGER diary_is_sealed AFTER INSERT ON diary
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION staff_seal_line()
-- ;;
CREATE TRIGGER diary_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON diary
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()
-- ;;
CREATE TRIGGER diary_seal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON diary_seal
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()
