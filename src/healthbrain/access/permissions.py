"""The table: what each role may do with which resources, for which purpose, and how far it sees.

This is the only place that says so. `decide` looks up the first row that fits; nothing fits = Forbidden. The page
docs/reference/permissions.md is this table (a test compares). Rule sources: 003 §五(三), GB/T 39725-2020 (levels 1-5 and
who may use them), GB/T 22239 访问控制: least privilege, administration apart from use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from healthbrain.scope import OPEN_TYPES, Action, Purpose, Role

ResourceClass = Literal[
    "open", "clinical", "audit", "arrival", "indicator", "supervision", "report", "statutory", "assessment", "administration"
]  # fmt: skip

# How far a permission reaches.
Reach = Literal[
    "everything",  # all resources of the class
    "jurisdiction",  # the district (or municipality) the account belongs to, with all below it
    "counts",  # the same, but as numbers only: nobody can be identified
    "subtree",  # the own organisation and all below it
    "institution",  # the own institution with its teams
    "care",  # the own institution, and the persons on the own panel wherever their data lie
    "emergency",  # care, and the persons opened by breaking the glass
    "self",  # the own person, wherever the data lie
]

# names used beside FHIR types when something that is no resource is decided on
_OTHER_CLASSES: dict[str, ResourceClass] = {
    "AuditEvent": "audit",
    "arrival": "arrival",  # deliveries of the exchange: raw messages with their states
    "indicator": "indicator",  # figures on the cockpit
    "supervision": "supervision",  # notices to units about indicators, and their answers (督办)
    "report": "report",  # evaluation reports of plans
    "assessment": "assessment",  # assessments of institutions and towns by weighted schemes (考核评价)
    "statutory": "statutory",  # statutory report forms of units, filled from figures (法定报表)
    "ViewDefinition": "open",  # how tables are made of resources (SQL on FHIR): no type of R4, but as open as a Measure
    "administration": "administration",  # accounts, tokens, organisations, sources, settings
}


@dataclass(frozen=True, slots=True)
class Permission:
    """One row: this role, doing any of these actions on this class for one of these purposes, reaches so far."""

    role: Role
    actions: tuple[Action, ...]
    over: ResourceClass
    purposes: tuple[Purpose, ...]
    reach: Reach


_SEE: tuple[Action, ...] = ("read", "search")
_CHANGE: tuple[Action, ...] = ("write", "delete")
_ALL_ROLES: tuple[Role, ...] = ("leader", "cdc", "manager", "doctor", "resident", "administrator", "system")

# The first purpose of a role is what it acts for unless it declares another.
PURPOSES: dict[Role, tuple[Purpose, ...]] = {
    "leader": ("HOPERAT", "PUBHLTH"),
    "cdc": ("PUBHLTH",),
    "manager": ("HOPERAT",),
    "doctor": ("TREAT", "ETREAT"),
    "resident": ("PATRQT",),
    "administrator": ("SYSADMIN", "HOPERAT"),
    "system": ("TREAT",),
}

PERMISSIONS: tuple[Permission, ...] = (
    *(Permission(role, _SEE, "open", PURPOSES[role], "everything") for role in _ALL_ROLES),
    # 区领导: figures of the district; single residents only for a declared public-health purpose
    Permission("leader", _SEE, "indicator", PURPOSES["leader"], "jurisdiction"),
    Permission("leader", (*_SEE, "write", "administer"), "supervision", PURPOSES["leader"], "jurisdiction"),
    Permission("leader", (*_SEE, "write"), "report", PURPOSES["leader"], "jurisdiction"),
    Permission("leader", (*_SEE, "write", "administer"), "assessment", PURPOSES["leader"], "jurisdiction"),
    Permission("leader", _SEE, "statutory", PURPOSES["leader"], "jurisdiction"),
    Permission("leader", _SEE, "clinical", ("HOPERAT",), "counts"),
    Permission("leader", _SEE, "clinical", ("PUBHLTH",), "jurisdiction"),
    Permission("leader", _SEE, "arrival", ("HOPERAT",), "counts"),
    Permission("leader", _SEE, "arrival", ("PUBHLTH",), "jurisdiction"),
    # 疾控: the whole district, for public health
    Permission("cdc", (*_SEE, "write"), "indicator", ("PUBHLTH",), "jurisdiction"),
    Permission("cdc", _SEE, "supervision", ("PUBHLTH",), "jurisdiction"),
    Permission("cdc", (*_SEE, "write"), "report", ("PUBHLTH",), "jurisdiction"),
    Permission("cdc", (*_SEE, "write", "administer"), "assessment", ("PUBHLTH",), "jurisdiction"),
    Permission("cdc", (*_SEE, "write", "administer"), "statutory", ("PUBHLTH",), "jurisdiction"),
    Permission("cdc", _SEE, "clinical", ("PUBHLTH",), "jurisdiction"),
    Permission("cdc", _SEE, "arrival", ("PUBHLTH",), "jurisdiction"),
    # 机构管理者: the own institution, its data quality and who looked at its data
    Permission("manager", _SEE, "indicator", ("HOPERAT",), "subtree"),
    Permission("manager", (*_SEE, "write"), "supervision", ("HOPERAT",), "subtree"),
    Permission("manager", (*_SEE, "write"), "assessment", ("HOPERAT",), "subtree"),
    Permission("manager", (*_SEE, "write", "administer"), "statutory", ("HOPERAT",), "subtree"),
    Permission("manager", _SEE, "clinical", ("HOPERAT",), "subtree"),
    Permission("manager", (*_SEE, "replay"), "arrival", ("HOPERAT",), "subtree"),
    Permission("manager", _SEE, "audit", ("HOPERAT",), "subtree"),
    # 家庭医生: the own institution and the own panel everywhere; writes for the own institution
    Permission("doctor", _SEE, "indicator", ("TREAT", "ETREAT"), "institution"),
    Permission("doctor", _SEE, "clinical", ("TREAT",), "care"),
    Permission("doctor", _SEE, "clinical", ("ETREAT",), "emergency"),
    Permission("doctor", ("write",), "clinical", ("TREAT", "ETREAT"), "institution"),
    # 居民: everything about oneself, also who has looked at it
    Permission("resident", _SEE, "clinical", ("PATRQT",), "self"),
    Permission("resident", _SEE, "audit", ("PATRQT",), "self"),
    # 管理员: runs the platform; sees records only when a declared support case needs it
    Permission(
        "administrator", (*_SEE, *_CHANGE, "administer"), "administration", PURPOSES["administrator"], "subtree"
    ),
    Permission("administrator", _SEE, "audit", PURPOSES["administrator"], "subtree"),
    Permission("administrator", (*_SEE, "write"), "indicator", PURPOSES["administrator"], "subtree"),
    Permission("administrator", (*_SEE, "write", "administer"), "supervision", PURPOSES["administrator"], "subtree"),
    Permission("administrator", (*_SEE, "write"), "report", PURPOSES["administrator"], "subtree"),
    Permission("administrator", (*_SEE, "write", "administer"), "assessment", PURPOSES["administrator"], "subtree"),
    Permission("administrator", (*_SEE, "write", "administer"), "statutory", PURPOSES["administrator"], "subtree"),
    Permission("administrator", (*_SEE, "replay"), "arrival", ("HOPERAT",), "subtree"),
    Permission("administrator", ("search", "replay"), "arrival", ("SYSADMIN",), "counts"),
    Permission("administrator", _SEE, "clinical", ("HOPERAT",), "subtree"),
    Permission("administrator", _CHANGE, "open", PURPOSES["administrator"], "subtree"),
    # 业务系统: what its organisation sends and owns
    Permission("system", (*_SEE, *_CHANGE), "clinical", ("TREAT",), "subtree"),
    Permission("system", _CHANGE, "open", ("TREAT",), "subtree"),
    Permission("system", (*_SEE, "write"), "indicator", ("TREAT",), "subtree"),
    Permission("system", _SEE, "arrival", ("TREAT",), "subtree"),
    Permission("system", _SEE, "supervision", ("TREAT",), "subtree"),
    Permission("system", _SEE, "assessment", ("TREAT",), "subtree"),
)


def resource_class(type: str) -> ResourceClass:
    """The class of a FHIR type (or of one of the names above). Whatever is not known to be harmless is clinical."""
    if type in OPEN_TYPES:
        return "open"
    return _OTHER_CLASSES.get(type, "clinical")


def reach(role: Role, action: Action, over: ResourceClass, purpose: Purpose) -> Reach | None:
    """How far; None = not at all."""
    return _REACH.get((role, action, over, purpose))


def default_purpose(role: Role) -> Purpose:
    """What the role acts for unless it declares another purpose."""
    return PURPOSES[role][0]


def allowed_purposes(role: Role) -> frozenset[Purpose]:
    """What the role can act for at all."""
    return frozenset(PURPOSES[role])


def _index() -> dict[tuple[Role, Action, ResourceClass, Purpose], Reach]:
    found: dict[tuple[Role, Action, ResourceClass, Purpose], Reach] = {}
    for row in PERMISSIONS:
        for action in row.actions:
            for purpose in row.purposes:
                found.setdefault((row.role, action, row.over, purpose), row.reach)
    return found


_REACH = _index()


def as_markdown() -> str:
    """The reference page of this table."""
    lines = [
        "# Who may do what",
        "",
        "Written from the table in `healthbrain.access.permissions` by `tools/write_permissions.py`; a test",
        "compares the two. What no row names is forbidden.",
        "",
        "| role | may | with | for | reaching |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.role} | {', '.join(row.actions)} | {row.over} | {', '.join(row.purposes)} | {row.reach} |"
        for row in PERMISSIONS
    ]
    lines += ["", "## What the words mean", ""]
    lines += [f"- **{name}**: {meaning}" for name, meaning in _MEANINGS.items()]
    lines += ["", "Open types: " + ", ".join(sorted(OPEN_TYPES)) + ".", ""]
    return "\n".join(lines)


_MEANINGS = {
    "everything": "all resources of the class (what else such a question may bring along is as for clinical)",
    "jurisdiction": "the district (or municipality) of the account with all organisations below it",
    "counts": "the same, as numbers only: nobody can be identified",
    "subtree": "the account's organisation with all below it",
    "institution": "the account's institution with its teams",
    "care": "the own institution, and the persons on the own panel wherever their data lie",
    "emergency": "care, and for an hour each person opened by breaking the glass with a reason",
    "self": "the own person, wherever the data lie",
    "open": "organisations, practitioners, terminology, definitions: the types listed below, and ViewDefinition",
    "clinical": "every other resource type",
    "audit": "AuditEvent",
    "arrival": "what sources delivered: raw messages and what became of them",
    "indicator": "figures: measures by organisation and town, without persons",
    "supervision": "notices to units about indicators, the answers, their review (write: answer; administer: issue, close)",
    "report": "evaluation reports of plans (write: draw up and publish)",
    "assessment": "assessments by weighted schemes (write: appeal and remark; administer: schemes, runs, publishing, answers)",
    "statutory": "statutory report forms of units (write: make, explain, submit; administer: pass, approve, return what others submitted)",
    "administration": "accounts, tokens, organisations, sources, settings",
}
