-- A process that has just moved a wallet's money decides upon what it remembers, without a look; what it takes for granted is made
-- sure of here, where it is written, behind the locks of wallet_confirm.

-- Refuse a batch whose wallets were moved last at other instants than is remembered: counters alone fit again where a standby that
-- lacks the last commits has taken over, and others have moved on. And one where anything is not as it nearly always is: keys that
-- nobody rolled back before they came, rounds that are not recorded, sessions that live. That has a code of its own: nobody has moved
-- what is remembered.
CREATE FUNCTION wallet_expect(
  the_site integer, at timestamptz, sources text[], withins text[], keys text[],
  round_wallets bigint[], round_providers text[], round_names text[],
  session_wallets bigint[], session_providers text[], session_ids text[], wallet_ids bigint[], moved_ats timestamptz[])
  RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
#variable_conflict use_column
DECLARE
  is_wrong boolean := false;
BEGIN
  IF EXISTS (
    SELECT FROM unnest(wallet_ids, moved_ats) AS x (wallet_id, moved_at),
      LATERAL (SELECT w.moved_at FROM wallet w WHERE w.site_id = the_site AND w.wallet_id = x.wallet_id LIMIT 1) w
     WHERE w.moved_at IS DISTINCT FROM x.moved_at) THEN
    RAISE EXCEPTION 'what this batch was decided upon has changed' USING ERRCODE = 'serialization_failure';
  END IF;
  IF cardinality(keys) > 0 THEN
    is_wrong := EXISTS (
      SELECT FROM unnest(sources, withins, keys) AS x (source, within, key),
        LATERAL (SELECT FROM wallet_operation o
                  WHERE o.site_id = the_site AND o.source = x.source AND o.within = x.within AND o.reference = x.key
                    AND o.code = 'NOTHING_TO_REVERSE' LIMIT 1) o);
  END IF;
  IF cardinality(round_names) > 0 AND NOT is_wrong THEN
    is_wrong := EXISTS (
      SELECT FROM unnest(round_wallets, round_providers, round_names) AS x (wallet_id, provider, name),
        LATERAL (SELECT FROM wallet_round r
                  WHERE r.site_id = the_site AND r.wallet_id = x.wallet_id AND r.round_id = x.name AND r.provider_id = x.provider LIMIT 1) r);
  END IF;
  IF cardinality(session_ids) > 0 AND NOT is_wrong THEN
    is_wrong := EXISTS (
      SELECT FROM unnest(session_wallets, session_providers, session_ids) AS x (wallet_id, provider, session_id)
        LEFT JOIN LATERAL (
          SELECT s.wallet_id = x.wallet_id AND s.provider_id = x.provider AND s.ended_at IS NULL AND s.expires_at > at AS lives
            FROM game_session s WHERE s.site_id = the_site AND s.session_id = x.session_id LIMIT 1) s ON true
       WHERE s.lives IS NOT TRUE);
  END IF;
  IF is_wrong THEN
    RAISE EXCEPTION 'what this batch took for granted is not so' USING ERRCODE = 'W0001';
  END IF;
END $$
-- ;;
-- Who is blocked may not be remembered as one who is not.
CREATE FUNCTION wallet_revise_players() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM wallet_revise(NEW.site_id, ARRAY(SELECT w.wallet_id FROM wallet w WHERE w.site_id = NEW.site_id AND w.player_id = NEW.player_id));
  RETURN NULL;
END $$
-- ;;
CREATE TRIGGER player_status_changed AFTER UPDATE OF status ON player FOR EACH ROW
  WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION wallet_revise_players()
