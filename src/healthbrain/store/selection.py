"""Which rows a question means: its criteria and the reader's scope as conditions, chains in both directions included."""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, TooLarge
from healthbrain.store import arrays, keys, texts
from healthbrain.store.asking import Asking
from healthbrain.store.conditions import condition
from healthbrain.store.currentlists import current_list
from healthbrain.store.filtering import Node
from healthbrain.store.filters import filter_condition
from healthbrain.store.lookups import Canonicals, Members, Urls, canonical
from healthbrain.store.pieces import Condition, all_of, any_of, holds_any
from healthbrain.store.pointing import reference_targets
from healthbrain.store.question import Criterion, unescape
from healthbrain.store.types import TypeIndex
from healthbrain.store.visibility import visible_sql

_DEEPEST_CHAIN = 12
# PostgreSQL weighs every order of the steps of a reverse chain: eight took it a minute. `offset 0` keeps groups apart.
_PLANNED_TOGETHER = 3


@dataclass(frozen=True, slots=True)
class Selection:
    """Where a question's rows are: conditions joined by `and`."""

    index: TypeIndex
    conditions: tuple[Condition, ...]

    @property
    def where(self) -> str:
        """The conditions as SQL."""
        return " and ".join(c.sql for c in self.conditions)

    @property
    def parameters(self) -> list[Any]:
        """What the conditions bind, in order."""
        return [value for c in self.conditions for value in c.parameters]


async def selected(connection: Connection, type_: str, criteria: Sequence[Criterion], asking: Asking) -> Selection:
    """The rows of a type that fulfil the criteria; fetches first what the conditions depend on."""
    return await asking.until_known(connection, lambda: select(asking.index(type_), criteria, asking))


def select(
    index: TypeIndex, criteria: Sequence[Criterion], asking: Asking, *, alias: str = "r", depth: int = 0
) -> Selection:
    """The rows of a type that fulfil the criteria and are open to the reader. Raises Wanted, see asking.py."""
    conditions = [Condition(f"{alias}.rtype = {index.number}::smallint and not {alias}.deleted")]
    for criterion in criteria:
        if (found := _condition(index, criterion, asking, alias, depth)) is not None:
            conditions.append(found)
    rule, parameters = visible_sql(asking.scope, index.name, alias)
    if rule:
        conditions.append(Condition(rule, tuple(parameters)))
    return Selection(index, tuple(conditions))


def _condition(index: TypeIndex, criterion: Criterion, asking: Asking, row: str, depth: int) -> Condition | None:
    if criterion.name == "_has":
        return _reverse_chain(index, criterion, asking, row, depth)
    if criterion.name == "_list":
        return _list(index, criterion, asking, row)
    if criterion.name in texts.NAMES:
        return texts.text_condition(index, criterion, row, asking)
    if criterion.filter is not None:
        return _filter(index, criterion, asking, row, depth)
    if not asking.has(index, criterion.name):
        if asking.strict or depth:
            known = ", ".join(sorted(code for code, p in index.parameters.items() if p.type != "special"))
            raise Incorrect(f"'{criterion.name}' is not a search parameter of {index.name}; known are {known}")
        asking.ignored.add(criterion.written)
        return None
    if criterion.chain:
        return _chain(index, criterion, _inner(criterion), asking, row, depth)
    return condition(index, criterion, row, asking)


def _list(index: TypeIndex, criterion: Criterion, asking: Asking, row: str) -> Condition:
    """_list=42: what that List names; _list=$current-problems: what such a list would hold now."""
    if criterion.modifier or criterion.chain:
        raise Incorrect(f"'{criterion.written}': _list has neither modifiers nor chains")
    named: list[bytes] = []
    ways: list[Condition] = []
    for value in criterion.values:
        id_ = unescape(value).removeprefix("List/")
        if not id_.startswith("$"):
            named += [keys.resource_key(*name) for name in asking.need(Members(id_)) if name[0] == index.name]
        elif (question := current_list(id_).get(index.name)) is not None:
            asked = [Criterion("_list", name, how, "", tuple(values.split(","))) for name, how, values in question]
            ways.append(all_of([condition(index, one, row, asking) for one in asked]))
    return any_of([*ways, Condition(f"{row}.key = any(%s)", (arrays.uuid(named),))] if named or not ways else ways)


def _filter(index: TypeIndex, criterion: Criterion, asking: Asking, row: str, depth: int) -> Condition:
    def follow(from_: TypeIndex, name: str, rest: Node) -> Condition:
        if not asking.has(from_, name):
            raise Incorrect(f"'_filter': '{name}' is not a search parameter of {from_.name}")
        step = Criterion("_filter", name, "", "_filter", ())
        return _chain(from_, step, Criterion("_filter", "_filter", "", "", (), rest), asking, row, depth)

    if criterion.filter is None:
        raise Incorrect("'_filter' is empty")
    return filter_condition(index, criterion.filter, row, asking, follow)


# -- chains


def _chain(index: TypeIndex, criterion: Criterion, inner: Criterion, asking: Asking, row: str, depth: int) -> Condition:
    """subject:Patient.name=x: the reference is to one of the resources that fulfil the rest."""
    parameter = index.parameters[criterion.name]
    if parameter.type != "reference":
        raise Incorrect(f"'{criterion.written}': only a reference can be followed, and {criterion.name} is none")
    if depth >= _DEEPEST_CHAIN:
        raise TooLarge(f"'{criterion.written}' is a chain of more than {_DEEPEST_CHAIN} references")
    targets = [criterion.modifier] if criterion.modifier else reference_targets(parameter)
    found: list[Condition] = []
    refused: Incorrect | None = None
    for target in targets:
        other = asking.index(target)
        if inner.name not in {"_has", "_list"} and not asking.has(other, inner.name):
            continue
        asking.count_select(criterion.written)
        alias = f"t{depth}"
        try:
            rest = select(other, [inner], asking, alias=alias, depth=depth + 1)
        except TooLarge:
            raise
        except Incorrect as error:  # this type does not lead on; another one may
            refused = refused or error
            continue
        if target == "Patient" and parameter.code in index.patient_params:
            sql = f"{row}.patient in (select {alias}.patient from resource {alias} where {rest.where})"
        elif canonical(parameter) and "url" in other.parameters:
            need = Urls(criterion.written, target, Condition(rest.where, tuple(rest.parameters)), alias)
            tokens = [keys.number(keys.form(parameter.number, "uri", url)) for url in asking.need(need)]
            found.append(holds_any(row, tokens))
            continue
        else:
            mask = keys.signed(keys.reference_mask(parameter.number))
            token = f"resource_handle({alias}.key) # ({mask})::bigint"
            sql = f"{row}.tokens && array(select {token} from resource {alias} where {rest.where})"
        found.append(Condition(sql, tuple(rest.parameters)))
    if not found:
        raise refused or Incorrect(
            f"'{criterion.written}': no type that {criterion.name} refers to has a parameter '{inner.name}'"
        )
    return Condition(f"({' or '.join(c.sql for c in found)})", sum((c.parameters for c in found), ()))


def _inner(criterion: Criterion) -> Criterion:
    first, _, chain = criterion.chain.partition(".")
    name, _, modifier = first.partition(":")
    if name == "_has":
        return Criterion(criterion.written, "_has", "", criterion.chain.removeprefix("_has:"), criterion.values)
    return Criterion(criterion.written, name, modifier, chain, criterion.values)


def _reverse_chain(index: TypeIndex, criterion: Criterion, asking: Asking, row: str, depth: int) -> Condition:
    """_has:Observation:patient:code=x: some Observation that fulfils the rest refers to this row."""
    type_, _, rest = criterion.chain.partition(":")
    name, _, rest = rest.partition(":")
    if not type_ or not name or not rest:
        raise Incorrect(f"'{criterion.written}' is written _has:Type:reference:parameter")
    if depth >= _DEEPEST_CHAIN:
        raise TooLarge(f"'{criterion.written}' is a chain of more than {_DEEPEST_CHAIN} references")
    other = asking.index(type_)
    asking.count_select(criterion.written)
    parameter = other.parameters[name] if asking.has(other, name) else None
    if parameter is None or parameter.type != "reference":
        raise Incorrect(f"'{criterion.written}': {name} is not a reference parameter of {type_}")
    alias = f"t{depth}"
    inner = _inner(Criterion(criterion.written, "", "", rest, criterion.values))
    rest_of = select(other, [inner], asking, alias=alias, depth=depth + 1)
    if index.name == "Patient" and name in other.patient_params:
        sql = f"{row}.patient in (select {alias}.patient from resource {alias} where {rest_of.where})"
        return Condition(sql, tuple(rest_of.parameters))
    if canonical(parameter) and "url" in index.parameters:
        need = Canonicals(criterion.written, name, Condition(rest_of.where, tuple(rest_of.parameters)), alias)
        url = index.numbers["url"]
        return holds_any(row, [keys.number(keys.form(url, "uri", one)) for one in asking.need(need)])
    mask = keys.signed(keys.reference_mask(parameter.number))
    token = f"array[resource_handle({row}.key) # ({mask})::bigint]"
    apart = " offset 0" if depth % _PLANNED_TOGETHER == _PLANNED_TOGETHER - 1 else ""
    sql = f"exists (select from resource {alias} where {alias}.tokens @> {token} and {rest_of.where}{apart})"
    return Condition(sql, tuple(rest_of.parameters))
