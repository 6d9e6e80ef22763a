-- Through which account a part of a withdrawal goes may change; but a card's token is good at the account alone that gave it.
CREATE FUNCTION payments_check_leg_account() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'part % of % goes to a token of the account %', OLD.leg, OLD.payment_id, OLD.account
    USING ERRCODE = 'integrity_constraint_violation';
END $$
-- ;;
CREATE TRIGGER leg_stays_with_its_token BEFORE UPDATE OF account ON payout_leg FOR EACH ROW
  WHEN (OLD.account <> NEW.account AND OLD.destination ? 'token') EXECUTE FUNCTION payments_check_leg_account()
