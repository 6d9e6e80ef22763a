-- PostgreSQL reads the CHECKs of a table anew for every statement that writes to it, and most of what there is to read are lists
-- of words: of a change of a payment they were half. A function is read once for each session. So each list stands in a function
-- that has the name of its CHECK and the columns' names as its parameters, and says what the CHECK said.
-- A word more is a `CREATE OR REPLACE FUNCTION`, for which no row is read. It has the search path as well: a CHECK means what it
-- meant when it was made, a function what its caller's session takes `text` for. A new list: run this again, it takes only what
-- is a list. Not those of tables that are written by hundreds of rows at once: there a list is read once for all of them, and a
-- function would be called for each.
DO $$
DECLARE
  its record;
BEGIN
  FOR its IN
    SELECT c.conrelid::regclass AS its_table, c.conname AS name, pg_get_expr(c.conbin, c.conrelid) AS rule,
           string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) AS columns,
           string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) AS parameters
      FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
     WHERE c.contype = 'c' AND c.connamespace = 'public'::regnamespace AND pg_get_expr(c.conbin, c.conrelid) LIKE '%ARRAY[%'
       AND c.conrelid <> ALL (ARRAY['account', 'transfer', 'wallet_operation', 'wallet_round']::regclass[])
     GROUP BY c.oid
     ORDER BY c.conname
  LOOP
    EXECUTE format('CREATE FUNCTION %I(%s) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = public, pg_temp AS %L',
                   its.name, its.parameters, format('BEGIN RETURN %s; END', its.rule));
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I CHECK (%I(%s))',
                   its.its_table, its.name, its.name, its.name, its.columns);
  END LOOP;
END $$
