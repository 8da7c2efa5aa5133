"""One supervised child process: started, watched, started again with a growing pause, stopped in order."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("healthbrain.serve")

_PR_SET_PDEATHSIG = 1
_STEADY = 30.0  # seconds of life after which a crash counts as the first again
_LONGEST_PAUSE = 10.0


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Ask the kernel to end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, sig)


def give_way() -> None:
    """Let the doors go first, in this process and the threads it will have: less of a busy core, and no taking it away
    from who answers somebody. Where Linux shares the cores out by session (autogroup) niceness counts only inside the
    session, so it is told of the session too.
    """
    os.nice(10)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text("10")


def settle_memory() -> None:
    """What is here now stays: leave it out of every later search for garbage, and search less often.

    The definitions alone are a million objects; looking at them and at each answer's short-lived dicts cost 18 % of the
    time of preparing a resource.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@dataclass
class Child:
    """A child process by name. `watch` restarts it when it has gone."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _started_at: float = 0.0
    _pause: float = field(default=0.0)
    _start_not_before: float = field(default=0.0)

    def start(self) -> None:
        """Start it now."""
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command, env=dict(self.environment), stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            start_new_session=True,
        )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self.process is not None and self.process.poll() is None

    def watch(self) -> None:
        """Start it again if it has gone; a child that keeps dying is started ever more slowly."""
        if self.running:
            return
        now = time.monotonic()
        if self._start_not_before == 0.0:
            code = self.process.returncode if self.process else None
            if now - self._started_at > _STEADY:
                self._pause = 0.0
            self._pause = min(_LONGEST_PAUSE, max(0.2, self._pause * 2))
            self._start_not_before = now + self._pause
            self.restarts += 1
            log.warning("process %s ended with %s; starting it again in %.1f s", self.name, code, self._pause)
        if now >= self._start_not_before:
            self._start_not_before = 0.0
            self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM; `wait` for the rest."""
        if self.running and self.process is not None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait for its end; by force after `seconds`."""
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("process %s did not stop in %.0f s; ended by force", self.name, seconds)
            self.process.kill()
            self.process.wait()
