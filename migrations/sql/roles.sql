-- Three roles nobody logs in as: the application's connections take one on when they start.
-- cashier_app      reads and writes what the grants of each room allow: no DDL, no change of an entry once written
-- cashier_reader   reports
-- cashier_auditor  reads everything, to verify
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['cashier_app', 'cashier_reader', 'cashier_auditor'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- roles belong to the server: another database may have made it
    END;
    EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
  END LOOP;
END $$
-- ;;
GRANT USAGE ON SCHEMA public TO cashier_app, cashier_reader, cashier_auditor
-- ;;
GRANT SELECT ON alembic_version TO cashier_app, cashier_reader, cashier_auditor
-- ;;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cashier_app, cashier_reader, cashier_auditor
-- ;;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO cashier_app
