"""Who may see and do what: the organisation tree, accounts, sessions, tokens, the permission table, scopes.

`decide` turns a principal into a `Scope`; `Gate` does it from memory for a serving process; `permissions` is the
table of what each role may do. `smart` holds what applications may do on somebody's behalf.
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
    display_names,
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
    complete,
    declare_purpose,
    find_session,
    open_session,
    revoke_session,
    session,
    session_began,
    sessions,
    sign_in,
    sign_out,
    with_purpose,
)
from healthbrain.access.smart.authorising import Given, authorisations_of, withdraw
from healthbrain.access.smart.clients import (
    Client,
    approve_client,
    clients,
    disable_client,
    enable_client,
    find_client,
    register_client,
)
from healthbrain.access.smart.federation import identities_of, link_identity, unlink_identity
from healthbrain.access.tree import Organisation, Tree, organisations, put_organisation
from healthbrain.scope import OPEN_TYPES

__all__ = [
    "OPEN_TYPES",
    "PERMISSIONS",
    "Account",
    "Client",
    "EmergencyGrant",
    "Gate",
    "Given",
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
    "approve_client",
    "authorisations_of",
    "break_glass",
    "check_password",
    "clients",
    "complete",
    "create_account",
    "csrf_holds",
    "csrf_token",
    "decide",
    "declare_purpose",
    "default_purpose",
    "disable_account",
    "disable_client",
    "display_names",
    "doctors_of",
    "enable_account",
    "enable_client",
    "find_client",
    "find_session",
    "granted",
    "identities_of",
    "issue_token",
    "link_identity",
    "make_password",
    "open_session",
    "organisations",
    "panel",
    "permitted",
    "principal_of_token",
    "put_organisation",
    "put_panel",
    "register_client",
    "resource_class",
    "review",
    "revoke_session",
    "revoke_token",
    "session",
    "session_began",
    "sessions",
    "set_password",
    "sign_in",
    "sign_out",
    "take_off_panel",
    "tokens",
    "unlink_identity",
    "unreviewed",
    "with_purpose",
    "withdraw",
]
