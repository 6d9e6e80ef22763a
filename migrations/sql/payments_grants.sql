-- The application adds rows, and changes only what can change: who paid what to whom stays as it was written.
GRANT INSERT ON player, cashier_session, site_method, provider_account, notice, callout, webhook, payment, attempt,
  webhook_attempt, payment_event TO cashier_app
-- ;;
GRANT UPDATE (personal, last_method, seen_at) ON player TO cashier_app
-- ;;
GRANT UPDATE (used_at), DELETE ON cashier_session TO cashier_app
-- ;;
GRANT DELETE ON claim TO cashier_app
-- ;;
GRANT UPDATE ON site_method, provider_account TO cashier_app
-- ;;
GRANT UPDATE (state, reason, arrivals, read_at) ON notice TO cashier_app
-- ;;
GRANT UPDATE (state, http_status, answer, external_id, reason, elapsed_ms, answered_at) ON callout TO cashier_app
-- ;;
GRANT UPDATE (state, attempts, next_at, delivered_at) ON webhook TO cashier_app
-- ;;
GRANT UPDATE (state, provider_reference, error_code, error, answer, answered_at) ON attempt TO cashier_app
-- ;;
GRANT UPDATE (status, sub_status, external_id, provider_reference, reason_code, reason, is_late, attention, continue_url,
  sequence, changed_at, sent_at, expires_at, completed_at, ask_at, asked) ON payment TO cashier_app
-- ;;
-- Reports and audits see business, not secrets: no salt, token, key, credential, and nothing about a person.
GRANT SELECT ON merchant, site_method, callout, webhook, webhook_attempt, attempt, payment_event, switch
  TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (site_id, merchant_id, name, callout_url, notify_url, notify_failure_url, callback_url, message_format, dialect,
  frame_origins, currencies, languages, extended_info, is_test, created_at, changed_at) ON site
  TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (site_id, account, gateway, base_url, page_origin, enabled, created_at) ON provider_account
  TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (site_id, player_id, site_login, last_method, created_at, seen_at) ON player TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (site_id, payment_id, number, kind, player_id, method, account, status, sub_status, amount_minor, currency,
  external_id, provider_reference, reason_code, reason, is_late, attention, source_type, language, sequence, created_at,
  changed_at, sent_at, expires_at, completed_at, ask_at, asked) ON payment TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (site_id, notice_id, account, dedupe_key, path, state, reason, arrivals, received_at, read_at) ON notice
  TO cashier_reader
-- ;;
GRANT SELECT ON notice TO cashier_auditor
