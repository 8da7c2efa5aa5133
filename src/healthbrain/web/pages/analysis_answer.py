"""A question answered for a visitor: over views as far as the permission table opens them, over published figures as on the cockpit."""

from __future__ import annotations

from healthbrain.access import Tree
from healthbrain.database import Connection
from healthbrain.errors import Forbidden
from healthbrain.lake import Lake
from healthbrain.measure import analysis
from healthbrain.measure.analysis import Answer, Question, Reader, Source
from healthbrain.measure.analysis.run import SECONDS
from healthbrain.measure.published import Reach
from healthbrain.web.pages import cockpit
from healthbrain.web.visit import Visit


async def sees_rows(visit: Visit, connection: Connection, source: Source) -> bool:
    """Whether the visitor may see who is behind the figures of a view; behind published figures nobody is shown here."""
    if source.published:
        return False
    try:
        return (await visit.decide(connection, "search", source.view.resource)).identified
    except Forbidden:
        return False


async def reach_of(visit: Visit, connection: Connection, tree: Tree) -> Reach:
    """Whose published figures the visitor sees. Raises Forbidden."""
    own = tree.nearest(visit.who.organisation, "institution")
    return Reach(
        await cockpit.sees_whole(visit, connection, tree), str(own) if own is not None else "",
        await cockpit.sees_people(visit, connection),
    )  # fmt: skip


async def answered(visit: Visit, asked: Question, reader: Reader, *, seconds: float = SECONDS) -> Answer:
    """The table; stopped when the visitor goes away. Raises TooLarge, Busy, Stopped."""
    if analysis.source_of(asked.source).published:
        async with visit.platform.pool.connection() as connection:
            reach = await reach_of(visit, connection, await visit.platform.tree(connection))
            return await analysis.answer_published(connection, asked, reach)
    lake, gone = Lake(visit.platform.settings.lake), visit.request.is_disconnected
    return await analysis.answer(lake, asked, reader, visit.at, gone=gone, seconds=seconds)
