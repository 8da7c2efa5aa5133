"""Messages that must be refused, as real systems send them now and then, so that the arrivals page has something to show.

A fault is put into a copy of a good message; most senders mend it and send the good one afterwards, some never do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

from healthbrain.twin.chance import Weighted
from healthbrain.twin.outgoing import Outgoing

SHARE = 0.013  # of all messages
AGAIN = 0.004  # of HL7 v2 messages that are sent twice
LOST = 0.3  # of faulty messages that are never mended


def _sub(pattern: bytes, new: bytes) -> Callable[[bytes], bytes]:
    compiled = re.compile(pattern)
    return lambda payload: compiled.sub(new, payload, count=1)


def _cut(payload: bytes) -> bytes:
    return payload[: len(payload) * 7 // 10]


def _latin(payload: bytes) -> bytes:
    return payload.decode("utf-8").encode("gb18030")


def _odd_bytes(payload: bytes) -> bytes:
    return payload.replace(b"PID|1||", b"PID|1|\xff\xff|", 1)


# fault -> how it is made; a fault that does not change the message is not used
FHIR: dict[str, Callable[[bytes], bytes]] = {
    "broken-json": _cut,
    "future-date": _sub(rb'"start":"20', b'"start":"21'),
    "no-patient": _sub(  # of a diagnosis or prescription, which must have one
        rb'"subject":\{"reference":"Patient/[^"]*"\},("encounter":\{"reference":"[^"]*"\},"(?:recordedDate|authoredOn)")',
        rb"\1",
    ),
    "bad-code": _sub(rb'"status":"(final|finished|completed)"', '"status":"已完成"'.encode()),
    "bad-date": _sub(rb'"(start|birthDate|recordedDate)":"(\d{4})-\d\d-\d\d', rb'"\1":"\2-02-30'),
    "unknown-element": _sub(rb'"resourceType":"(Encounter|Patient)"', rb'"resourceType":"\1","hisStatus":"1"'),
    "wrong-encoding": _latin,
    "duplicate-key": _sub(rb'"status":"finished"', b'"status":"finished","status":"planned"'),
}
HL7: dict[str, Callable[[bytes], bytes]] = {
    "no-patient-id": _sub(rb"\rPID\|1\|\|[^|]*\|", b"\rPID|1|||"),
    "future-date": _sub(rb"(\rPID\|1(?:\|[^|]*){5}\|)20|(\rPID\|1(?:\|[^|]*){5}\|)19", rb"\g<1>\g<2>21"),
    "bad-date": _sub(rb"(\rPID(?:\|[^|]*){6}\|\d{4})\d{4}", rb"\g<1>0230"),
    "broken-header": _sub(rb"^MSH\|\^~\\&\|", b"MSH|^|"),
    "no-segment": _sub(rb"\rPID\|[^\r]*", b""),
    "unknown-type": _sub(rb"(ADT\^A|ORU\^R|ORM\^O)\d\d", rb"\g<1>99"),
    "wrong-encoding": _odd_bytes,
}
_FHIR = Weighted([(name, 1.0) for name in FHIR])
_HL7 = Weighted([(name, 1.0) for name in (*HL7, "cut-frame")])


def spoil(rng: Random, message: Outgoing, *, needed: bool) -> list[Outgoing]:
    """The message as it is really sent: usually as it is, sometimes with a faulty copy before it or instead of it.

    `needed` messages, on which later ones build, are always mended.
    """
    draw = rng.random()
    if draw >= SHARE:
        if message.door == "hl7v2" and draw > 1 - AGAIN:
            return [message, replace(message, sent_at=message.sent_at + timedelta(minutes=3), fault="duplicate")]
        return [message]
    name = (_FHIR if message.door == "fhir" else _HL7).pick(rng)
    if name == "cut-frame":
        return [replace(message, sent_at=message.sent_at - timedelta(seconds=40), fault=name, cut=True), message]
    faulty = (FHIR if message.door == "fhir" else HL7)[name](message.payload)
    if faulty == message.payload:
        return [message]
    if message.door == "hl7v2":
        faulty = _MSH10.sub(rb"\g<1>9", faulty, count=1)  # a corrected message has a new control id
    bad = replace(message, sent_at=message.sent_at - timedelta(seconds=40), payload=faulty, fault=name)
    if not needed and rng.random() < LOST:
        return [replace(bad, sent_at=message.sent_at)]
    return [bad, message]


_MSH10 = re.compile(rb"^(MSH(?:\|[^|]*){9})")
