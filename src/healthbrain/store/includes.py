"""What a search adds to its matches: the resources they refer to, and those that refer to them.

R4 search, _include and _revinclude: `:iterate` is applied to what was included too, until nothing new comes, at most
DEEPEST times; everything else to the matches alone. No resource comes twice, none that the reader's scope hides.
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Iterable, Sequence

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, TooLarge
from healthbrain.fhir import SearchParameter, definitions
from healthbrain.fhir.values import Reference
from healthbrain.store import arrays, keys
from healthbrain.store.asking import Asking
from healthbrain.store.pieces import Condition, any_of, holds_any
from healthbrain.store.pointing import reference_targets
from healthbrain.store.question import Include
from healthbrain.store.reading import COLUMNS, read_many, stored
from healthbrain.store.types import TypeIndex
from healthbrain.store.values import Stored
from healthbrain.store.visibility import visible_sql

LARGEST_INCLUDE = 1000
DEEPEST = 10
_MOST_TOKENS = 50_000  # references that one _revinclude may look for


async def included(
    connection: Connection, matches: Sequence[Stored], includes: Sequence[Include], asking: Asking
) -> list[Stored]:
    """What the matches refer to, and what refers to them; none twice, none that is a match."""
    known = {one.rid for one in matches}
    found: dict[int, Stored] = {}
    level, applied = list(matches), includes
    for _ in range(DEEPEST):
        new = [one for one in await _step(connection, level, applied, asking) if one.rid not in known]
        for one in new:
            known.add(one.rid)
            found[one.rid] = one
        if len(found) > LARGEST_INCLUDE:
            raise TooLarge(f"more than {LARGEST_INCLUDE} included resources; ask for fewer with _count")
        level, applied = list({one.rid: one for one in new}.values()), [i for i in includes if i.iterate]
        if not level or not applied:
            break
    return list(found.values())


async def _step(
    connection: Connection, level: Sequence[Stored], includes: Sequence[Include], asking: Asking
) -> list[Stored]:
    found: list[Stored] = []
    forward = [include for include in includes if not include.reverse]
    if forward:
        references = [r for one in level for r in _references(one, forward, asking)]
        names = dict.fromkeys((r.type, r.id) for r in references if r.id)
        found += await read_many(connection, list(names)[: LARGEST_INCLUDE + 1], scope=asking.scope)
        urls = dict.fromkeys((r.url, r.version) for r in references if r.url and not r.url.startswith("urn:uuid:"))
        if urls:
            found += await _canonical(connection, list(urls)[:LARGEST_INCLUDE], forward, asking)
    for include in includes:
        if include.reverse:
            found += await _referring(connection, level, include, asking)
    return found


def check_includes(types: Sequence[str], includes: Sequence[Include], asking: Asking) -> None:
    """Incorrect when an include names what is not there, or begins with a type that the search cannot meet."""
    for include in includes:
        name = "_revinclude" if include.reverse else "_include"
        if include.target:
            asking.index(include.target)
        if include.source == "*":
            continue
        if not include.reverse and not include.iterate and include.source not in types:
            raise Incorrect(f"'_include' begins with the type that is searched: {', '.join(types[:5])}")
        index = asking.index(include.source)
        if include.parameter == "*":
            continue
        parameter = index.parameters[include.parameter] if asking.has(index, include.parameter) else None
        if parameter is None or parameter.type != "reference":
            raise Incorrect(f"'{name}': {include.parameter} is not a reference parameter of {include.source}")


# -- what resources refer to


def _references(one: Stored, includes: Sequence[Include], asking: Asking) -> Iterable[Reference]:
    fitting = [i for i in includes if i.source in {"*", one.type}]
    if not fitting:
        return []
    return [
        reference
        for reference in asking.values(one.type, one.resource).references
        if any(
            i.parameter in {"*", reference.param} and (i.target in {"", reference.type} or not reference.type)
            for i in fitting
        )
    ]


async def _canonical(
    connection: Connection, urls: Sequence[tuple[str, str]], includes: Sequence[Include], asking: Asking
) -> list[Stored]:
    """The conformance resources of canonical urls, the asked version where one is asked for."""
    wanted = {include.target for include in includes}
    tokens: list[int] = []
    for type_ in definitions().types:
        url = asking.index(type_).parameters.get("url")
        if url is not None and url.type == "uri" and wanted & {"", type_}:
            tokens += [keys.number(keys.form(url.number, "uri", text)) for text, _ in urls]
    found = await _rows(connection, None, holds_any("r", tokens), asking)
    versions: dict[str, set[str]] = {}
    for text, version in urls:
        versions.setdefault(text, set()).add(version)
    return [one for one in found if _is_version(one, versions)]


def _is_version(one: Stored, versions: dict[str, set[str]]) -> bool:
    resource = one.resource
    wanted = versions.get(resource.get("url", ""), set())
    return "" in wanted or resource.get("version", "") in wanted


# -- what refers to resources


async def _referring(connection: Connection, level: Sequence[Stored], include: Include, asking: Asking) -> list[Stored]:
    types = definitions().types if include.source == "*" else (include.source,)
    targets = [one for one in level if include.target in {"", one.type}]
    tokens: list[int] = []
    patients: set[int] = set()
    for name in types:
        index = asking.index(name)
        for code, parameter in index.parameters.items():
            if parameter.type == "reference" and include.parameter in {"*", code}:
                tokens += _pointing(index, parameter, targets, patients)
    if len(tokens) > _MOST_TOKENS:
        raise TooLarge("'_revinclude' looks for too many references; name a type and a parameter, or lower _count")
    conditions = [holds_any("r", tokens)] if tokens else []
    if patients:
        conditions.append(Condition("r.patient = any(%s)", (arrays.int8(sorted(patients)),)))
    if not conditions:
        return []
    return await _rows(connection, types[0] if len(types) == 1 else None, any_of(conditions), asking)


def _pointing(
    index: TypeIndex, parameter: SearchParameter, targets: Sequence[Stored], patients: set[int]
) -> Iterable[int]:
    """The tokens of rows that refer to the targets; patients whom column `patient` tells go to `patients`."""
    allowed = set(reference_targets(parameter))
    for one in targets:
        if one.type not in allowed:
            continue
        if one.type == "Patient" and parameter.code in index.patient_params:
            patients.add(keys.patient_key(one.id))
        else:
            yield keys.number(keys.referred(parameter.number, one.type, one.id))


async def _rows(connection: Connection, type_: str | None, condition: Condition, asking: Asking) -> list[Stored]:
    rule, parameters = visible_sql(asking.scope, type_)
    number = f" and r.rtype = {asking.index(type_).number}::smallint" if type_ else ""
    statement = (
        f"select {COLUMNS} from resource r where not r.deleted{number} and {condition.sql}"
        f"{' and ' + rule if rule else ''} order by r.rid limit {LARGEST_INCLUDE + 1}"
    )
    rows = await (await connection.execute(statement.encode(), [*condition.parameters, *parameters])).fetchall()
    return [stored(row) for row in rows]
