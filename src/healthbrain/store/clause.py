"""One parameter of a search on its way to SQL: what is asked, of which type, on which row, by whom."""

from __future__ import annotations

from dataclasses import dataclass, replace

from healthbrain.errors import Incorrect
from healthbrain.fhir import SearchParameter
from healthbrain.store.asking import Asking
from healthbrain.store.pieces import Condition
from healthbrain.store.question import Criterion
from healthbrain.store.rows import LONGEST_STRING
from healthbrain.store.types import TypeIndex

LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Clause:
    """`parameter` of `index` as `criterion` asks for it, about the row `alias`."""

    index: TypeIndex
    parameter: SearchParameter
    criterion: Criterion
    alias: str
    asking: Asking

    @property
    def number(self) -> int:
        """The parameter's number in tokens and side tables."""
        return self.parameter.number

    @property
    def written(self) -> str:
        """The parameter as it was written, for messages."""
        return f"'{self.criterion.written}'"

    @property
    def modifier(self) -> str:
        """The modifier, without colon."""
        return self.criterion.modifier

    @property
    def values(self) -> tuple[str, ...]:
        """The alternatives, still escaped."""
        return self.criterion.values

    def without_modifier(self) -> Clause:
        """The same clause, as if no modifier were written."""
        return replace(self, criterion=replace(self.criterion, modifier=""))

    def only(self, kind: str, known: str = "") -> None:
        """Refuse a modifier that is left over."""
        if self.modifier:
            offered = f"takes {known} or :missing" if known else "takes no modifier but :missing"
            raise Incorrect(f"{self.written}: a {kind} parameter {offered}")


def starts_with(clause: Clause, column: str, text: str) -> Condition:
    """The column begins with a text; written as a range, so that an index is used."""
    if not text:
        raise Incorrect(f"{clause.written}: the text is empty")
    text = text[:LONGEST_STRING]
    return Condition(f"({column} >= %s and {column} < %s)", (text, text + LAST_CHARACTER))


def contains(clause: Clause, column: str, text: str, before: str = "%", after: str = "%") -> Condition:
    """The text stands somewhere in the column."""
    if not text:
        raise Incorrect(f"{clause.written}: the text is empty")
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return Condition(f"{column} like %s", (f"{before}{escaped}{after}",))
