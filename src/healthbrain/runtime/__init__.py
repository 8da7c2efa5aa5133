"""The wiring: one `Platform` object that gives every edge the same rooms, pool, clock and observers."""

from healthbrain.runtime.database import database_for, dsn_of
from healthbrain.runtime.platform import Platform

__all__ = ["Platform", "database_for", "dsn_of"]
