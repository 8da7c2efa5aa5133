"""What the API needs of the platform object, so that it can be tested with less than the whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from healthbrain.audit import Recorder
from healthbrain.database import Pool
from healthbrain.fhir import Definitions
from healthbrain.runtime.partners import Desk
from healthbrain.settings import Settings
from healthbrain.store import Observer, Store


class Platform(Protocol):
    """The rooms of one process. `healthbrain.runtime.Platform` is one."""

    @property
    def settings(self) -> Settings:
        """What the operator has set."""

    @property
    def store(self) -> Store:
        """The resource store."""

    @property
    def observers(self) -> Sequence[Observer]:
        """What runs inside the transaction of every write."""

    @property
    def audit(self) -> Recorder:
        """The audit log's writer of this process."""

    @property
    def partners(self) -> Desk:
        """Who is a partner, and what passes to each."""

    @property
    def dsn(self) -> str:
        """How to reach the database."""

    @property
    def pool(self) -> Pool:
        """The open connection pool."""

    @property
    def readers(self) -> Pool:
        """Connections for single statements that read."""

    @property
    def singles(self) -> Pool:
        """Connections for single statements that have one good plan."""

    @property
    def definitions(self) -> Definitions:
        """FHIR R4 definitions."""

    def clock(self) -> datetime:
        """Now, in UTC."""
