"""Ad-hoc analysis (自助分析): a question about a view, its table with totals, its forecast, saved questions.

question_of(raw)                 a checked question from its JSON
await answer(lake, asked, reader, at)   its table, small counts hidden from who may not see people
await answer_published(connection, asked, reach)   the same over published figures
await members(...)               the rows behind a cell
look_ahead(table, today)         forecasts of a time series
"""

from healthbrain.measure.analysis.ahead import Ahead, look_ahead
from healthbrain.measure.analysis.figures import answer_published
from healthbrain.measure.analysis.pivot import Cell, Pivot
from healthbrain.measure.analysis.query import OTHERS, Reader
from healthbrain.measure.analysis.question import (
    CHARTS,
    GRAINS,
    OPERATORS,
    WHATS,
    Dimension,
    Filter,
    Measured,
    Question,
    Threshold,
    question_of,
    series_dimension,
)
from healthbrain.measure.analysis.run import Answer, Stopped, answer, members
from healthbrain.measure.analysis.sources import Column, Source, source_of, sources

__all__ = [
    "CHARTS",
    "GRAINS",
    "OPERATORS",
    "OTHERS",
    "WHATS",
    "Ahead",
    "Answer",
    "Cell",
    "Column",
    "Dimension",
    "Filter",
    "Measured",
    "Pivot",
    "Question",
    "Reader",
    "Source",
    "Stopped",
    "Threshold",
    "answer",
    "answer_published",
    "look_ahead",
    "members",
    "question_of",
    "series_dimension",
    "source_of",
    "sources",
]
