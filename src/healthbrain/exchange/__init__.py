"""The doors: every arrival is kept raw, translated, checked, written once, acknowledged after the commit, and replayable.

`Ledger.receive` takes in one arrival (FHIR REST, NDJSON, HL7 v2); `serve_mllp` with `mllp_handler` listens; `put_source` registers a
sender; `arrivals`, `summary` and their like answer the arrivals page; `replay` tries again.
"""

from healthbrain.exchange.hl7v2.mllp import MllpServer, serve_mllp
from healthbrain.exchange.listen import mllp_handler
from healthbrain.exchange.receive import Ledger, receive
from healthbrain.exchange.sources import put_source, source, source_by_code, source_for_mllp, sources
from healthbrain.exchange.values import Arrival, Delivery, Interaction, Receipt, Source

__all__ = [
    "Arrival",
    "Delivery",
    "Interaction",
    "Ledger",
    "MllpServer",
    "Receipt",
    "Source",
    "mllp_handler",
    "put_source",
    "receive",
    "serve_mllp",
    "source",
    "source_by_code",
    "source_for_mllp",
    "sources",
]
