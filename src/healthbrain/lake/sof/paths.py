"""FHIRPath to the typed form: paths, types, filters. Operators and functions are in the modules beside.

Reads the tree of `fhir.fhirpath`; what a path means is what that engine does with it (`oracle`). Names that a type does not
have yield nothing, as in FHIRPath, and are noted for the author. What can have no SQL is Unsupported, with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from healthbrain.errors import Incorrect, Unsupported
from healthbrain.fhir.fhirpath import model
from healthbrain.fhir.fhirpath.dates import Date, Temporal, Time
from healthbrain.fhir.fhirpath.problems import Unanswerable, position
from healthbrain.fhir.fhirpath.quantity import Quantity
from healthbrain.fhir.fhirpath.syntax import (
    Binary,
    Call,
    Constant,
    Empty,
    Index,
    Literal,
    Member,
    Node,
    Ordered,
    Sign,
    Special,
    TypeTest,
    Variable,
)
from healthbrain.lake.sof import calls, functions, functions_of_values, operators
from healthbrain.lake.sof.definition import parse
from healthbrain.lake.sof.ir import (
    EMPTY,
    NOTHING,
    NULL,
    TRUE,
    Const,
    Each,
    Get,
    Keep,
    Let,
    Parsed,
    Sql,
    Value,
    Var,
    boolean,
    first,
    integer,
    op,
    text,
    uses,
)
from healthbrain.lake.sof.needs import Need

DECLARED = (functions, functions_of_values)  # the modules that declare functions
_URLS = {"ucum": "http://unitsofmeasure.org", "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
_PREFIXES = {"vs-": "http://hl7.org/fhir/ValueSet/", "ext-": "http://hl7.org/fhir/StructureDefinition/"}
FIRST = Const(0)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a path is evaluated on: the focus, the resource, the constants, the places in the iterations."""

    this: Value
    resource: Value
    constants: Mapping[str, Constant]
    context: Value | None = None
    row_index: Sql = FIRST
    index: Sql | None = None

    def inside(self, this: Value, index: Sql | None = None) -> Scope:
        """The scope of a function's argument, where `this` is the item at hand."""
        return replace(self, this=this, index=index)

    def row(self, this: Value, row_index: Sql) -> Scope:
        """The scope of the columns of an iteration."""
        return replace(self, this=this, context=this, row_index=row_index, index=None)


@dataclass(slots=True)
class Resolver:
    """Resolves the paths of one view; `notices` are remarks for its author."""

    notices: list[str] = field(default_factory=list)
    text: str = ""
    _count: int = 0

    def value(self, path: str, scope: Scope) -> Value:
        """What a path yields. Raises Incorrect with the path and the place in it."""
        self.text = path
        try:
            return self.of(parse(path), scope)
        except Unanswerable as problem:
            raise Incorrect(f"the path `{path}`: {problem.message}") from None

    def fresh(self) -> Var:
        """A new name for the item of a lambda."""
        self._count += 1
        return Var(f"v{self._count}")

    def wrong(self, reason: str, node: Node) -> Incorrect:
        """What is wrong with the path, and where."""
        return Incorrect(self._placed(reason, node))

    def unsupported(self, what: str, node: Node) -> Unsupported:
        """What cannot be said in SQL, and where."""
        return Unsupported(self._placed(f"{what} has no form in SQL", node))

    def _placed(self, reason: str, node: Node) -> str:
        line, column = position(self.text, node.offset)
        place = f"character {column}" if line == 1 else f"line {line}, character {column}"
        return f"the path `{self.text}`, {place}: {reason}"

    def of(self, node: Node, scope: Scope) -> Value:
        """What a part of a path yields."""
        match node:
            case Literal(value):
                return constant(value)
            case Empty():
                return EMPTY
            case Special(name):
                return self._special(node, name, scope)
            case Variable(name):
                return self._variable(node, name, scope)
            case Member(base, name):
                return self._member(base, name, scope)
            case Index(base, index):
                return self._index(self.of(base, scope), self.of(index, scope), node)
            case Call():
                return calls.call(self, node, scope)
            case Sign():
                return operators.sign(self, node, scope)
            case TypeTest(operator, operand, names):
                found = self.of(operand, scope)
                return self.cast(found, names, node) if operator == "as" else self.is_of(found, names, node)
            case Binary():
                return operators.binary(self, node, scope)
            case Ordered():
                raise self.wrong("asc and desc stand in the arguments of sort() only", node)

    # -- names

    def _special(self, node: Special, name: str, scope: Scope) -> Value:
        if name == "$this":
            return scope.this
        if name == "$index" and scope.index is not None:
            return integer(scope.index)
        if name == "$index":
            return integer(Const(0))
        raise self.unsupported("$total", node)

    def _variable(self, node: Variable, name: str, scope: Scope) -> Value:
        if name in scope.constants:
            return constant(scope.constants[name])
        if name == "rowIndex":
            return integer(scope.row_index)
        if name in ("resource", "rootResource"):
            return scope.resource
        if name == "context":
            return scope.context or scope.resource
        if name in _URLS:
            return constant(_URLS[name])
        for prefix, url in _PREFIXES.items():
            if name.startswith(prefix):
                return constant(url + name[len(prefix) :])
        raise self.wrong(f"there is no constant %{name}; declare it under `constant`", node)

    def _member(self, base: Node | None, name: str, scope: Scope) -> Value:
        if base is not None:
            return self.step(self.of(base, scope), name)
        type_ = scope.this.type
        if name[:1].isupper() and type_ and not type_.startswith("System.") and model.is_a(type_, name):
            return scope.this
        return self.step(scope.this, name)

    def step(self, value: Value, name: str) -> Value:
        """The members `name` of the items."""
        if value.choices:
            found = [self.step(one, name) for one in value.choices if _has(one.type, name)]
            return union([one for one in found if not one.nothing])
        if value.nothing or value.type.startswith("System."):
            return EMPTY
        if model.is_primitive(value.type):
            return self._of_primitive(value, name)
        member = (model.members(value.type) or {}).get(name)
        if member is None or value.need is None:
            self.notices.append(f"`{self.text}`: {value.type} has no {name} in FHIR R4, so this part is always empty")
            return EMPTY
        if member.choices is not None:
            return union([self._get(value, key, type_, member.repeats) for key, type_ in member.choices.items()])
        return self._get(value, name, member.type, member.repeats)

    def _get(self, value: Value, key: str, type_: str, repeats: bool) -> Value:
        if value.need is None:
            return EMPTY
        need = value.need.child(key, type_, repeats)
        sql = self.through(value, lambda item: Get(item, need), repeats)
        parent = value if model.is_primitive(type_) else None
        return Value(sql, type_, value.many or repeats, need, parent=parent)

    def _of_primitive(self, value: Value, name: str) -> Value:
        if name == "value":
            return replace(value, type=f"System.{model.system_type(value.type)}", need=None, parent=None)
        if name not in ("extension", "id"):
            return EMPTY
        if value.parent is None or value.parent.need is None or value.need is None:
            raise Unsupported(
                f"the path `{self.text}`: {name} of a primitive that a function yields has no form in SQL"
            )
        key, repeats = "_" + value.need.name, value.need.many
        beside = value.parent.need.child(key, "Element", repeats)
        sql = self.through(value.parent, lambda item: Get(item, beside), repeats)
        return self.step(Value(sql, "Element", value.many, beside), name)

    def through(self, value: Value, member: calls.Apply, repeats: bool) -> Sql:
        """`member` of the one item, or of all of them in one list."""
        if not value.many:
            return member(value.sql)
        item = self.fresh()
        found: Sql = Each(value.sql, item.name, member(item))
        if repeats:
            return op("flatten", found)
        left = self.fresh()
        return Keep(found, left.name, op("is_not_null", left))

    def _index(self, base: Value, index: Value, node: Node) -> Value:
        place = self.single(index, "an index")
        if base.nothing or place.nothing:
            return EMPTY
        if place.kind != "integer":
            raise self.wrong("an index is an Integer", node)
        return self.at(base, place.sql, node)

    def at(self, base: Value, place: Sql, node: Node) -> Value:
        """The item at a place."""
        base = self.merged(base)
        if base.choices:
            if any(one.many for one in base.choices):
                raise self.unsupported("the order of items of several types", node)
            return replace(base, choices=tuple(self.at(one, place, node) for one in base.choices))
        if base.many:
            found = first(base.sql, self.fresh) if place == Const(0) else op("item", base.sql, place)
            return base.also(found, many=False)
        if place == Const(0):
            return base
        return base.also(op("when", op("equal", place, Const(0)), base.sql))

    # -- types

    def wanted(self, names: tuple[str, ...], node: Node) -> str:
        """A type that a path names: `Quantity`, `System.String`."""
        try:
            found = model.resolve(names)
        except Unanswerable as problem:
            raise problem.at(self.text, node.offset) from None
        return found.name if found.namespace == "FHIR" else f"System.{found.name}"

    def of_type(self, value: Value, names: tuple[str, ...], node: Node) -> Value:
        """The items of a type."""
        wanted = self.wanted(names, node)
        if value.choices:
            found = self.merged(union([self._narrowed(one, wanted, node) for one in value.choices]), wanted)
            if found.nothing:
                self.notices.append(f"`{self.text}`: no value here has the type {wanted}, so this part is always empty")
            return found
        return self._narrowed(value, wanted, node)

    def _narrowed(self, value: Value, wanted: str, node: Node) -> Value:
        type_ = value.type
        if value.nothing or wanted == "System.Any":
            return EMPTY if value.nothing else value
        if type_ == wanted or (type_ == "System.Quantity" and wanted == "Quantity"):
            return value
        if type_.startswith("System.") or wanted.startswith("System."):
            return EMPTY
        if model.is_a(type_, wanted):
            return value
        if type_ == "Resource" and model.is_a(wanted, "Resource"):
            return self._resources(value, wanted, node)
        return EMPTY

    def _resources(self, value: Value, wanted: str, node: Node) -> Value:
        """Resources within the resource, of one type."""
        if value.need is None or not model.is_resource(wanted):
            raise self.unsupported("a test for an abstract type", node)
        value.need.whole = True
        need = Need("", wanted, many=False)
        of_type = need.child("resourceType", "code", False)
        item = self.fresh()
        if value.many:
            texts = self.whole(value)
            parsed = Parsed(texts.sql, need, True)
            test = op("equal", Get(item, of_type), Const(wanted))
            return Value(Keep(parsed, item.name, test), wanted, True, need)
        parsed = Parsed(self.whole(value).sql, need, False)
        test = op("equal", Get(item, of_type), Const(wanted))
        return Value(Let(item.name, parsed, op("when", test, item)), wanted, False, need)

    def merged(self, value: Value, type_: str = "") -> Value:
        """Several types of one kind (string and code) as one; a value whose types differ in kind as it is."""
        kinds = {one.kind for one in value.choices}
        if len(kinds) != 1 or kinds & {"parts", "quantity"}:
            return value
        type_ = type_ or operators.system_type(kinds.pop())
        if not value.many:
            return Value(op("coalesce", *(one.sql for one in value.choices)), type_)
        parent, needs = value.choices[0].parent, [one.need for one in value.choices if one.need is not None]
        if parent is None or any(one.parent is not parent for one in value.choices) or any(one.many for one in needs):
            return value
        sql = self.through(parent, lambda item: op("coalesce", *(Get(item, need) for need in needs)), repeats=False)
        return Value(sql, type_, many=True)

    def cast(self, value: Value, names: tuple[str, ...], node: Node) -> Value:
        """`as`: the one item when it is of the type."""
        found = self.of_type(value, names, node)
        return self.single(found, "as")

    def is_of(self, value: Value, names: tuple[str, ...], node: Node) -> Value:
        """`is`: whether the one item is of the type."""
        matching = self.of_type(value, names, node)
        there, is_type = self.exists(value), self.exists(matching)
        return boolean(op("when", there.sql, is_type.sql))

    def whole(self, value: Value) -> Value:
        """Elements as JSON text, with everything that is in them."""
        if isinstance(value.sql, Get):
            value.sql.need.whole = True
            return value.also(replace(value.sql, whole=True))
        reason = "an element with parts that a function or an iteration yields has no form in SQL as a whole"
        raise Unsupported(f"the path `{self.text}`: {reason}; name its members")

    # -- conditions and numbers of items

    def exists(self, value: Value) -> Value:
        """Whether there is any item."""
        if value.nothing:
            return boolean(Const(False))
        if value.choices:
            found = [self.exists(one).sql for one in value.choices]
            whole = found[0]
            for one in found[1:]:
                whole = op("or", whole, one)
            return boolean(whole)
        if value.known is not None:
            return boolean(TRUE)
        return boolean(op("not_empty", value.sql) if value.many else op("is_not_null", value.sql))

    def single(self, value: Value, what: str) -> Value:
        """The one item; the query fails where there are more."""
        value = self.merged(value)
        if value.choices:
            return union([self.single(one, what) for one in value.choices])
        if not value.many:
            return value
        list_, message = self.fresh(), Const(f"the path `{self.text}`: {what} takes one item; use first() or where()")
        return value.also(Let(list_.name, value.sql, op("only", list_, message)), many=False)

    def condition(self, value: Value, what: str) -> Sql:
        """The items as a condition: a Boolean as it is, any other single item is true, nothing is null."""
        if value.nothing:
            return NULL
        if value.choices:
            return op("when", self.exists(value).sql, TRUE)
        one = self.single(value, what)
        if one.kind == "boolean":
            return one.sql
        return TRUE if one.known is not None else op("when", op("is_not_null", one.sql), TRUE)

    def where(self, value: Value, criteria: Node, scope: Scope) -> Value:
        """The items for which the criteria are true."""
        value = self.merged(value)
        if value.nothing:
            return value
        if value.choices:
            return union([self.where(one, criteria, scope) for one in value.choices])
        if not value.many:
            test = self.condition(self.of(criteria, scope.inside(value, Const(0))), "the criteria of where()")
            return replace(value, sql=op("when", test, value.sql), known=None)
        item, index = self.fresh(), self.fresh()
        inside = scope.inside(self.item(value, item), index)
        test = self.condition(self.of(criteria, inside), "the criteria of where()")
        return value.also(Keep(value.sql, item.name, test, index.name if uses(test, index) else ""))

    def item(self, value: Value, var: Var) -> Value:
        """One of the items, under the name of a lambda."""
        return replace(value, sql=var, many=False, parent=None, known=None)


def constant(value: Constant) -> Value:
    """A literal or a constant of the view."""
    match value:
        case bool():
            return replace(boolean(Const(value)), known=value)
        case Decimal():
            return Value(Const(value), "System.Decimal", known=value)
        case int():
            return Value(Const(int(value)), "System.Integer", known=value)
        case str():
            return replace(text(Const(value)), known=value)
        case Quantity():
            return Value(NULL, "System.Quantity", known=value)
        case Time():
            return Value(Const(str(value)), "System.Time", known=value)
        case Date():
            return Value(Const(str(value)), "System.Date", known=value)
        case Temporal():
            return Value(Const(str(value)), "System.DateTime", known=value)
    raise Incorrect("a constant of this type cannot be used in a view")


def union(values: list[Value]) -> Value:
    """An element of several types; one of a single type is that type's."""
    flat = [one for value in values for one in (value.choices or (value,)) if not one.nothing]
    if not flat:
        return EMPTY
    if len(flat) == 1:
        return flat[0]
    return Value(NULL, NOTHING, any(one.many for one in flat), choices=tuple(flat))


def _has(type_: str, name: str) -> bool:
    if model.is_primitive(type_):
        return name in ("extension", "id", "value")
    return name in (model.members(type_) or {})
