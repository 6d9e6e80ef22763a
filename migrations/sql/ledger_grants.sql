-- What the application may do to the ledger: read. Accounts, transfers, entries and balances are written by the functions of
-- ledger_journal.sql and ledger_places.sql and by nothing else; what follows from them, holds, seals and how far was verified, by the
-- application itself.
REVOKE ALL ON movement, account, transfer, entry, hold, seal, verified_site, verified_account FROM cashier_app
-- ;;
GRANT SELECT ON movement, account, transfer, entry, hold, seal, verified_site, verified_account TO cashier_app
-- ;;
GRANT INSERT ON seal TO cashier_app
-- ;;
GRANT INSERT (site_id, transfer_id, player_id, amount_minor, currency, placed_at, expires_at),
  UPDATE (captured_minor, released_minor) ON hold TO cashier_app
-- ;;
GRANT INSERT, UPDATE ON verified_site, verified_account TO cashier_app
-- ;;
REVOKE ALL ON SEQUENCE transfer_number FROM cashier_app
-- ;;
GRANT SELECT ON movement, account, transfer, entry, hold, seal, verified_site, verified_account
  TO cashier_reader, cashier_auditor
-- ;;
-- Verifying remembers how far it came.
GRANT INSERT, UPDATE ON verified_site, verified_account TO cashier_auditor
-- ;;
-- Functions may be called by everybody unless somebody says otherwise; these write as the owner of the tables.
REVOKE ALL ON FUNCTION ledger_open, ledger_lock, ledger_lock_accounts, ledger_write FROM PUBLIC
-- ;;
GRANT EXECUTE ON FUNCTION ledger_open, ledger_lock, ledger_lock_accounts, ledger_write TO cashier_app
