"""The lake: the store's change feed as Parquet files with typed columns, for analysis (HUB-EX-01).

    sync / rebuild(pool, folder, at)    write: the change feed into parts, behind one manifest
    compact / erase(folder, ...)        merge parts; take a person's rows away
    lag(pool, folder, at)               how far it is behind
    Lake(folder).connect()              read: a DuckDB connection over one consistent state
    Lake(folder).tables()               the same state as files and plain SQL, for any other engine
    View, to_sql                        flat tables over resources, in the form of SQL on FHIR

Shape and reasons: docs/decisions/0005-lake-shape.md.
"""

from healthbrain.lake.compaction import compact, erase, waste
from healthbrain.lake.feed import Lag, Persons, Progress, lag, rebuild, sync
from healthbrain.lake.manifest import Erased, Retention
from healthbrain.lake.reader import Files, Lake
from healthbrain.lake.verify import Finding, Verdict, verify
from healthbrain.lake.view import Column, View, to_rows, to_sql, view_of

__all__ = [
    "Column",
    "Erased",
    "Files",
    "Finding",
    "Lag",
    "Lake",
    "Persons",
    "Progress",
    "Retention",
    "Verdict",
    "View",
    "compact",
    "erase",
    "lag",
    "rebuild",
    "sync",
    "to_rows",
    "to_sql",
    "verify",
    "view_of",
    "waste",
]
