"""Which PostgreSQL a command talks to: the configured one, the embedded one that runs, or one it starts itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from healthbrain.database import Embedded
from healthbrain.errors import Unavailable
from healthbrain.settings import Settings


def embedded(settings: Settings) -> Embedded:
    """The embedded server of this data folder, running or not."""
    return Embedded(settings.data / "postgres")


def dsn_of(settings: Settings) -> str:
    """How to reach the database of `settings`, whether it runs or not."""
    return settings.database_url or embedded(settings).dsn


def answers(dsn: str) -> bool:
    """Whether a database answers there now."""
    try:
        psycopg.connect(dsn, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def is_initialised(settings: Settings) -> bool:
    """Whether `hb init` (or a first `hb serve`) has made this data folder."""
    return bool(settings.database_url) or Path(settings.data / "postgres" / "PG_VERSION").exists()


@contextmanager
def database_for(settings: Settings) -> Iterator[str]:
    """The DSN of a running database; an embedded one that does not run is started for the duration.

    Raises Unavailable when an external database does not answer.
    """
    dsn = dsn_of(settings)
    if answers(dsn):
        yield dsn
        return
    if not settings.embedded:
        raise Unavailable("the database at HB_DATABASE_URL does not answer; check that it runs and the URL is right")
    server = embedded(settings)
    server.start()
    try:
        yield server.dsn
    finally:
        server.stop()
