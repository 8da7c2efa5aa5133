"""Bulk Data Access: whole populations out as files ($export), files of resources in ($import), both in the background.

A request only adds a row to the job table (`add`); the background worker does the work (`work_export`, `work_import`,
`sweep`); the requester asks how far it is (`find`) and fetches the files. Rules: docs/reference/bulk-and-subscriptions.md.
"""

from healthbrain.exchange.bulkdata.export import Desk, work_export
from healthbrain.exchange.bulkdata.files import folder_of, open_file, sweep
from healthbrain.exchange.bulkdata.jobs import Job, add, cancel, expire, feed_position, find, new_id
from healthbrain.exchange.bulkdata.loading import UPLOAD, work_import, write_scope
from healthbrain.exchange.bulkdata.wishes import Wish, read_wish

__all__ = [
    "UPLOAD",
    "Desk",
    "Job",
    "Wish",
    "add",
    "cancel",
    "expire",
    "feed_position",
    "find",
    "folder_of",
    "new_id",
    "open_file",
    "read_wish",
    "sweep",
    "work_export",
    "work_import",
    "write_scope",
]
