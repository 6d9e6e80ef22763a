-- What the application may do to the ledger: read, add, and move balances. Columns it may not choose are not granted:
-- an account is born empty, and which transaction wrote a transfer is PostgreSQL's own word.
REVOKE ALL ON movement, account, transfer, entry, hold, seal, verified_site, verified_account FROM cashier_app
-- ;;
GRANT SELECT ON movement, account, transfer, entry, hold, seal, verified_site, verified_account TO cashier_app
-- ;;
GRANT INSERT (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at), UPDATE (balance_minor, version, moved_at)
  ON account TO cashier_app
-- ;;
GRANT INSERT (site_id, transfer_id, source, key, kind, outcome, fingerprint, amount_minor, currency,
  source_account_id, source_version, source_balance_minor, target_account_id, target_version, target_balance_minor,
  because, actor, recorded_at) ON transfer TO cashier_app
-- ;;
GRANT INSERT ON entry, seal TO cashier_app
-- ;;
GRANT INSERT (site_id, transfer_id, player_id, amount_minor, currency, placed_at, expires_at),
  UPDATE (captured_minor, released_minor) ON hold TO cashier_app
-- ;;
GRANT INSERT, UPDATE ON verified_site, verified_account TO cashier_app
-- ;;
GRANT USAGE ON SEQUENCE transfer_number TO cashier_app
-- ;;
GRANT SELECT ON movement, account, transfer, entry, hold, seal, verified_site, verified_account
  TO cashier_reader, cashier_auditor
-- ;;
-- Verifying remembers how far it came.
GRANT INSERT, UPDATE ON verified_site, verified_account TO cashier_auditor
