"""`hb serve`: database, web processes, HL7 v2 door and background worker, watched by one parent.

Start order: database → schema → doors. Stop order is the reverse, so nothing that was acknowledged is cut off. Any
child that dies, the database too, is started again; the others reconnect. If the parent is killed the kernel ends
the children, and the next start recovers from the database's log.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from healthbrain.access.sealing import vault_in
from healthbrain.access.second_factor import seal_existing
from healthbrain.database import apply_migrations
from healthbrain.errors import Conflict, Unavailable
from healthbrain.runtime.database import embedded
from healthbrain.serve.process import Child
from healthbrain.settings import Settings

log = logging.getLogger("healthbrain.serve")

_READY_TIMEOUT = 60.0


class Supervisor:
    """The parent process of a running platform."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = embedded(settings) if settings.embedded else None
        self.children: list[Child] = []
        self._stopping = False

    @property
    def url(self) -> str:
        """Where the web answers."""
        host = self.settings.host if self.settings.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 (only shown)
        return f"http://{host}:{self.settings.port}"

    def run(self, *, on_ready: Callable[[Supervisor], None] | None = None) -> None:
        """Start everything, call `on_ready`, watch until SIGINT or SIGTERM, stop in order."""
        with self.running():
            if on_ready:
                on_ready(self)
            self.watch_until_stopped()

    @contextlib.contextmanager
    def running(self) -> Iterator[Supervisor]:
        """The platform up and answering; stopped in order at the end, whatever happens inside."""
        with _only_one(self.settings.data):
            try:
                self.start()
                yield self
            finally:
                self.stop()

    def start(self) -> None:
        """Bring everything up and wait until /healthz answers 200."""
        self._refuse_taken_ports()
        if self.database:
            self.database.start()
        applied = apply_migrations(self._dsn(), post=False)
        if applied:
            log.info("schema: %d migrations applied", len(applied))
        if sealed := seal_existing(self._dsn(), vault_in(self.settings.data)):
            log.info("%d keys of second factors are encrypted now", sealed)
        (self.settings.data / "connections").unlink(missing_ok=True)  # of web processes that are no more
        self.children = self._make_children()
        for child in self.children:
            child.start()
        self._await_ready()
        self._write_state()

    def watch_until_stopped(self, *, until: Callable[[], bool] = lambda: False) -> None:
        """Restart what dies until a signal arrives or `until` holds."""
        for sig in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sig, lambda *_: self.ask_to_stop())
        while not self._stopping and not until():
            self.watch()
            time.sleep(0.2)

    def watch(self) -> None:
        """One round of looking after the database and the children."""
        if self.database and not self.database.alive():
            log.warning("the database has gone; starting it again")
            try:
                self.database.start()
            except Unavailable as error:
                log.error("%s", error)
                return
        for child in self.children:
            child.watch()

    def ask_to_stop(self) -> None:
        """Leave `watch_until_stopped` at the next round."""
        self._stopping = True

    def stop(self) -> None:
        """Doors first, then the worker, then the database."""
        for child in self.children:
            child.ask_to_stop()
        for child in self.children:
            child.wait(15)
        self.children = []
        if self.database:
            self.database.stop()
        with contextlib.suppress(OSError):
            self._state_file().unlink()

    # -- steps

    def _dsn(self) -> str:
        return self.database.dsn if self.database else self.settings.database_url

    def _make_children(self) -> list[Child]:
        environment = {**os.environ, **_as_environment(self.settings)}
        workers = self.settings.workers or os.cpu_count() or 1
        web = [
            sys.executable, "-m", "granian", "healthbrain.serve.asgi:create", "--factory", "--interface", "asgi",
            "--host", self.settings.host, "--port", str(self.settings.port), "--workers", str(workers),
            "--http", "auto", "--loop", "uvloop", "--backlog", "1024", "--backpressure", "256",
            "--log-level", "warning", "--respawn-failed-workers", "--workers-kill-timeout", "10",
        ]  # fmt: skip
        children = [Child("web", web, environment)]
        if self.settings.mllp_port:
            children.append(Child("mllp", [sys.executable, "-m", "healthbrain.serve.mllp"], environment))
        children.append(Child("worker", [sys.executable, "-m", "healthbrain.serve.worker"], environment))
        return children

    def _refuse_taken_ports(self) -> None:
        wanted = {"HB_PORT": self.settings.port, "HB_MLLP_PORT": self.settings.mllp_port}
        for name, port in wanted.items():
            if port and not _is_free(self.settings.host, port):
                raise Conflict(f"port {port} is taken by another program; stop it or set {name} to a free port")

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT
        while time.monotonic() < deadline:
            if _is_healthy(self.url) and _accepts(self.settings.host, self.settings.mllp_port):
                return
            self.watch()
            time.sleep(0.05)
        raise Unavailable(
            f"the platform did not answer at {self.url}/healthz in {_READY_TIMEOUT:.0f} s; see the messages above"
        )

    def _state_file(self) -> Path:
        return self.settings.data / "serve.json"

    def _write_state(self) -> None:
        state = {
            "pid": os.getpid(),
            "url": self.url,
            "mllp_port": self.settings.mllp_port,
            "database_pid": self.database.pid if self.database else None,
            "children": {child.name: child.process.pid for child in self.children if child.process},
        }
        self._state_file().write_text(json.dumps(state))


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Hold the data folder: two platforms on one folder would fight over it."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(
                f"a platform already runs on {data}; `hb status` shows where, Ctrl-C there stops it"
            ) from None
        yield


def _as_environment(settings: Settings) -> dict[str, str]:
    from dataclasses import fields

    return {f"HB_{f.name.upper()}": str(getattr(settings, f.name)) for f in fields(settings)}


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _accepts(host: str, port: int) -> bool:
    if not port:
        return True
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310 (our own http address)
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
