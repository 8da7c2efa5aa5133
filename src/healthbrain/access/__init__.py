"""Who may see and do what: the organisation tree, accounts, sessions, tokens, the permission table, scopes.

`decide` turns a principal into a `Scope`; `Gate` does it from memory for a serving process; `permissions` is the
table of what each role may do.
"""

from healthbrain.access.bearer import Token, issue_token, principal_of_token, revoke_token, tokens
from healthbrain.access.care import (
    EmergencyGrant,
    break_glass,
    doctors_of,
    granted,
    panel,
    put_panel,
    review,
    take_off_panel,
    unreviewed,
)
from healthbrain.access.gate import Gate
from healthbrain.access.passwords import check_password, make_password
from healthbrain.access.people import (
    Account,
    account,
    accounts,
    create_account,
    disable_account,
    enable_account,
    set_password,
)
from healthbrain.access.permissions import (
    PERMISSIONS,
    Permission,
    allowed_purposes,
    default_purpose,
    resource_class,
)
from healthbrain.access.scopes import PatientsOf, decide, permitted
from healthbrain.access.secrets import csrf_holds, csrf_token
from healthbrain.access.signin import (
    OpenSession,
    Session,
    declare_purpose,
    find_session,
    revoke_session,
    session,
    sessions,
    sign_in,
    sign_out,
    with_purpose,
)
from healthbrain.access.tree import Organisation, Tree, organisations, put_organisation
from healthbrain.scope import OPEN_TYPES

__all__ = [
    "OPEN_TYPES",
    "PERMISSIONS",
    "Account",
    "EmergencyGrant",
    "Gate",
    "OpenSession",
    "Organisation",
    "PatientsOf",
    "Permission",
    "Session",
    "Token",
    "Tree",
    "account",
    "accounts",
    "allowed_purposes",
    "break_glass",
    "check_password",
    "create_account",
    "csrf_holds",
    "csrf_token",
    "decide",
    "declare_purpose",
    "default_purpose",
    "disable_account",
    "doctors_of",
    "enable_account",
    "find_session",
    "granted",
    "issue_token",
    "make_password",
    "organisations",
    "panel",
    "permitted",
    "principal_of_token",
    "put_organisation",
    "put_panel",
    "resource_class",
    "review",
    "revoke_session",
    "revoke_token",
    "session",
    "sessions",
    "set_password",
    "sign_in",
    "sign_out",
    "take_off_panel",
    "tokens",
    "unreviewed",
    "with_purpose",
]
