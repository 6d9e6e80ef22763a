GRANT USAGE ON SCHEMA queue TO cashier_app, cashier_auditor
-- ;;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA queue TO cashier_app
-- ;;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA queue TO cashier_app
-- ;;
GRANT SELECT ON ALL TABLES IN SCHEMA queue TO cashier_auditor
