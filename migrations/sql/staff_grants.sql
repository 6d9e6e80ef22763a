-- The application asks, votes and notes; of what was asked it changes nothing but that it is decided, and of an operator the
-- token and that it left. Roles and sites never change. Seals are written by the database.
REVOKE ALL ON operator, approval, approval_vote, diary, diary_seal FROM cashier_app
-- ;;
GRANT SELECT ON operator, approval, approval_vote, diary, diary_seal TO cashier_app
-- ;;
GRANT INSERT (operator_id, login, name, roles, sites, token_hash, created_at), UPDATE (token_hash, disabled_at) ON operator
  TO cashier_app
-- ;;
GRANT INSERT (site_id, approval_id, kind, subject, content, content_hash, maker, people_needed, state, made_at, expires_at),
  UPDATE (state, decided_at) ON approval TO cashier_app
-- ;;
GRANT INSERT ON approval_vote, diary TO cashier_app
-- ;;
REVOKE ALL ON FUNCTION staff_seal_line, staff_check_vote, staff_check_approval FROM PUBLIC
-- ;;
-- Reports see how much waits and how long; what people wrote to each other, and the diary, are the auditors'.
GRANT SELECT (site_id, approval_id, kind, subject, maker, people_needed, state, made_at, expires_at, decided_at) ON approval
  TO cashier_reader
-- ;;
GRANT SELECT (site_id, approval_id, operator_id, verdict, voted_at) ON approval_vote TO cashier_reader
-- ;;
GRANT SELECT ON approval, approval_vote, diary, diary_seal TO cashier_auditor
-- ;;
GRANT SELECT (operator_id, login, name, roles, sites, created_at, disabled_at) ON operator TO cashier_auditor
