-- What was answered is never changed; a wallet's place in its sequence, a round's sums and a session's end are.
REVOKE ALL ON wallet_policy, wallet, wallet_operation, wallet_round, game_session, game FROM cashier_app
-- ;;
GRANT SELECT ON wallet_policy, wallet, wallet_operation, wallet_round, game_session, game
  TO cashier_app, cashier_reader, cashier_auditor
-- ;;
GRANT INSERT, UPDATE ON wallet_policy, game TO cashier_app
-- ;;
GRANT INSERT (site_id, player_id, currency, cash_account_id, bonus_account_id, cash_version, bonus_version, balance_minor, opened_at),
  UPDATE (sequence, cash_version, bonus_version, balance_minor, moved_at) ON wallet TO cashier_app
-- ;;
GRANT INSERT (site_id, operation_id, source, within, key, type, code, applied, fingerprint, wallet_id, currency, amount_minor,
  win_minor, cash_minor, bonus_minor, balance_before_minor, balance_after_minor, sequence, reference, round_id, provider_id, game_code, session_id,
  detail, request_id, recorded_at) ON wallet_operation TO cashier_app
-- ;;
GRANT INSERT, UPDATE (state, is_free, open_bets, bet_minor, win_minor, reversed_minor, last_sequence, changed_at, listed_at)
  ON wallet_round TO cashier_app
-- ;;
GRANT INSERT, UPDATE (opened_at, expires_at, ended_at, final_balance_minor) ON game_session TO cashier_app
-- ;;
GRANT UPDATE (status) ON player TO cashier_app
-- ;;
CREATE TRIGGER wallet_operation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON wallet_operation
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change()
