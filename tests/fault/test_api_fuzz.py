"""Ten thousand requests that no sane client would send: none is answered with a 5xx that is our mistake, none hangs.

Seeded: a failure names the request by its number and can be repeated.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.api_world import World, inhabited, observation, own_world, patient

pytestmark = pytest.mark.anyio

REQUESTS = 10_000
AT_ONCE = 8
SECONDS = 20.0  # for one request, on a busy machine

TYPES = ["Patient", "Observation", "Encounter", "Bundle", "Binary", "AuditEvent", "ValueSet", "Group", "Subscription",
         "Parameters", "Nothing", "patient", ""]  # fmt: skip
IDS = ["a-zs", "o-a-zs", "c-zx", "none", "x" * 64, "x" * 65, "%00", "..", "*", "é", "$x", "_search", "_history", "1"]
OPERATIONS = ["$everything", "$validate", "$meta", "$meta-add", "$meta-delete", "$lastn", "$stats", "$graphql",
              "$summary", "$match", "$status", "$events", "_history", "_history/1", "_history/x", "_search", "Observation", "*"]  # fmt: skip
PARAMS = ["_id", "code", "subject", "patient", "date", "value-quantity", "_has:Observation:patient:code", "_include",
          "_revinclude", "_sort", "_count", "_total", "_summary", "_elements", "_format", "_pretty", "_since", "_type",
          "_cursor", "subject:Patient.name", "subject.name:exact", "name:contains", "code:in", "code:text", "code:not",
          "_filter", "_text", "_list", "identifier:of-type", "combo-code-value-quantity", "birthdate", "x:y.z", "",
          "query", "max", "statistic", "start", "end", "_lastUpdated", "near", "_contained", "_query", "date:missing"]  # fmt: skip
VALUES = ["", "1", "-1", "0", "true", "false", "xml", "json", "accurate", "estimate", "count", "text", "a-zs", "Patient/a-zs",
          "http://loinc.org|14771-0", "|", "||", "a|b|c", "\\", ",", ",,,", "$", "ge2020", "gt2020-13-45", "lt5.4|http://unitsofmeasure.org|mg",
          "5.4||mmol/L", "1e999", "9" * 400, "张", "%", "'", "\"; drop table resource; --", "Observation:subject", "*:*", "Patient:*",
          "*", "2026-01-01T00:00:00+08:00", "{patient{id}}", "{" * 40, "((((a eq 1", "name eq \"x\" and not (a pr true)",
          "\u0000", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "x" * 3000, "0001", "9999-12-31", "nan", "subject"]  # fmt: skip
KINDS = ["application/fhir+json", "application/json", "application/fhir+xml", "application/json-patch+json",
         "application/x-www-form-urlencoded", "text/plain", "application/fhir+ndjson", "", "application/fhir+json; charset=gbk"]  # fmt: skip
HEADERS = [("accept", ["application/fhir+xml", "text/turtle", "*/*", "application/json;q=x", ""]),
           ("if-match", ['W/"1"', "x", "*", '"99999999999"']),
           ("if-none-exist", ["identifier=x", "?", "name=%zz", "_id=a-zs", "x"]),
           ("if-none-match", ["*", 'W/"1"']),
           ("if-modified-since", ["yesterday", "Mon, 01 Jan 2029 00:00:00 GMT"]),
           ("prefer", ["return=minimal", "handling=lenient", "respond-async", "return=x;;=", "return=representation"]),
           ("content-encoding", ["gzip", "br"]),
           ("idempotency-key", ["k1", "k2"]),
           ("x-forwarded-proto", ["https", "javascript"]),
           ("range", ["bytes=0-1"])]  # fmt: skip
METHODS = ["GET"] * 16 + ["POST"] * 8 + ["PUT"] * 5 + ["PATCH"] * 4 + ["DELETE", "HEAD", "OPTIONS", "TRACE", "MERGE"]
WHO = ["QPZS"] * 12 + ["SH", "doctor", "resident", "leader", None]
LEAVES: list[Any] = [None, True, 0, -1, 1e400, 1.5, "", "x", "2026-01-01", [], {}, [None], [[]], {"x": 1}, "张伟", "\u0000", "Patient/a-zs",
                     "urn:uuid:1", 2**70, "9" * 300]  # fmt: skip


def damaged(value: Any, dice: random.Random, depth: int = 0) -> Any:
    """A copy with something wrong in it."""
    if dice.random() < 0.08 or depth > 6:
        return dice.choice(LEAVES)
    if isinstance(value, dict):
        made = {key: damaged(inner, dice, depth + 1) for key, inner in value.items() if dice.random() > 0.05}
        if dice.random() < 0.1:
            made[dice.choice(["x", "id", "meta", "resourceType", "extension", "_status", "contained", "value[x]"])] = (
                dice.choice(LEAVES)
            )
        return made
    if isinstance(value, list):
        return [damaged(inner, dice, depth + 1) for inner in value] * dice.choice([1, 1, 1, 2])
    return value


def resource(dice: random.Random) -> Any:
    kind = dice.randrange(6)
    if kind == 0:
        return patient(dice.choice(IDS), "310118195001011233", "张伟", "1950-01-01", "male")
    if kind == 1:
        return observation(dice.choice(IDS), dice.choice(IDS), dice.random())
    if kind == 2:
        entries = [
            {
                "fullUrl": dice.choice(["urn:uuid:1", "x", None]),
                "resource": observation("x", "a-zs"),
                "request": {
                    "method": dice.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "x"]),
                    "url": path(dice),
                    "ifMatch": dice.choice([None, 'W/"1"', 5]),
                },
            }
            for _ in range(dice.randrange(4))
        ]
        return {"resourceType": "Bundle", "type": dice.choice(["batch", "transaction", "x"]), "entry": entries}
    if kind == 3:
        parts = [{"name": "type", "valueCode": dice.choice(["add", "replace", "delete", "insert", "move"])},
                 {"name": "path", "valueString": dice.choice(["Observation.status", "Observation", "x(", "$this.where(1)"])},
                 {"name": dice.choice(["value", "name", "index"]), "valueString": "x"}]  # fmt: skip
        name = dice.choice(["operation", "meta", "subject", "resource"])
        return {
            "resourceType": "Parameters",
            "parameter": [{"name": name, "part": parts, "valueMeta": {"tag": [{"code": "x"}]}}],
        }
    if kind == 4:
        return [{"op": dice.choice(["add", "remove", "replace", "move", "copy", "test", "x"]),
                 "path": dice.choice(["/status", "/", "", "x", "/code/coding/0/code", "/~2", "/meta/tag/-"]),
                 "from": "/code", "value": dice.choice(LEAVES)} for _ in range(dice.randrange(3))]  # fmt: skip
    return dice.choice(LEAVES)


def content(address: str, dice: random.Random) -> bytes:
    kind = dice.random()
    if kind < 0.05:
        return dice.randbytes(dice.randrange(200))
    if kind < 0.1:
        return (
            b"<Patient xmlns='http://hl7.org/fhir'><active value='"
            + dice.choice([b"true", b"x", b"\xff"])
            + b"'/></Patient>"
        )
    if kind < 0.15:
        return b"{" * dice.randrange(3000)
    body = resource(dice)
    if dice.random() < 0.5:
        body = (
            patient("a-zs", "310118195001011233", "张伟", "1950-01-01", "male")
            if "Patient" in address
            else observation("o-a-zs", "a-zs")
        )
        if dice.random() < 0.5:
            body[dice.choice(list(body))] = dice.choice(LEAVES)
            return json.dumps(body).encode()
    text = json.dumps(damaged(body, dice), ensure_ascii=dice.random() < 0.5, allow_nan=True).encode()
    return text[: dice.randrange(len(text) + 1)] if dice.random() < 0.05 else text


def path(dice: random.Random) -> str:
    known = dice.random() < 0.8  # most requests get past the door, where there is more to break
    type_ = dice.choice(TYPES[:2]) if known else dice.choice(TYPES)
    id_ = ("a-zs" if type_ == "Patient" else "o-a-zs") if known else dice.choice(IDS)
    parts = [type_, id_, dice.choice(OPERATIONS), dice.choice(OPERATIONS)]
    shape = dice.choice([(), (0,), (0,), (0, 1), (0, 1), (0, 2), (0, 1, 2), (2,), (0, 1, 2, 3)])
    return "/".join(parts[n] for n in shape)


def query(dice: random.Random) -> str:
    pairs = []
    for _ in range(dice.choice([0, 1, 1, 1, 2, 3])):
        name, value = dice.choice(PARAMS), dice.choice(VALUES)
        if dice.random() < 0.2:
            value = f"{value},{dice.choice(VALUES)}"
        pairs.append(
            f"{quote(name)}={value if dice.random() < 0.02 and value.isascii() and value.isprintable() else quote(value)}"
        )
    return "&".join(pairs)


async def one(hb: World, number: int) -> str:
    """Send request `number`; what is wrong with the answer, or nothing."""
    dice = random.Random(number)
    method, who = dice.choice(METHODS), dice.choice(WHO)
    headers = {name: dice.choice(values) for name, values in HEADERS if dice.random() < 0.04}
    more: dict[str, Any] = {}
    place = path(dice)
    if method not in ("GET", "HEAD") and dice.random() < 0.9:
        more["content"] = content(place, dice)
        headers["content-type"] = dice.choice(KINDS[:1] * 4 + KINDS)
    text = query(dice)
    address = "http://testserver/fhir/" + quote(place, safe="/$*%:_-.") + (f"?{text}" if text else "")
    try:
        async with asyncio.timeout(SECONDS):
            answer = await hb.ask(method, address, who, headers=headers, **more)
    except TimeoutError:
        return f"{number}: {method} {address} hangs"
    if answer.status_code >= 500 and answer.status_code != 501:
        return f"{number}: {method} {address} -> {answer.status_code}"
    if answer.status_code >= 400 and method != "HEAD" and b"OperationOutcome" not in answer.content:
        return f"{number}: {method} {address} -> {answer.status_code} without an OperationOutcome"
    return ""


async def test_ten_thousand_requests_give_no_500_and_none_hangs(postgres: str, template: str, tmp_path: Path) -> None:
    async with own_world(postgres, template, tmp_path) as hb:
        await inhabited(hb)
        numbers = iter(range(REQUESTS))

        async def walk() -> list[str]:
            return [wrong for number in numbers if (wrong := await one(hb, number))]

        found = [wrong for part in await asyncio.gather(*(walk() for _ in range(AT_ONCE))) for wrong in part]
        assert not found, "\n".join(found[:40])
        assert (await hb.ask("GET", "Observation/o-c-zx", "SH")).status_code == 200
