"""The lake: the store's change feed as Parquet files with typed columns, for analysis (HUB-EX-01).

    sync / rebuild(pool, folder, at)    write: the change feed into parts, behind one manifest
    compact / erase(folder, ...)        merge parts; take a person's rows away
    lag(pool, folder, at)               how far it is behind
    Lake(folder).connect()              read: a DuckDB connection over one consistent state
    Lake(folder).tables()               the same state as files and plain SQL, for any other engine
    sof                                 SQL on FHIR: flat tables over resources
    base_view, expression               what measures take from resources, and calculate on flat rows

Shape and reasons: docs/decisions/0005-lake-shape.md.
"""

from healthbrain.lake.compaction import compact, erase, waste
from healthbrain.lake.feed import Lag, Persons, Progress, lag, rebuild, sync
from healthbrain.lake.manifest import Erased, Retention
from healthbrain.lake.reader import Files, Lake
from healthbrain.lake.verify import Finding, Verdict, verify

__all__ = [
    "Erased",
    "Files",
    "Finding",
    "Lag",
    "Lake",
    "Persons",
    "Progress",
    "Retention",
    "Verdict",
    "compact",
    "erase",
    "lag",
    "rebuild",
    "sync",
    "verify",
    "waste",
]
