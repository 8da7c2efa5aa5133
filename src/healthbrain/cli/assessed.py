"""What makes the demo's assessments tell something: the last finished quarter assessed by two built-in schemes and published, and
an appeal that waits for an answer. A district too young to have figures of that quarter gets none.
"""

from __future__ import annotations

from datetime import date

from healthbrain.database import Connection
from healthbrain.errors import Incorrect
from healthbrain.lake.local_time import LOCAL
from healthbrain.measure import assessment
from healthbrain.runtime import Platform
from healthbrain.runtime.assessments import assess
from healthbrain.twin import District

_SCHEMES = ("bphs-institution", "hospital-service")


async def seed_assessments(platform: Platform, connection: Connection, district: District) -> None:
    """Assess the last quarter; nothing when there are assessments already."""
    tree, at = await platform.tree(connection), platform.clock()
    if tree.root is None or await assessment.runs(connection):
        return
    unit = tree.by_code(district.cast().hospital.code)
    for scheme in _SCHEMES:
        try:
            run = await assess(
                platform, connection, scheme, last_quarter(at.astimezone(LOCAL).date()), area=tree.root.key, by="cdc"
            )
        except Incorrect:
            continue  # no figures of that quarter
        await assessment.publish(connection, run, by="cdc", at=at)
        if unit is not None and unit.key in {int(one.key) for one in await _units(connection, run)}:
            text = "（演示）部分互联网诊疗数据本季度迟报，请复核。"
            await assessment.say(connection, run, str(unit.key), "appeal", text, by="manager", role="manager", at=at)


def last_quarter(today: date) -> str:
    """The quarter that ended last.

    >>> last_quarter(date(2026, 11, 22)), last_quarter(date(2026, 2, 1))
    ('2026-Q3', '2025-Q4')
    """
    quarter = (today.month - 1) // 3
    return f"{today.year}-Q{quarter}" if quarter else f"{today.year - 1}-Q4"


async def _units(connection: Connection, run: int) -> tuple[assessment.Unit, ...]:
    _, content = await assessment.read(connection, run)
    return assessment.parts_of(content)[1].units
