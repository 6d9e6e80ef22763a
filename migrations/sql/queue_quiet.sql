-- A worker that waits is woken by new jobs alone. PgQueuer's trigger tells of each that is done as well, for which
-- the workers claimed once more. That a job of its own is queued again a worker tells itself; what a person revives is
-- found by the look that a worker takes each second.
DROP TRIGGER tg_pgqueuer_changed ON queue.pgqueuer
-- ;;
CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT ON queue.pgqueuer
    EXECUTE FUNCTION queue.fn_pgqueuer_changed()
-- ;;
-- The queue's log keeps what went wrong: also why a job is queued again. That one was taken and done are two rows and
-- ten entries of indexes for each, which nobody reads: jobs are counted by the metrics.
CREATE FUNCTION queue.unwritten() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS
$$ BEGIN RETURN NULL; END $$
-- ;;
CREATE TRIGGER nothing_went_wrong BEFORE INSERT ON queue.pgqueuer_log
    FOR EACH ROW WHEN (NEW.status IN ('queued', 'picked', 'successful') AND NEW.traceback IS NULL)
    EXECUTE FUNCTION queue.unwritten()
