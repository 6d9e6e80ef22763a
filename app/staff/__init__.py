"""Who may sit at the desk: operators, roles, approvals, and the diary of what each one did.

Promises that nobody approves what they asked for (in the code and in the database), that two approvals are
two people's, that an approval is for exactly what was asked, and that what was noted stays as it was noted.
Owns who may do what. Refuses whatever is not listed in `RIGHTS`, and every vote that comes too late.
"""

# fmt: off
# isort: off
from app.staff.model import (
    HOUSE, RIGHTS, RIGHT_TO_VOTE, SYSTEM, Approval, ApprovalId, ApprovalKind, ApprovalState, ApprovalWish,
    Ballot, DiaryEntry, NewOperator, Operator, OperatorId, Right, Role, Verdict, Vote, merchant_actor,
    operator_actor, player_actor,
)
from app.staff.rules import (
    ApprovalClosed, ApprovalExpired, BadOperator, BadReason, ContentChanged, NotAnotherPerson, NotPermitted,
    OperatorDisabled, OwnRequest, VotedAlready, check_text, require,
)
from app.staff.queries import (
    ApprovalNotFound, OperatorNotAuthentic, OperatorNotFound, approval, approved, authentic, diary,
    newest_approval, noted, open_approvals, operator, operators_of,
)
from app.staff.operations import (
    ApprovalOpenAlready, LoginTaken, create_operator, disable_operator, expire_due, new_token, note,
    open_approval, vote, withdraw_approval,
)
from app.staff.audit import DiaryReport, verify_diary

__all__ = [
    "HOUSE", "RIGHTS", "RIGHT_TO_VOTE", "SYSTEM", "Approval", "ApprovalClosed", "ApprovalExpired",
    "ApprovalId", "ApprovalKind", "ApprovalNotFound", "ApprovalOpenAlready", "ApprovalState", "ApprovalWish",
    "BadOperator", "BadReason", "Ballot", "ContentChanged", "DiaryEntry", "DiaryReport", "LoginTaken",
    "NewOperator", "NotAnotherPerson", "NotPermitted", "Operator", "OperatorDisabled", "OperatorId",
    "OperatorNotAuthentic", "OperatorNotFound", "OwnRequest", "Right", "Role", "Verdict", "Vote",
    "VotedAlready", "approval", "approved", "authentic", "check_text", "create_operator", "diary",
    "disable_operator", "expire_due", "merchant_actor", "new_token", "newest_approval", "note",
    "noted", "open_approval", "open_approvals", "operator", "operator_actor", "operators_of", "player_actor",
    "require", "verify_diary", "vote", "withdraw_approval",
]
# isort: on
# fmt: on
