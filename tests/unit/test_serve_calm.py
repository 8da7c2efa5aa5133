"""Work that follows the data waits for the doors to be calm, but not for ever."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from healthbrain.serve.calm import Doors
from healthbrain.serve.worker import JOBS, Job

TICK = os.sysconf("SC_CLK_TCK")


class Machine:
    """A made-up /proc with a clock: supervisor 10, web 11 with its processes 12 and 13, worker 14, database 15."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 100.0
        self.cores = dict.fromkeys((11, 12, 13, 14, 15, 99), 0.0)
        self.taken = dict.fromkeys(self.cores, 0.0)
        self.parents = {11: 10, 12: 11, 13: 11, 14: 10, 15: 10, 99: 1}
        self.write()

    def write(self) -> None:
        for process, seconds in self.taken.items():
            place = self.folder / str(process)
            place.mkdir(exist_ok=True)
            name = "postgres" if process == 15 else "python (3)"
            ticks = int(seconds * TICK)
            rest = f"S {self.parents[process]} 1 1 0 -1 4194560 1 0 0 0 {ticks} 0 0 0 20 0 1"
            (place / "stat").write_text(f"{process} ({name}) {rest}")

    def pass_(self, doors: Doors, seconds: float) -> float:
        for _ in range(int(seconds / 0.5)):
            self.now += 0.5
            self.taken = {one: had + 0.5 * self.cores[one] for one, had in self.taken.items()}
            self.write()
            calm = doors.calm_for()
        return calm


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def doors(machine: Machine) -> Doors:
    return Doors(10, 14, proc=machine.folder, monotonic=lambda: machine.now)


def test_doors_that_do_nothing_are_calm_for_ever_longer(machine: Machine, doors: Doors) -> None:
    assert machine.pass_(doors, 3) == pytest.approx(3)
    assert machine.pass_(doors, 4) == pytest.approx(7)


def test_a_web_process_at_work_makes_them_busy(machine: Machine, doors: Doors) -> None:
    machine.pass_(doors, 3)
    machine.cores[13] = 0.4
    assert machine.pass_(doors, 3) == 0
    machine.cores[13] = 0.0
    assert machine.pass_(doors, 2) == pytest.approx(2)


@pytest.mark.parametrize("process", [14, 15, 99], ids=["the worker", "the database", "another program"])
def test_what_is_no_door_does_not(machine: Machine, doors: Doors, process: int) -> None:
    machine.cores[process] = 1.0
    assert machine.pass_(doors, 3) == pytest.approx(3)


def test_without_proc_they_count_as_calm(tmp_path: Path) -> None:
    now = [5.0]
    doors = Doors(10, 14, proc=tmp_path / "none", monotonic=lambda: now[0])
    now[0] = 9.0
    assert doors.calm_for() == pytest.approx(4)


def test_a_job_waits_for_calm_but_no_longer_than_its_patience(machine: Machine, doors: Doors) -> None:
    job = Job("some", timedelta(seconds=2), None, calm=2, patience=timedelta(seconds=20))  # type: ignore[arg-type]  # is not run
    machine.cores[12] = 1.0
    machine.pass_(doors, 3)
    assert not job.may_begin(timedelta(seconds=5), doors)
    assert job.may_begin(timedelta(seconds=20), doors)
    machine.cores[12] = 0.0
    machine.pass_(doors, 2)
    assert job.may_begin(timedelta(seconds=5), doors)
    assert not job.may_begin(timedelta(seconds=-1), doors)


def test_what_somebody_waits_for_is_never_put_off() -> None:
    waited_for = {"export", "view export", "import", "events", "notifications", "erasures", "search parameters"}
    assert {job.name for job in JOBS if job.calm == 0} >= waited_for
