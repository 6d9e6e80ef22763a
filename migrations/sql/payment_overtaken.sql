-- A change that is written without a lock is one of the row as it was left. Where it is another by now, the statement fails
-- by this, with everything that stands beside it: as PostgreSQL fails what cannot be put in an order.
CREATE FUNCTION payment_overtaken() RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog AS
$$ BEGIN RAISE EXCEPTION 'the payment was changed meanwhile' USING ERRCODE = 'serialization_failure'; END $$
