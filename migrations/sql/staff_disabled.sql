-- Who was sent away stays away: nobody who can write this column lets them in again, or moves the instant.
CREATE FUNCTION staff_check_disabled() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'operator % is disabled for good', OLD.operator_id USING ERRCODE = 'integrity_constraint_violation';
END $$
-- ;;
REVOKE ALL ON FUNCTION staff_check_disabled FROM PUBLIC
-- ;;
CREATE TRIGGER operator_is_disabled_for_good BEFORE UPDATE ON operator FOR EACH ROW
  WHEN (OLD.disabled_at IS NOT NULL AND NEW.disabled_at IS DISTINCT FROM OLD.disabled_at) EXECUTE FUNCTION staff_check_disabled()
