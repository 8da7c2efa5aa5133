"""What an application was granted, applied to resources: types, patients and search restrictions (SMART v2 scopes).

The rule is the same in SQL and in Python. A search restriction (`?category=laboratory`) is a set of index tokens of
which the resource must hold one, for each of its parameters; that is why only parameters found by equality are
granted (access refuses the others). Superseded versions have no tokens in the database, so they are indexed afresh
when a restriction has to be applied to them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.errors import Unsupported
from healthbrain.fhir import extract, parse
from healthbrain.scope import OPEN_TYPES, Rule, Scope
from healthbrain.store import arrays, keys
from healthbrain.store.pieces import Condition, all_of, any_of, holds_any
from healthbrain.store.question import split, unescape
from healthbrain.store.rows import Rows, index_rows
from healthbrain.store.searched import token_of
from healthbrain.store.types import UNIONS, type_index, type_number

_OPEN = Condition("true")


@dataclass(frozen=True, slots=True)
class Restriction:
    """One parameter of a search restriction: the resource holds one of these tokens, or is of one of these patients."""

    tokens: frozenset[int]
    patients: frozenset[int]

    def condition(self, alias: str) -> Condition:
        """It as SQL."""
        ways = [holds_any(alias, sorted(self.tokens))] if self.tokens else []
        if self.patients:
            ways.append(Condition(f"{alias}.patient = any(%s)", (arrays.int8(sorted(self.patients)),)))
        return any_of(ways)

    def holds(self, rows: Rows) -> bool:
        """It in Python."""
        return rows.patient in self.patients or not self.tokens.isdisjoint(keys.number(token) for token in rows.tokens)


@functools.lru_cache(maxsize=4096)
def restrictions(type_: str, where: tuple[tuple[str, str], ...]) -> tuple[Restriction, ...]:
    """A search restriction as what the index holds. Raises Unsupported for what is not found by equality."""
    return tuple(_restriction(type_, name, value) for name, value in where)


def _restriction(type_: str, name: str, value: str) -> Restriction:
    tokens: set[int] = set()
    patients: set[int] = set()
    index = type_index(type_)
    for code in UNIONS.get((type_, name), (name,)):
        parameter = index.parameters.get(code)
        if parameter is None or parameter.type not in ("token", "uri", "reference"):
            raise Unsupported(f"a grant cannot be restricted by {type_}.{name}")
        for one in filter(None, split(value, ",")):
            if parameter.type == "token":
                tokens.add(token_of(parameter.number, one))
            elif parameter.type == "uri" or "://" in one:
                tokens.add(keys.number(keys.form(parameter.number, "uri", unescape(one))))
            else:
                target, _, id_ = unescape(one).rpartition("/")
                targets = (target,) if target else parameter.targets
                if "Patient" in targets and code in index.patient_params:
                    patients.add(keys.patient_key(id_))
                tokens.update(keys.number(keys.referred(parameter.number, t, id_)) for t in targets)
    return Restriction(frozenset(tokens), frozenset(patients))


# -- in SQL


def granted_sql(scope: Scope, type_: str | None, alias: str, may: str, *, current: bool) -> Condition | None:
    """The rules as a condition on the row `alias`; None when they change nothing. `current` rows have tokens."""
    if scope.rules is None:
        return None
    ways: list[Condition] = []
    for rule in _rules(scope, type_, may):
        way = _of_rule(rule, type_, alias, current)
        if way is _OPEN:
            return None
        ways.append(way)
    if not ways:
        return Condition("(false)")
    return Condition(f"({any_of(ways).sql})", any_of(ways).parameters)


def _rules(scope: Scope, type_: str | None, may: str) -> Sequence[Rule]:
    if type_ is not None:
        return scope.rules_for(type_, may)
    return [rule for rule in scope.rules or () if not set(rule.may).isdisjoint(may)]


def _of_rule(rule: Rule, type_: str | None, alias: str, current: bool) -> Condition:
    parts: list[Condition] = []
    about = rule.type if type_ is None else type_
    if type_ is None and rule.type != "*":
        parts.append(Condition(f"{alias}.rtype = {type_number(rule.type)}::smallint"))
    if rule.patients is not None and about not in OPEN_TYPES:
        own = Condition(f"{alias}.patient = any(%s)", (arrays.int8(rule.patients),))
        if about == "*":
            numbers = arrays.int2([type_number(name) for name in sorted(OPEN_TYPES)])
            own = any_of([own, Condition(f"{alias}.rtype = any(%s)", (numbers,))])
        parts.append(own)
    if current and rule.where:
        parts += [one.condition(alias) for one in restrictions(rule.type, rule.where)]
    return all_of(parts) if parts else _OPEN


# -- in Python


def perhaps(scope: Scope, patient: int | None, type_: str, may: str) -> bool:
    """Whether some rule allows it as far as type and patient tell."""
    return scope.rules is None or any(_of_patient(rule, patient, type_) for rule in scope.rules_for(type_, may))


def granted(scope: Scope, patient: int | None, type_: str, may: str, id_: str, body: bytes) -> bool:
    """Whether some rule allows this version; its body is read only when a search restriction asks for it."""
    rules = [rule for rule in scope.rules_for(type_, may) if _of_patient(rule, patient, type_)]
    if scope.rules is None or any(not rule.where for rule in rules):
        return True
    if not rules or not body:  # what is not there any more fulfils no restriction
        return False
    return _fulfilled(rules, index_rows(type_index(type_), id_, extract(parse(body))))


def grants_writing(scope: Scope, type_: str, may: str, patient: int | None, rows: Rows | None) -> bool:
    """Whether a resource of this patient with these rows may be written (`None`: it is deleted, there are none).

    A rule for one patient covers no resources that belong to everybody.
    """
    rules = [r for r in scope.rules_for(type_, may) if r.patients is None or patient in r.patients]
    return scope.rules is None or (bool(rules) if rows is None else _fulfilled(rules, rows))


def _fulfilled(rules: Sequence[Rule], rows: Rows) -> bool:
    return any(all(one.holds(rows) for one in restrictions(rule.type, rule.where)) for rule in rules)


def _of_patient(rule: Rule, patient: int | None, type_: str) -> bool:
    return rule.patients is None or type_ in OPEN_TYPES or patient in rule.patients


def rows_of(type_: str, id_: str, content: dict[str, Any]) -> Rows:
    """The index rows of a resource."""
    return index_rows(type_index(type_), id_, extract(content))
