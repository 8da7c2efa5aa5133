"""What makes the demo's plan pages tell something: who answers for the Qingpu plan's indicators, a made-up history of an entered value,
and three supervision tasks. Everything entered here is marked as made up.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from healthbrain import access
from healthbrain.database import Connection
from healthbrain.measure import entries, monitoring, supervision
from healthbrain.measure.entries import Given
from healthbrain.measure.plans import plan
from healthbrain.measure.supervision import UNDO, Notice
from healthbrain.twin import District

PLAN = "qingpu"
_DOCUMENT = "演示数据（虚构）：居民健康素养监测年度结果"
_LITERACY = {2019: 28.3, 2020: 29.6, 2021: 31.4, 2022: 32.6, 2023: 34.1, 2024: 35.2, 2025: 36.1}
_CENTRE = ("IND-Q-08", "IND-Q-09", "IND-Q-10", "IND-Q-11", "IND-Q-12", "IND-Q-13")
_HOSPITAL = ("IND-Q-05", "IND-Q-14", "IND-Q-15")


async def seed_plan(connection: Connection, district: District, at: datetime) -> None:
    """Fill what a district would have by now; nothing when it is there already."""
    if await monitoring.duties(connection, PLAN):
        return
    tree = await access.organisations(connection)
    cast = district.cast()
    units = {code: node.key for code in (cast.hospital.code, cast.centre.code, "QP01") if (node := tree.by_code(code))}
    for indicator in plan(PLAN).indicators:
        code, person = "QP01", "疾控中心业务科"
        if indicator.id in _CENTRE:
            code, person = cast.centre.code, "中心主任"
        if indicator.id in _HOSPITAL:
            code, person = cast.hospital.code, "院长"
        if code in units:
            await monitoring.put_duty(connection, PLAN, indicator.id, units[code], person, by="admin", at=at)
    for year, value in _LITERACY.items():
        if year < at.year:
            given = Given("IND-Q-04", str(year), _DOCUMENT, date(year + 1, 3, 31), value=value)
            await entries.enter(
                connection, given, by="cdc", at=max(at, datetime(year + 1, 4, 1, tzinfo=UTC)), synthetic=True
            )
    await _task(connection, "IND-Q-05", units[cast.hospital.code], at, issued=3, days=12, steps=())
    await _task(connection, "IND-Q-15", units[cast.hospital.code], at, issued=9, days=14, steps=("accept", "answer"))
    await _task(connection, "IND-Q-11", units[cast.centre.code], at, issued=20, days=16, steps=("accept",))


async def _task(
    connection: Connection, indicator: str, unit: int, at: datetime, *, issued: int, days: int, steps: tuple[str, ...]
) -> None:
    """A notice issued so many days ago, to be answered within `days`."""
    then = at - timedelta(days=issued)
    standing = (await monitoring.status(connection, plan(PLAN), then)).of(indicator)
    title = standing.indicator.title["zh"] if standing else indicator
    actual = standing.actual if standing else None
    facts = {
        "light": standing.light if standing else "",
        "value": actual.value if actual else None,
        "period": actual.period if actual else "",
        "target": standing.target.printed["zh"] if standing and standing.target else "",
    }
    text = f"（演示）“{title}”进度偏慢，请查明原因、落实措施，并于限期内反馈。"
    notice = Notice(PLAN, indicator, unit, text, (then + timedelta(days=days)).date(), facts)
    (id,) = await supervision.issue(
        connection, [notice], batch=f"demo-{indicator}", by="leader", role="leader", at=then
    )
    answers = {"answer": "（演示）已对接转诊中心，双向转诊流程下周起全院执行，预计两个月内见效。"}
    for number, step in enumerate(steps, start=1):
        await supervision.act(
            connection, id, step, side="unit", by="manager", role="manager", at=then + UNDO + timedelta(days=number),
            text=answers.get(step, ""),
        )  # fmt: skip
