"""FHIR resources on PostgreSQL: write, read, search, history, bundles and the change feed.

    Store()                                  stateless; every call takes a connection
    store.write / bundle                     in the caller's transaction
    store.read / vread / history / search / everything
    changes(connection, after) / latest      the change feed, in one order for every consumer
    patient_key(id)                          the number by which a patient's resources are found

The only room that speaks SQL to the resource tables. Shape and reasons: docs/decisions/0003-store-shape.md, 0004.
"""

from healthbrain.store.arrays import Array
from healthbrain.store.bodies import compress, decompress
from healthbrain.store.bundles import LARGEST_BUNDLE, searchset
from healthbrain.store.changes import START, Change, Position, changes, latest, prune
from healthbrain.store.entries import actions_of, operations_in, query_of
from healthbrain.store.keys import patient_key
from healthbrain.store.metas import united, without
from healthbrain.store.parameters import Catalog, Custom, catalog
from healthbrain.store.patching import JSON_PATCH, XML_PATCH, json_patch
from healthbrain.store.ready import (
    READY_TYPES,
    Ready,
    make_ready,
    ready_bundle,
    ready_columns,
    ready_write,
)
from healthbrain.store.store import Store
from healthbrain.store.values import (
    NOTHING,
    WHOLE,
    Care,
    Observer,
    Page,
    Stored,
    Watching,
    Write,
    WriteContext,
    Written,
    watched,
    watched_types,
)
from healthbrain.store.writing import to_the_millisecond

__all__ = [
    "JSON_PATCH",
    "LARGEST_BUNDLE",
    "NOTHING",
    "READY_TYPES",
    "START",
    "WHOLE",
    "XML_PATCH",
    "Array",
    "Care",
    "Catalog",
    "Change",
    "Custom",
    "Observer",
    "Page",
    "Position",
    "Ready",
    "Store",
    "Stored",
    "Watching",
    "Write",
    "WriteContext",
    "Written",
    "actions_of",
    "catalog",
    "changes",
    "compress",
    "decompress",
    "json_patch",
    "latest",
    "make_ready",
    "operations_in",
    "patient_key",
    "prune",
    "query_of",
    "ready_bundle",
    "ready_columns",
    "ready_write",
    "searchset",
    "to_the_millisecond",
    "united",
    "watched",
    "watched_types",
    "without",
]
