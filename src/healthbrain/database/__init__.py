"""PostgreSQL underneath: the embedded server, connections and schema migrations.

Public: `Embedded` (our own server as a child process), `open_pool`, `Statement`, `apply_migrations`,
`MigrationState`.
"""

from healthbrain.database.embedded import Embedded
from healthbrain.database.migrations import MigrationState, apply_migrations, pending_migrations
from healthbrain.database.pool import Connection, Pool, open_pool
from healthbrain.database.statement import Statement

__all__ = [
    "Connection",
    "Embedded",
    "MigrationState",
    "Pool",
    "Statement",
    "apply_migrations",
    "open_pool",
    "pending_migrations",
]
