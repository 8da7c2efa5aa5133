"""What one arrival wrote: from a message in the ledger to the resources it brought.

There is no index on `delivery`: the versions of a delivery were all stored between its arrival and the end of its work, so
the index on type and time finds them without costing every write another index.
"""

from __future__ import annotations

from datetime import datetime

from healthbrain.database import Connection
from healthbrain.fhir import definitions
from healthbrain.scope import EVERYTHING, Scope
from healthbrain.store import arrays
from healthbrain.store.reading import COLUMNS, stored
from healthbrain.store.types import type_number
from healthbrain.store.values import Stored
from healthbrain.store.visibility import visible_sql

_WRITTEN = (
    f"select {COLUMNS} from resource r where r.rtype = any(%s) and r.updated between %s and %s and r.delivery = %s"  # noqa: S608  # a constant column list
)


async def written_by(
    connection: Connection,
    delivery: int,
    since: datetime,
    until: datetime,
    *,
    count: int = 100,
    scope: Scope = EVERYTHING,
) -> list[Stored]:
    """The resources whose current version came with this delivery, in the order they were created.

    `since` and `until` are when it arrived and when its work ended. A version that was replaced since is not in it: its
    resource's history names the delivery.
    """
    arrays.teach(connection)
    rule, extra = visible_sql(scope, None)
    statement = _WRITTEN + (f" and {rule}" if rule else "") + " order by r.rid limit %s"
    numbers = arrays.int2([type_number(name) for name in definitions().types])
    cursor = await connection.execute(statement.encode(), [numbers, since, until, delivery, *extra, count])
    return [stored(row) for row in await cursor.fetchall()]
