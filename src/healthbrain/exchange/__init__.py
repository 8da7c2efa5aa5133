"""The doors: every arrival is kept raw, translated, checked, written once, acknowledged after the commit, and replayable.

`Ledger.receive` takes in one arrival (FHIR REST, HL7 v2), `receive_ndjson` a file of lines, `import_paths` files and
folders; `serve_mllp` with `mllp_handler` listens; `put_source` registers a sender; `arrivals`, `summary`, `reasons`
and `coverage` answer the arrivals page; `replay` tries again; `release` gives what a stranger sent to its institution.
"""

from healthbrain.exchange.bulk import Standing, receive_ndjson
from healthbrain.exchange.express import Terms
from healthbrain.exchange.fhir_door import begins, read_fhir
from healthbrain.exchange.hl7v2.mllp import MllpServer, serve_mllp
from healthbrain.exchange.imports import Imported, files_of, foresee_help, import_paths
from healthbrain.exchange.ledger import raw
from healthbrain.exchange.limits import Limits
from healthbrain.exchange.listen import mllp_handler
from healthbrain.exchange.listing import (
    Coverage,
    DaySummary,
    DeliveryPage,
    Filter,
    Reason,
    Upload,
    arrivals,
    coverage,
    delivery,
    reasons,
    refused_lines,
    summary,
)
from healthbrain.exchange.receiving import Ledger, receive
from healthbrain.exchange.releasing import Released, release, unreleased
from healthbrain.exchange.replaying import attempts, replay, replay_all
from healthbrain.exchange.sources import (
    ask_invariants,
    block_source,
    put_source,
    source,
    source_by_code,
    source_for_mllp,
    sources,
    unblock_source,
)
from healthbrain.exchange.values import Arrival, Delivery, Interaction, Receipt, Source

__all__ = [
    "Arrival",
    "Coverage",
    "DaySummary",
    "Delivery",
    "DeliveryPage",
    "Filter",
    "Imported",
    "Interaction",
    "Ledger",
    "Limits",
    "MllpServer",
    "Reason",
    "Receipt",
    "Released",
    "Source",
    "Standing",
    "Terms",
    "Upload",
    "arrivals",
    "ask_invariants",
    "attempts",
    "begins",
    "block_source",
    "coverage",
    "delivery",
    "files_of",
    "foresee_help",
    "import_paths",
    "mllp_handler",
    "put_source",
    "raw",
    "read_fhir",
    "reasons",
    "receive",
    "receive_ndjson",
    "refused_lines",
    "release",
    "replay",
    "replay_all",
    "serve_mllp",
    "source",
    "source_by_code",
    "source_for_mllp",
    "sources",
    "summary",
    "unblock_source",
    "unreleased",
]
