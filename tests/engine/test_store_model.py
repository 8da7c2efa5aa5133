"""Property: whatever is written, deleted and merged, the store equals a list of versions in memory."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthbrain.errors import Conflict, Gone, NotFound, PreconditionFailed
from healthbrain.store import Store, Write
from tests.engine.store_samples import context, opened

store = Store()
_fresh = itertools.count()

IDS = ("a", "b", "c")
ELEMENTS: dict[str, list[Any]] = {
    "gender": ["male", "female"],
    "birthDate": ["1970", "1980-02"],
    "maritalStatus": [{"text": "已婚"}, {"coding": [{"code": "20"}]}],
    "name": [[{"family": "张"}], [{"family": "王"}, {"family": "李"}]],
}

content = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in ELEMENTS.items()})


@dataclass(frozen=True)
class Step:
    kind: str
    id: str
    content: dict[str, Any]
    if_match: int | None


steps = st.builds(
    Step,
    st.sampled_from(["create", "update", "update", "merge", "merge", "delete"]),
    st.sampled_from(IDS),
    content,
    st.one_of(st.none(), st.none(), st.integers(1, 4)),
)


@dataclass
class Model:
    """Versions of each id; None is a deletion."""

    versions: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)

    def current(self, id_: str) -> dict[str, Any] | None:
        return (self.versions.get(id_) or [None])[-1]

    def apply(self, step: Step) -> tuple[int, bool]:
        """The version it ends at and whether something changed."""
        known, current = self.versions.setdefault(step.id, []), self.current(step.id)
        if step.if_match is not None and (current is None or len(known) != step.if_match):
            raise PreconditionFailed
        if step.kind == "create" and current is not None:
            raise Conflict
        wanted: dict[str, Any] | None = step.content
        if step.kind == "delete":
            wanted = None
        elif step.kind == "merge" and current is not None:
            wanted = _laid_over(current, step.content)
        if wanted == current:
            return len(known), False
        known.append(wanted)
        return len(known), True


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for name, value in above.items():
        both[name] = (
            _laid_over(both[name], value) if isinstance(value, dict) and isinstance(both.get(name), dict) else value
        )
    return both


def _write(step: Step, prefix: str) -> Write:
    id_ = prefix + step.id
    if step.kind == "delete":
        return Write("delete", "Patient", id_, None, step.if_match)
    return Write(step.kind, "Patient", id_, {"resourceType": "Patient", "id": id_, **step.content}, step.if_match)


def _plain(resource: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in {"resourceType", "id", "meta"}}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(steps, min_size=1, max_size=5), min_size=1, max_size=6))
def test_any_sequence_of_writes_equals_a_list_of_versions(dsn, calls):
    asyncio.run(_compare(dsn, calls, f"x{next(_fresh)}-"))


async def _compare(dsn: str, calls: list[list[Step]], prefix: str) -> None:
    model = Model()
    async with opened(dsn, size=1) as pool, pool.connection() as connection:
        for minute, call in enumerate(calls):
            attempt = Model({id_: list(versions) for id_, versions in model.versions.items()})
            try:
                expected: Any = [attempt.apply(step) for step in call]
            except Conflict:
                expected = Conflict  # which of several is reported first is not promised
            try:
                async with connection.transaction():
                    written = await store.write(connection, [_write(s, prefix) for s in call], context(minute))
                found: Any = [(w.version, w.changed) for w in written]
            except Conflict:
                found = Conflict
            assert found == expected
            if isinstance(expected, list):
                model = attempt
        for id_ in IDS:
            await _compare_one(connection, prefix + id_, model.versions.get(id_, []))


async def _compare_one(connection, id_: str, versions: list[dict[str, Any] | None]) -> None:
    for number, expected in enumerate(versions, 1):
        try:
            found: Any = _plain((await store.vread(connection, "Patient", id_, number)).resource)
        except Gone:
            found = None
        assert found == expected
    try:
        current: Any = _plain((await store.read(connection, "Patient", id_)).resource)
    except NotFound:
        current = None
    assert current == (versions[-1] if versions else None)
    if versions:
        page = await store.history(connection, "Patient", id_)
        shown = [None if one.deleted else _plain(one.resource) for one in page.matches]
        assert shown == versions[::-1]
        assert [one.version for one in page.matches] == list(range(len(versions), 0, -1))
        listed = await store.search(connection, "Patient", [("_id", id_)])
        assert len(listed.matches) == (versions[-1] is not None)
