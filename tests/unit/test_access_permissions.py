"""The permission table: complete, closed by default, and published as it is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from healthbrain.access import PERMISSIONS, allowed_purposes, default_purpose, permitted, resource_class, with_purpose
from healthbrain.access.permissions import as_markdown
from healthbrain.errors import Forbidden
from healthbrain.scope import OPEN_TYPES, Principal, Role

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"


def principal(role: Role) -> Principal:
    return Principal("a", "A", role, 1, default_purpose(role))


def test_the_published_page_is_the_table() -> None:
    assert PAGE.read_text("utf-8") == as_markdown(), "write it again: tools/write_permissions.py"


def test_no_two_rows_say_different_things() -> None:
    seen: dict[tuple[str, ...], str] = {}
    for row in PERMISSIONS:
        for action in row.actions:
            for purpose in row.purposes:
                key = (row.role, action, row.over, purpose)
                assert key not in seen, key
                seen[key] = row.reach


def test_what_is_not_known_to_be_harmless_is_clinical() -> None:
    assert resource_class("Observation") == "clinical"
    assert resource_class("NoSuchType") == "clinical"
    assert resource_class("Medication") == "clinical"
    assert {resource_class(type_) for type_ in OPEN_TYPES} == {"open"}


@pytest.mark.parametrize("role", get_args(Role))
def test_every_role_reads_open_types_and_none_writes_the_audit_log(role: Role) -> None:
    who = principal(role)
    assert permitted(who, "read", "Organization") == "everything"
    for action in ("write", "delete"):
        with pytest.raises(Forbidden):
            permitted(who, action, "AuditEvent")


@pytest.mark.parametrize(
    ("role", "action", "type_"),
    [
        ("leader", "write", "Observation"),
        ("cdc", "delete", "Patient"),
        ("manager", "write", "Patient"),
        ("doctor", "delete", "Condition"),
        ("doctor", "read", "AuditEvent"),
        ("resident", "write", "Observation"),
        ("resident", "search", "arrival"),
        ("administrator", "read", "Patient"),
        ("administrator", "read", "arrival"),
        ("system", "administer", "administration"),
        ("doctor", "write", "Organization"),
    ],
)
def test_what_the_table_does_not_name_is_forbidden(role: Role, action: str, type_: str) -> None:
    with pytest.raises(Forbidden) as refused:
        permitted(principal(role), action, type_)  # type: ignore[arg-type]
    assert role in refused.value.message


def test_a_purpose_is_taken_only_by_roles_that_know_it() -> None:
    leader = principal("leader")
    assert leader.purpose == "HOPERAT"
    assert permitted(leader, "read", "Patient") == "counts"
    assert permitted(with_purpose(leader, "PUBHLTH"), "read", "Patient") == "jurisdiction"
    with pytest.raises(Forbidden):
        with_purpose(leader, "TREAT")
    assert allowed_purposes("resident") == {"PATRQT"}
