-- The peer of the wallet inside the database: one statement is one transfer, written as one would by hand.
--
-- One function: a unique key, the two balances updated in one order by everybody (so nothing deadlocks), a
-- transfer row and two entries. No HTTP, no refusal but the floor, no replay, no versions: less than the wallet does.

CREATE TABLE account (
    account_id    bigint PRIMARY KEY,
    balance_minor bigint NOT NULL CHECK (account_id = 0 OR balance_minor >= 0)
) WITH (fillfactor = 60);

CREATE TABLE transfer (
    transfer_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          text NOT NULL UNIQUE,
    amount_minor bigint NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE entry (
    transfer_id         bigint NOT NULL,
    account_id          bigint NOT NULL,
    amount_minor        bigint NOT NULL,
    balance_after_minor bigint NOT NULL,
    PRIMARY KEY (account_id, transfer_id)
);

-- 0 is the house; the others are players with money enough.
INSERT INTO account SELECT number, 1000000000000 FROM generate_series(0, 4000) AS number;
ANALYZE account;

CREATE FUNCTION move(its_key text, source bigint, target bigint, amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    moved        bigint;
    source_after bigint;
    target_after bigint;
BEGIN
    INSERT INTO transfer (key, amount_minor) VALUES (its_key, amount) RETURNING transfer_id INTO moved;
    IF source < target THEN
        UPDATE account SET balance_minor = balance_minor - amount WHERE account_id = source
        RETURNING balance_minor INTO source_after;
        UPDATE account SET balance_minor = balance_minor + amount WHERE account_id = target
        RETURNING balance_minor INTO target_after;
    ELSE
        UPDATE account SET balance_minor = balance_minor + amount WHERE account_id = target
        RETURNING balance_minor INTO target_after;
        UPDATE account SET balance_minor = balance_minor - amount WHERE account_id = source
        RETURNING balance_minor INTO source_after;
    END IF;
    INSERT INTO entry (transfer_id, account_id, amount_minor, balance_after_minor)
    VALUES (moved, source, -amount, source_after), (moved, target, amount, target_after);
    RETURN moved;
END
$$;
