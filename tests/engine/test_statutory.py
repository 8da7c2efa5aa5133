"""Statutory reports on a real database: filled from figures, frozen when submitted, reviewed by a second person above."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from healthbrain import measure
from healthbrain.access import put_organisation
from healthbrain.database import Connection, open_pool
from healthbrain.errors import Conflict, Forbidden, Incorrect
from healthbrain.measure import own_programmes
from healthbrain.measure.compute import Computed
from healthbrain.measure.own_programmes import Wish
from healthbrain.measure.result import Coverage, Result
from healthbrain.measure.statutory import Place, failed, fill, form_named, kept, numbers_of
from healthbrain.measure.statutory.kept import Actor
from healthbrain.measure.workbench import definition_from, drafts

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
FORM = form_named("bphs")
DISTRICT = Place("district", "", "", "青浦区")
UNIT, SECOND = Actor("unit", "张三", 1), Actor("second", "李四", 1)


def result(period: str, level: str, key: str, above: int, below: int, stratum: str = "") -> Result:
    to = datetime.strptime(f"{period}-28", "%Y-%m-%d").replace(tzinfo=UTC).date()
    return Result(
        period, to.replace(day=1), to, True, level, key, above, below, 100 * above / below, None, None, False,  # type: ignore[arg-type]  # one of the levels
        "sex" if stratum else "", stratum,
    )  # fmt: skip


async def published(connection: Connection, *results: Result, measure_id: str = "BPHS-OLD01") -> None:
    computed = Computed(measure.definition(measure_id), AT, Coverage(1, 1), tuple(results), ())
    await measure.publish(connection, computed, AT)


async def district(connection: Connection) -> int:
    return await put_organisation(connection, code="QP00", name="青浦区", kind="district", at=AT)


async def test_a_form_takes_the_last_month_of_the_period_and_every_cell_says_what_it_counts(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        await published(
            connection,
            *(result(month, "district", "", above, 50) for month, above in (("2026-08", 20), ("2026-09", 30), ("2026-10", 40))),
            result("2026-09", "town", "310118001", 20, 30), result("2026-09", "town", "310118102", 10, 20),
            result("2026-09", "district", "", 18, 28, "male"), result("2026-09", "district", "", 11, 20, "female"),
            result("2026-09", "district", "", 1, 2, "unknown"),
        )  # fmt: skip
        content = await fill(connection, FORM, DISTRICT, "2026-Q3", at=AT)
        numbers = numbers_of(content)
        assert (numbers["57"], numbers["58"]) == ([50, 28, 20, 2], [30, 18, 11, 1])
        assert numbers["59"][0] == 60.0
        cell = next(r for s in content["sections"] for r in s["rows"] if r["no"] == "58")["cells"][0]
        assert (cell["measure"], cell["part"], cell["period"]) == ("BPHS-OLD01", "numerator", "2026-09")
        assert failed(content, ask=False) == []
        assert content["places"]["57"] == 50
        year = await fill(connection, FORM, DISTRICT, "2026", at=AT)
        assert numbers_of(year)["58"][0] == 40
        assert "literacy" in {one["id"] for one in year["sections"]} - {one["id"] for one in content["sections"]}
        with pytest.raises(Incorrect):
            await fill(connection, FORM, DISTRICT, "2026-13", at=AT)
    await pool.close()


async def test_a_report_goes_up_once_explained_is_frozen_and_reviewed_by_a_second_person(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        key = await district(connection)
        await published(connection, result("2026-09", "district", "", 30, 50))
        content = await fill(connection, FORM, DISTRICT, "2026-Q3", at=AT)
        one = await kept.begin(connection, FORM, DISTRICT, key, content, UNIT, AT)
        with pytest.raises(Conflict):
            await kept.begin(connection, FORM, DISTRICT, key, content, UNIT, AT)
        with pytest.raises(Incorrect, match="do not"):
            await kept.submit(connection, one, UNIT, AT)  # the strata do not add up to the whole
        sound = {**content, "checks": [check for check in content["checks"] if check["ask"] or check["ok"]]}
        await kept.recount(connection, one, sound, UNIT, AT)
        with pytest.raises(Incorrect, match="explanation"):
            await kept.submit(connection, one, UNIT, AT)
        asked = [check["id"] for check in failed(sound, ask=True)]
        await kept.explain(connection, one, {**dict.fromkeys(asked, "本期无"), "unknown": "x"}, UNIT, AT)
        digest = await kept.submit(connection, one, UNIT, AT)
        _, _, remarks = await kept.read(connection, one)
        assert set(remarks) == set(asked)
        assert digest == kept.digest_of(sound, remarks)
        await connection.commit()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("update statutory_report set content = '{}' where id = %s", [one])
        await connection.rollback()
        with pytest.raises(Forbidden):
            await kept.review(connection, one, "approved", "", UNIT, AT)
        with pytest.raises(Incorrect, match="why"):
            await kept.review(connection, one, "returned", " ", SECOND, AT)
        await kept.review(connection, one, "returned", "请核对", SECOND, AT)
        again = await kept.begin(connection, FORM, DISTRICT, key, sound, UNIT, AT)
        assert (await kept.read(connection, again))[0].edition == 2
        await kept.explain(connection, again, dict.fromkeys(asked, "本期无"), UNIT, AT)
        await kept.submit(connection, again, UNIT, AT)
        await kept.review(connection, again, "passed", "", SECOND, AT)
        with pytest.raises(Forbidden):
            await kept.review(connection, again, "approved", "", SECOND, AT)
        await kept.review(connection, again, "approved", "", Actor("third", "王五", key), AT)
        told = [(event.name, event.action) for event in await kept.history(connection, again)]
        assert told == [
            ("张三", "made"), ("张三", "explained"), ("张三", "submitted"), ("李四", "passed"), ("王五", "approved"),
        ]  # fmt: skip
        with pytest.raises(Conflict):
            await kept.drop(connection, again, UNIT, AT)
        assert await kept.previous(connection, FORM.id, DISTRICT, "2026-Q4") is not None
        assert await kept.previous(connection, FORM.id, DISTRICT, "2026-Q3") is None
        assert await kept.reports(connection, [key + 999]) == []
    await pool.close()


WISH = Wish(
    "foot-care", "糖尿病足筛查", "", "在管糖尿病患者", "", "区卫健委通知", register="dm-management", from_age=35,
    codes=("annual-exam",),
)  # fmt: skip


async def test_an_own_programme_waits_for_a_second_person_and_is_counted_then(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        key = await district(connection)
        await own_programmes.begin(connection, WISH, key, "maker", AT)
        with pytest.raises(Conflict):
            await own_programmes.begin(connection, WISH, key, "maker", AT)
        with pytest.raises(Conflict):
            await own_programmes.begin(connection, replace(WISH, id="colorectal"), key, "maker", AT)
        assert "OWN-PRG-FOOT-CARE" not in {one.id for one in await measure.in_force(connection)}
        own = await drafts.one_own(connection, "OWN-PRG-FOOT-CARE", None)
        with pytest.raises(Forbidden):
            await drafts.publish(connection, own, passed=True, note="", by="maker", at=AT)
        await drafts.publish(connection, own, passed=True, note="", by="second", at=AT)
        assert "OWN-PRG-FOOT-CARE" in {one.id for one in await measure.in_force(connection)}
        (one,) = await own_programmes.owned(connection, [key])
        assert (one.programme.id, one.programme.measures, one.closed) == ("foot-care", ("OWN-PRG-FOOT-CARE",), False)
        assert await own_programmes.owned(connection, [key + 1]) == []
        with pytest.raises(Conflict):
            await own_programmes.close(connection, "foot-care", [key + 1], "second", AT)
        await own_programmes.close(connection, "foot-care", [key], "second", AT)
        assert [one.closed for one in await own_programmes.owned(connection, None)] == [True]
    await pool.close()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"id": "Foot Care"}, "id"), ({"title": ""}, "title"), ({"codes": ()}, "codes"), ({"codes": ("BCG",)}, "codes"),
        ({"register": "nothing"}, "register"), ({"from_age": 90, "to_age": 3}, "from_age"), ({"window": 99}, "window"),
        ({"times": 0}, "times"), ({"sex": "both"}, "sex"),
    ],
    ids=["id", "title", "none", "vaccine-as-service", "register", "ages", "window", "times", "sex"],
)  # fmt: skip
def test_a_programme_that_cannot_be_counted_is_refused_at_its_field(change: dict[str, object], place: str) -> None:
    with pytest.raises(Incorrect) as refused:
        own_programmes.text_of(replace(WISH, **change))  # type: ignore[arg-type]  # of its own fields
    assert [issue.expression for issue in refused.value.issues] == [place]


@pytest.mark.parametrize("vaccines", [False, True], ids=["services", "vaccines"])
@pytest.mark.parametrize("register", ["", "dm-management"], ids=["residents", "register"])
def test_every_kind_of_programme_becomes_a_definition_that_compiles(vaccines: bool, register: str) -> None:
    wish = replace(
        WISH, register=register, vaccines=vaccines, codes=("PPV23", "Flu") if vaccines else WISH.codes, window=0
    )
    assert definition_from(own_programmes.text_of(wish)).id == wish.measure


async def test_a_place_where_nobody_is_counted_reports_zero_and_one_that_was_never_counted_nothing(dsn: str) -> None:
    pool = await open_pool(dsn)
    async with pool.connection() as connection:
        await published(connection, result("2026-09", "district", "", 30, 50))
        place = Place("institution", "7", "QPX", "卫生站")
        numbers = numbers_of(await fill(connection, FORM, place, "2026-Q3", at=AT))
        assert (numbers["57"][0], numbers["58"][0], numbers["59"][0]) == (0, 0, None)
        assert numbers_of(await fill(connection, FORM, place, "2026-Q2", at=AT))["57"][0] is None
    await pool.close()
