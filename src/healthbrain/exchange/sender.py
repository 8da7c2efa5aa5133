"""Who a message comes from, as translation needs to know it. Plain data; the table of sources is in `sources`."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from healthbrain.terms import systems


@dataclass(frozen=True, slots=True)
class Sender:
    """The system that sent a message.

    `namespace` scopes every number it gives (patients, visits, orders): the organisation's code, or for an
    unregistered system a name of its own, so that two strangers' number 1 are never one patient.
    """

    namespace: str
    organisation: str = ""  # organisation code; '' while unregistered
    charset: str = ""  # character set it is registered with
    code_set: str = ""  # which table under maps/local holds its codes
    zone: str = "+08:00"  # what a time without a zone means

    def system(self, kind: str) -> str:
        """The identifier or code system of the sender's own numbers of one `kind`."""
        return systems.local(self.namespace, kind)

    def resource_id(self, kind: str, *numbers: str) -> str:
        """The id of the resource that this sender means by `numbers`: always the same for the same numbers."""
        return stable_id(kind, self.namespace, *numbers)


def stable_id(kind: str, *parts: str) -> str:
    """A FHIR id made from `parts`: 130 bits of their SHA-256 behind a readable prefix, at most 64 characters."""
    digest = hashlib.sha256("\x1f".join((kind, *parts)).encode()).digest()
    return f"{kind}-{base64.b32encode(digest[:17]).decode().lower().rstrip('=')[:26]}"
