-- Three roles nobody logs in as: the application's connections take one on when they start.
-- cashier_app      reads and writes what the grants of each room allow: no DDL, no change of an entry once written
-- cashier_reader   reports: no secret, nothing personal
-- cashier_auditor  verifies: the same, and the providers' messages as they came
-- Who logs in is a member of one of them and of nothing else; the owner's login is for migrations only.
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
-- A temporary table could stand before one of ours in a careless function's search path.
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$
-- ;;
GRANT USAGE ON SCHEMA public TO cashier_app, cashier_reader, cashier_auditor
-- ;;
GRANT SELECT ON alembic_version TO cashier_app, cashier_reader, cashier_auditor
-- ;;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cashier_app
-- ;;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO cashier_app
