-- Each list stands in its CHECK again.
DO $$
DECLARE
  its record;
BEGIN
  FOR its IN
    SELECT c.conrelid::regclass AS its_table, c.conname AS name, p.oid::regprocedure AS its_function,
           substring(p.prosrc FROM '^BEGIN RETURN (.*); END$') AS rule
      FROM pg_constraint c JOIN pg_proc p ON p.proname = c.conname AND p.pronamespace = c.connamespace
     WHERE c.contype = 'c' AND c.connamespace = 'public'::regnamespace
     ORDER BY c.conname
  LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I CHECK (%s)', its.its_table, its.name, its.name, its.rule);
    EXECUTE format('DROP FUNCTION %s', its.its_function);
  END LOOP;
END $$
