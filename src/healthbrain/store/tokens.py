"""Token parameters: codes, identifiers, flags; by equality of hashes, with every modifier of R4.

Rule source: FHIR R4 search 3.1.1.4.7 token, 3.1.1.5.2 modifiers. `:in` and `:below` ask terminology (terminology.py).
"""

# ruff: noqa: S608 - the SQL is put together from our own pieces only; every value is a bound parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from healthbrain.database import Connection
from healthbrain.errors import Incorrect, Unsupported
from healthbrain.store import arrays, keys
from healthbrain.store.asking import Asking, Need
from healthbrain.store.clause import Clause, starts_with
from healthbrain.store.pieces import NEVER, Condition, all_of, any_of, holds_any, holds_rare, lacks_all, negated
from healthbrain.store.question import split, unescape
from healthbrain.store.rows import fold, main_code
from healthbrain.store.searched import escape, token_of

_MOST_MAIN_CODES = 200  # beyond this many, asking the index on the main code too gains nothing


def token(clause: Clause) -> Condition:
    """The condition of a token parameter."""
    match clause.modifier:
        case "":
            return _found(clause, clause.values)
        case "not":
            return lacks_all(clause.alias, [token_of(clause.number, value) for value in clause.values])
        case "text":
            return _text(clause)
        case "of-type":
            return holds_any(clause.alias, [_of_type(clause, value) for value in clause.values])
        case "in":
            return any_of([_in(clause, value) for value in clause.values])
        case "not-in":
            return negated(any_of([_in(clause, value) for value in clause.values]))
        case "above" | "below":
            return _found(clause, [code for value in clause.values for code in _related(clause, value)])
    raise Unsupported(
        f"{clause.written}: a token takes :not, :text, :of-type, :in, :not-in, :above, :below or :missing"
    )


def _found(clause: Clause, values: Sequence[str]) -> Condition:
    codes = [unescape(split(value, "|")[-1]) for value in values]
    holds = holds_rare if clause.parameter.code == "identifier" and all(codes) else holds_any
    found = holds(clause.alias, [token_of(clause.number, value) for value in values])
    return _by_main_code(clause, found, codes)


def _by_main_code(clause: Clause, found: Condition, codes: Sequence[str]) -> Condition:
    """Lets the index on patient, code and date be used; 0 stands for several codes."""
    if clause.parameter.code != clause.index.main_code or not all(codes) or len(codes) > _MOST_MAIN_CODES:
        return found
    hashes = arrays.int8([*dict.fromkeys(main_code(code) for code in codes), 0])
    return all_of([found, Condition(f"{clause.alias}.code = any(%s)", (hashes,))])


def _of_type(clause: Clause, value: str) -> int:
    parts = [unescape(part) for part in split(value, "|")]
    if len(parts) != 3 or not all(parts[1:]):
        raise Incorrect(f"{clause.written} is written system|code|value")
    return keys.number(keys.form(clause.number, "type", "|".join(parts)))


def _text(clause: Clause) -> Condition:
    """Texts are few and repeat: find those that begin so in the list of texts, then the rows that hold them."""
    any_start = any_of([starts_with(clause, "t.value", fold(unescape(value))) for value in clause.values])
    return Condition(
        f"{clause.alias}.tokens && array(select t.token from concept_text t where t.param = %s and {any_start.sql})",
        (clause.number, *any_start.parameters),
    )


# -- what terminology says


@dataclass(frozen=True, slots=True)
class _Expansion(Need):
    url: str

    async def fetch(self, connection: Connection, asking: Asking) -> Any:
        return await asking.terminology.expand(connection, self.url)


@dataclass(frozen=True, slots=True)
class _Related(Need):
    system: str
    code: str
    down: bool

    async def fetch(self, connection: Connection, asking: Asking) -> Any:
        return await asking.terminology.related(connection, self.system, self.code, down=self.down)


def _in(clause: Clause, value: str) -> Condition:
    found = clause.asking.need(_Expansion(unescape(value)))
    tokens = [keys.code_in_system(clause.number, system, code) for system, code in sorted(found.codes)]
    tokens += [keys.any_of_system(clause.number, system) for system in sorted(found.systems)]
    if not tokens:
        return NEVER
    codes = [""] if found.systems else [code for _, code in sorted(found.codes)]
    return _by_main_code(clause, holds_any(clause.alias, tokens), codes)


def _related(clause: Clause, value: str) -> list[str]:
    parts = split(value, "|")
    if len(parts) != 2 or not all(parts):
        raise Incorrect(f"{clause.written}: subsumption is defined within a code system: write system|code")
    system, code = unescape(parts[0]), unescape(parts[1])
    found = clause.asking.need(_Related(system, code, clause.modifier == "below"))
    return [f"{parts[0]}|{escape(one)}" for one in found]
