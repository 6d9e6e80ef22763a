-- Told to the planner beforehand, as for the ledger's tables (end of ledger_journal.sql): one site has many rows, and one account of
-- a provider too; ids are all different. Else plans of an empty table take any index that begins with the site, and read all that it
-- has until the first ANALYZE. Positive: so many different values; negative: such a part of the rows.
DO $$
DECLARE
  told record;
BEGIN
  IF to_regproc('pg_catalog.pg_restore_attribute_stats') IS NOT NULL THEN
    FOR told IN
      SELECT * FROM (VALUES
        ('payment', 'site_id', 1), ('payment', 'payment_id', -1), ('payment', 'number', -1), ('payment', 'player_id', -1),
        ('payment', 'account', 1), ('payment', 'kind', 2), ('payment', 'status', 3), ('payment', 'external_id', -1),
        ('payment', 'provider_reference', -1), ('payment', 'view_hash', -1),
        ('attempt', 'site_id', 1), ('attempt', 'attempt_id', -1), ('attempt', 'payment_id', -1), ('attempt', 'account', 1),
        ('payment_event', 'site_id', 1), ('payment_event', 'payment_id', -0.2),
        ('callout', 'site_id', 1), ('callout', 'callout_id', -1), ('callout', 'payment_id', -1),
        ('notice', 'site_id', 1), ('notice', 'notice_id', -1), ('notice', 'account', 1), ('notice', 'dedupe_key', -1),
        ('webhook', 'site_id', 1), ('webhook', 'webhook_id', -1), ('webhook', 'payment_id', -0.5), ('webhook', 'state', 2),
        ('webhook_attempt', 'site_id', 1), ('webhook_attempt', 'webhook_id', -1),
        ('instrument', 'site_id', 1), ('instrument', 'instrument_id', -1), ('instrument', 'player_id', -0.5),
        ('cashier_session', 'site_id', 1), ('cashier_session', 'key_hash', -1),
        ('claim', 'site_id', 1), ('claim', 'scope', -0.1), ('claim', 'key', -1)) AS v (table_name, column_name, differs)
    LOOP
      PERFORM pg_restore_attribute_stats('schemaname', 'public', 'relname', told.table_name, 'attname', told.column_name,
        'inherited', false, 'null_frac', 0::real, 'avg_width', 8, 'n_distinct', told.differs::real);
    END LOOP;
  END IF;
END $$
