"""Who did what with whose data: append-only, chained, provable, searchable.

`record` writes events in the caller's transaction (for changes; `sealed` for who does it in SQL), a `Recorder` notes them without waiting (for reads),
`search` finds them, `verify` walks the chain, `as_fhir` shows one as AuditEvent.
"""

from healthbrain.audit.anchors import heads
from healthbrain.audit.anchors import load as load_anchor
from healthbrain.audit.append import record, sealed
from healthbrain.audit.chain import Broken, Verification, verify
from healthbrain.audit.events import FAILED, FINE, REFUSED, AuditAction, Event
from healthbrain.audit.find import Query, Record, read, search
from healthbrain.audit.recorder import Recorder
from healthbrain.audit.render import as_fhir

__all__ = [
    "FAILED",
    "FINE",
    "REFUSED",
    "AuditAction",
    "Broken",
    "Event",
    "Query",
    "Record",
    "Recorder",
    "Verification",
    "as_fhir",
    "heads",
    "load_anchor",
    "read",
    "record",
    "sealed",
    "search",
    "verify",
]
