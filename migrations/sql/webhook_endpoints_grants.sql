-- What was told stays as it was told: an event is added and never changed.
GRANT INSERT ON webhook_endpoint, webhook_secret, event TO cashier_app
-- ;;
GRANT UPDATE (url, types, is_thin, state, first_failed_at, failures, throttle_ends_at, disabled_at, why_disabled, changed_at)
  ON webhook_endpoint TO cashier_app
-- ;;
GRANT UPDATE (retired_at) ON webhook_secret TO cashier_app
-- ;;
GRANT UPDATE (order_ends_at) ON webhook TO cashier_app
-- ;;
GRANT DELETE ON webhook_attempt TO cashier_app
-- ;;
GRANT SELECT ON webhook_endpoint, event TO cashier_reader, cashier_auditor
-- ;;
GRANT SELECT (tell_every_change) ON site TO cashier_reader, cashier_auditor
