"""SMART scopes are read as version 2 says, version 1 is mapped, and what is granted never exceeds what is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthbrain.access.smart.grammar import PLAIN, accesses, granted_scopes, read_scope, within
from healthbrain.errors import Incorrect
from healthbrain.scope import LETTERS, Rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("user/Observation.rs", Rule("Observation", "rs")),
        ("system/*.cruds", Rule("*", "cruds")),
        ("patient/Observation.r", Rule("Observation", "r", ())),
        ("patient/Observation.read", Rule("Observation", "rs", ())),
        ("user/Condition.write", Rule("Condition", "cud")),
        ("user/Condition.*", Rule("Condition", "cruds")),
        (
            "user/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
            Rule(
                "Observation",
                "rs",
                None,
                (("category", "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"),),
            ),
        ),
    ],
)
def test_a_scope_becomes_a_rule(text: str, rule: Rule) -> None:
    access = read_scope(text)
    assert access is not None
    assert access.rule == rule


@pytest.mark.parametrize(
    "text",
    [
        "", "patient", "patient/Observation", "patient/Observation.", "patient/Observation.sr", "patient/Observation.rr",
        "patient/Observation.x", "patient/Nothing.rs", "doctor/Observation.rs", "patient/observation.rs",
        "patient/Observation.rs?", "patient/*.rs?category=laboratory", "patient/Observation.rs?nothing=1",
        "patient/Observation.rs?category:not=laboratory", "patient/Observation.rs?date=gt2020",
        "patient/Observation.rs?subject.name=x", "patient/Observation.rs?code-value-quantity=1", "user/Patient.rs?name=x",
        "user/Patient.rs?_has:Observation:patient:code=x", "patient/Observation.rs?category=", "patient/Observation.readwrite",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_no_scope(text: str) -> None:
    assert read_scope(text) is None


@pytest.mark.parametrize(
    ("wanted", "allowed", "granted"),
    [
        (["patient/Observation.rs"], ["patient/*.cruds"], ["patient/Observation.rs"]),
        (["patient/*.cruds"], ["patient/Observation.rs", "patient/Patient.r"], ["patient/Observation.rs", "patient/Patient.r"]),
        (["patient/Observation.read"], ["patient/*.rs"], ["patient/Observation.read"]),
        (["patient/Observation.*"], ["patient/*.rs"], ["patient/Observation.rs"]),
        (["user/Observation.rs"], ["patient/*.cruds"], []),
        (["user/Observation.rs"], ["user/Observation.rs?category=laboratory"], ["user/Observation.rs?category=laboratory"]),
        (["user/Observation.rs?category=laboratory"], ["user/Observation.rs"], ["user/Observation.rs?category=laboratory"]),
        (["user/Observation.c"], ["user/Observation.rs"], []),
        (["openid", "email", "launch/patient"], ["openid", "launch/patient"], ["openid", "launch/patient"]),
        (["openid"], ["profile"], []),
    ],
)  # fmt: skip
def test_what_is_granted_lies_within_what_is_allowed(wanted: list[str], allowed: list[str], granted: list[str]) -> None:
    assert list(granted_scopes(wanted, allowed)) == granted


letters = st.lists(st.sampled_from(LETTERS), min_size=1, unique=True).map(
    lambda chosen: "".join(letter for letter in LETTERS if letter in chosen)
)
scope_texts = st.builds(
    lambda level, type_, may, where: f"{level}/{type_}.{may}{'?' + where if where and type_ != '*' else ''}",
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Observation", "Condition"]),
    letters,
    st.sampled_from(["", "", "code=a", "category=b", "category=b&code=a"]),
)


@given(
    st.lists(scope_texts | st.sampled_from(PLAIN), max_size=5),
    st.lists(scope_texts | st.sampled_from(PLAIN), max_size=5),
)
def test_a_grant_is_never_wider_than_either_side_and_is_stable(wanted: list[str], allowed: list[str]) -> None:
    granted = granted_scopes(wanted, allowed)
    for one in accesses(granted):
        assert any(within(one, other) == one for other in accesses(wanted))
        assert any(within(one, other) == one for other in accesses(allowed))
    assert {t for t in granted if t in PLAIN} == {t for t in wanted if t in PLAIN and t in allowed}
    assert granted_scopes(granted, allowed) == granted


def test_an_application_is_registered_with_safe_return_addresses_only() -> None:
    from healthbrain.access.smart.clients import check_redirect

    for fine in ("https://app.example/cb", "http://localhost:3000/cb", "http://127.0.0.1/cb", "cn.example.app:/back"):
        check_redirect(fine)
    for unsafe in (
        "http://app.example/cb", "https://app.example/#x", "javascript:alert(1)", "data:text/html,x", "//app.example",
        "https://*.example/cb", "https://user@app.example/", "https:app.example", "https://a.example/\n", "",
        "http://localhost.evil.example/cb", "https://app.example\\@evil.example/",
    ):  # fmt: skip
        with pytest.raises(Incorrect):
            check_redirect(unsafe)
