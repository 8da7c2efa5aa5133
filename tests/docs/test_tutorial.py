"""The tutorial does what it says: its own commands make the messages, the ledger answers as printed."""

from __future__ import annotations

import asyncio
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from healthbrain.access import put_organisation
from healthbrain.database import open_pool
from healthbrain.exchange import Arrival, Ledger, import_paths, put_source, replay, source_for_mllp
from healthbrain.identity import link
from healthbrain.store import Store

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
# what would be sent is kept in files instead; the platform's own commands are not needed
PRELUDE = """
python3() { cat > "sent-$(ls | grep -c ^sent-)"; }
hb() { :; }
curl() { :; }
"""


def commands(name: str) -> str:
    """The shell commands of the page from the first message on."""
    page = (TUTORIAL / name).read_text("utf-8")
    after = page[page.index("\n## 3. ") :]
    return PRELUDE + "\n".join(text for language, text in FENCE.findall(after) if language == "sh")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with what a reader of the tutorial has made."""
    subprocess.run(["sh", "-e", "-c", commands("first-message.md")], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_the_tutorial_ends_as_it_says(dsn: str, made: Path) -> None:
    messages = [path.read_bytes().replace(b"\n", b"\r") for path in sorted(made.glob("sent-*"))]
    assert len(messages) == 4

    async def world() -> None:
        pool = await open_pool(dsn, size=3)

        async def sent(ledger: Ledger, message: bytes) -> str:
            receipt = await ledger.receive(Arrival("hl7v2", None, message, AT), at=AT)
            return str(receipt.response.decode().split("\r")[1]).split("|")[1]

        try:
            async with pool.connection() as c:
                root = await put_organisation(c, code="QP00", name="某区", kind="district")
                key = await put_organisation(c, code="H01", name="城东医院", kind="institution", parent=root)
                fhir = await put_source(c, code="fhir", name="城东医院", organisation=key, door="fhir", at=AT)
                files = await put_source(c, code="files", name="import", organisation=key, door="ndjson", at=AT)
            assert await sent(Ledger(pool, Store(), [link]), messages[0]) == "AE"
            async with pool.connection() as c:  # what pressing 核实 does
                one = await source_for_mllp(c, "HIS", "H01")
                assert one is not None
                await put_source(
                    c, code=one.code, name=one.name, organisation=key, organisation_code="H01", door=one.door,
                    application=one.application, facility=one.facility, verified=True, at=AT,
                )  # fmt: skip
            ledger = Ledger(pool, Store(), [link])  # the former one remembers the stranger for five seconds
            assert await sent(ledger, messages[1]) == "AA"
            assert await sent(ledger, messages[2]) == "AA"
            early = await ledger.receive(Arrival("fhir", fhir.key, (made / "early.json").read_bytes(), AT), at=AT)
            assert early.state == "refused"
            assert await sent(ledger, messages[3]) == "AA"
            assert early.delivery is not None
            assert (await replay(ledger, early.delivery, by="director", at=AT)).state == "accepted"
            (done,) = await import_paths(ledger, [made / "history.ndjson"], files, author="hb import")
            assert (done.state, done.entries, done.written, done.refused) == ("partly", 3, 2, 1)
            async with pool.connection() as c:
                person = [("identifier", "urn:oid:2.16.156.10011.1.3|31011819600512001X")]
                (found,) = (await Store().search(c, "Patient", person)).matches
                assert found.id == "pat-tjxujideyubkwerx5oxaboscgt"  # as printed
                results = (await Store().search(c, "Observation", [("patient", found.id)])).matches
            assert len(results) == 2
        finally:
            await pool.close()

    asyncio.run(world())


def test_both_languages_have_the_same_steps_commands_and_outputs() -> None:
    english, chinese = ((TUTORIAL / name).read_text("utf-8") for name in ("first-message.md", "first-message.zh-CN.md"))
    assert re.findall(r"^## \d+", english, re.MULTILINE) == re.findall(r"^## \d+", chinese, re.MULTILINE)
    assert commands("first-message.md") == commands("first-message.zh-CN.md")
    outputs = [[text for language, text in FENCE.findall(page) if language != "sh"] for page in (english, chinese)]
    assert outputs[0] == outputs[1]
