"""`hb demo`: a synthetic district on the real platform, through the real doors.

The platform is started as `hb serve` starts it; the district's institutions are registered; then their messages are
sent to its FHIR and HL7 v2 doors like anybody's. What was sent is remembered, so an interrupted first run goes on where it
stopped and a finished one only starts the platform.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from healthbrain.cli.assessed import seed_assessments
from healthbrain.cli.district import Account, accounts_of, follow_up, register
from healthbrain.cli.operate import start_logging
from healthbrain.cli.output import json_option, show
from healthbrain.cli.plans import seed_plan
from healthbrain.errors import Conflict, HealthBrainError
from healthbrain.lake import Lake
from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import follow_feed, published_position
from healthbrain.runtime.models import compute_models
from healthbrain.runtime.warehouse import rebuild_themes
from healthbrain.serve.supervisor import Supervisor
from healthbrain.settings import Settings, load
from healthbrain.store import Position
from healthbrain.twin import District
from healthbrain.twin.send import Doors, send
from healthbrain.twin.send import Progress as Delivery
from healthbrain.web import show_on_sign_in

console = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which district this data folder holds and how far it is."""

    seed: int
    residents: int
    months: int
    end: str
    tokens: dict[str, str]
    messages: int = 0
    finished: bool = False

    @property
    def district(self) -> District:
        """The district itself; the same for the same plan."""
        return District(self.seed, self.residents, end=date.fromisoformat(self.end), months=self.months)

    def save(self, folder: Path) -> None:
        """Write it down, readable by its owner only (it holds tokens)."""
        path = folder / "demo.json"
        path.touch(mode=0o600, exist_ok=True)
        part = path.with_suffix(".part")
        part.touch(mode=0o600, exist_ok=True)
        part.write_text(json.dumps(asdict(self)), "utf-8")
        part.replace(path)


@click.command()
@click.option(
    "--residents",
    default=2000,
    show_default=True,
    type=click.IntRange(20, 10_000_000),
    help="How many people live in the district.",
)
@click.option(
    "--months",
    default=18,
    show_default=True,
    type=click.IntRange(1, 240),
    help="How many months of their lives are sent.",
)
@click.option("--seed", default=1, show_default=True, help="Another number gives another district.")
@click.option("--fresh", is_flag=True, help="Throw the demo data away and begin again.")
@click.option("--load-only", is_flag=True, help="Stop when everything is loaded instead of serving on.")
@json_option
def demo(residents: int, months: int, seed: int, fresh: bool, load_only: bool, as_json: bool) -> None:
    """Create a synthetic district, send its institutions' messages through the doors, open the web.

    All people in it are made up. A second run starts on the same data.
    """
    settings = _settings()
    start_logging(settings)
    if fresh:
        _remove(settings.data)
    settings.data.mkdir(parents=True, exist_ok=True)
    plan = _plan(settings.data, residents, months, seed)
    console.print("starting the platform …")
    supervisor = Supervisor(settings)
    with supervisor.running():
        loader = _Loader(supervisor, plan, as_json=as_json)
        loader.start()
        supervisor.watch_until_stopped(until=lambda: load_only and loader.over)
        loader.leave()
    if loader.error:
        raise loader.error


def _settings() -> Settings:
    """The configured settings, quieter. Ports that nobody has set move on when another program has them."""
    settings = replace(load(), demo=True)
    if "HB_LOG_LEVEL" not in os.environ:
        settings = replace(settings, log_level="warning")
    if "HB_PORT" not in os.environ:
        settings = replace(settings, port=_next_free(settings.host, settings.port))
    if "HB_MLLP_PORT" not in os.environ:
        settings = replace(settings, mllp_port=_next_free(settings.host, settings.mllp_port))
    return settings


def _next_free(host: str, port: int) -> int:
    while port and not _free(host, port):
        port += 1
    return port


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _remove(data: Path) -> None:
    """Only a folder that a demo made is thrown away."""
    if data.exists() and any(data.iterdir()) and not (data / "demo.json").exists():
        raise Conflict(f"{data} was not made by `hb demo`; remove it yourself, or choose another HB_DATA")
    shutil.rmtree(data, ignore_errors=True)


def _plan(data: Path, residents: int, months: int, seed: int) -> Plan:
    path = data / "demo.json"
    if path.exists():
        return Plan(**json.loads(path.read_text("utf-8")))
    if (data / "postgres").exists():
        raise Conflict(f"{data} holds data that is no demo; choose another HB_DATA for `hb demo`")
    plan = Plan(seed, residents, months, datetime.now(UTC).date().isoformat(), {})
    plan.save(data)
    return plan


class _Loader(threading.Thread):
    """Loads the district beside the supervisor, which must stay in the main thread."""

    def __init__(self, supervisor: Supervisor, plan: Plan, *, as_json: bool) -> None:
        super().__init__(name="loader", daemon=True)
        self.supervisor, self.plan, self.as_json = supervisor, plan, as_json
        self.error: HealthBrainError | None = None
        self.over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._load())
        except asyncio.CancelledError:
            console.print("stopped; `make demo` goes on from here")
        except HealthBrainError as error:
            self.error = error
            self.supervisor.ask_to_stop()
        finally:
            self.over = True

    def leave(self) -> None:
        """End the loading, keeping what is done."""
        if self._loop and self._work and not self.over:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._work.cancel)
        self.join(20)

    async def _load(self) -> None:
        self._loop, self._work = asyncio.get_running_loop(), asyncio.current_task()
        settings = self.supervisor.settings
        async with Platform(settings) as platform:
            if not self.plan.finished:
                await self._first_time(platform)
            async with platform.pool.connection() as connection:
                accounts = await accounts_of(connection)
            show_on_sign_in(settings, [asdict(account) for account in accounts])
        self._say_where(accounts)

    async def _first_time(self, platform: Platform) -> None:
        district = self.plan.district
        if not self.plan.tokens:
            console.print("registering the institutions …")
            async with platform.pool.connection() as connection:
                tokens = await register(connection, district, platform.clock())
            self._keep(replace(self.plan, tokens=tokens))
        await self._send(district)
        await self._wait_for_measures(platform)
        async with platform.pool.connection() as connection:
            await follow_up(connection, district)
            await seed_plan(connection, district, platform.clock())
            await seed_assessments(platform, connection, district)
        self._keep(replace(self.plan, finished=True))

    def _keep(self, plan: Plan) -> None:
        self.plan = plan
        plan.save(self.supervisor.settings.data)

    async def _send(self, district: District) -> None:
        settings = self.supervisor.settings
        with console.status(f"living {self.plan.months} months of {self.plan.residents:,} residents …"):
            messages = await asyncio.to_thread(lambda: list(district.messages()))
        with _bar() as bar:
            task = bar.add_task("sending messages through the doors", total=len(messages))

            def show(delivery: Delivery) -> None:
                bar.update(task, completed=delivery.done)

            delivery = await send(
                messages,
                Doors(f"{self.supervisor.url}/fhir", "127.0.0.1", settings.mllp_port, self.plan.tokens),
                cursor=settings.data / "demo.cursor",
                label=f"{self.plan.seed}/{self.plan.residents}/{self.plan.months}/{self.plan.end}",
                on_progress=show,
            )
            bar.update(task, completed=len(messages))
        console.print(
            f"{delivery.total('accepted'):,} messages accepted, {delivery.total('refused'):,} refused with a reason "
            f"(the institutions make mistakes on purpose)"
        )

    async def _wait_for_measures(self, platform: Platform) -> None:
        with console.status("filling the lake and computing the indicators …"):
            while await follow_feed(platform):
                pass
            position = Position.parse(Lake(platform.settings.lake).state().position)
            for _ in range(600):
                async with platform.pool.connection() as connection:
                    published = await published_position(connection)
                if published and Position.parse(published.split()[0]) >= position:
                    break
                await asyncio.sleep(0.5)
            with contextlib.suppress(Conflict):  # the worker makes them right now
                await rebuild_themes(platform, at_once=True)
            await compute_models(platform)

    def _say_where(self, accounts: list[Account]) -> None:
        url, port = self.supervisor.url, self.supervisor.settings.mllp_port
        lines = [f"\n{url}   (FHIR {url}/fhir, HL7 v2 port {port})\n"]
        lines += [f"  {one.name:<12} {one.password:<18} {one.display}（{one.role}）" for one in accounts]
        lines.append("\nAll people are made up. Ctrl-C stops the platform.")
        found = {"url": url, "mllp_port": port, "accounts": [asdict(one) for one in accounts]}
        show(found, as_json=self.as_json, text="\n".join(lines))


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    ) as bar:  # fmt: skip
        yield bar
