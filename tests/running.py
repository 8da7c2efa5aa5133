"""A whole platform as its user runs it: `hb serve` in a process of its own, on free ports and an empty data folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HB = [sys.executable, "-c", "import sys; from healthbrain.cli import main; sys.argv[0] = 'hb'; main()"]


class Running:
    """`hb serve` on `data`; start, kill and start again as often as a test likes."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.port, self.mllp_port = free_port(), free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HB_") or k == "HB_POSTGRES_BIN"},
            "HB_DATA": str(data),
            "HB_PORT": str(self.port),
            "HB_MLLP_PORT": str(self.mllp_port),
            "HB_WORKERS": "1",
            "HB_LOG_LEVEL": "warning",
            "PYTHONWARNINGS": "default",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def start(self, timeout: float = 90) -> Running:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*HB, "serve"], env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"hb serve ended: {self.log.read_text()[-2000:]}"
            if self.healthy() and (self.data / "serve.json").exists():
                return self
            time.sleep(0.1)
        raise AssertionError(f"hb serve did not answer: {self.log.read_text()[-2000:]}")

    def healthy(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
            return answer.status == 200
        return False

    def stop(self, timeout: float = 40) -> int:
        """Ctrl-C; returns the exit code."""
        assert self.process
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill_everything(self) -> None:
        """kill -9 of the supervisor, every child and the database, at once."""
        state = json.loads((self.data / "serve.json").read_text())
        pids = [state["pid"], state["database_pid"], *state["children"].values()]
        for pid in filter(None, pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process
        self.process.wait()
        self.process = None

    def kill_database(self) -> None:
        os.kill(json.loads((self.data / "serve.json").read_text())["database_pid"], signal.SIGKILL)

    def hb(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another `hb` command on the same data."""
        return subprocess.run([*HB, *arguments], env=self.environment, capture_output=True, text=True, check=check)

    def token(self, *arguments: str) -> str:
        return self.hb("token", *arguments).stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
