-- What was asked for, and where it goes, stays as it was written: what is approved is what is sent.
GRANT INSERT ON payout_leg, payout_policy, dispute, payment_case TO cashier_app
-- ;;
GRANT UPDATE (captured_minor, refund_pending_minor, refunded_minor, charged_back_minor, hold_id, order_id, reason_player, purse,
  approved_hash, approved_at, initiated_at) ON payment TO cashier_app
-- ;;
GRANT UPDATE (is_over) ON attempt TO cashier_app
-- ;;
GRANT UPDATE (state, instrument_id, provider_reference, is_released, hold_id, sent_at, paid_at) ON payout_leg TO cashier_app
-- ;;
GRANT UPDATE ON payout_policy TO cashier_app
-- ;;
GRANT UPDATE (state, posted_minor, reason_code, reason, sequence, due_at, changed_at, closed_at) ON dispute TO cashier_app
-- ;;
GRANT UPDATE (state, resolution, note, attachment_hash, approval_id, resolved_at) ON payment_case TO cashier_app
-- ;;
GRANT SELECT ON payout_policy, dispute, payment_case TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (parent_id, captured_minor, refund_pending_minor, refunded_minor, charged_back_minor, hold_id, order_id, purse,
  approved_at, initiated_at) ON payment TO cashier_reader, cashier_auditor
-- ;;
-- Where a player's money goes is a person's matter: masked, but for the application.
GRANT SELECT (site_id, payment_id, leg, state, method, account, amount_minor, currency, instrument_id, masked, fingerprint, why,
  provider_reference, is_released, hold_id, sent_at, paid_at) ON payout_leg TO cashier_reader, cashier_auditor
