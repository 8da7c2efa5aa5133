"""A small Spark cluster on this machine: a standalone master and two workers, from the PySpark package.

    python tools/spark_cluster.py [--workers 2] [--memory 1g]        runs until Ctrl-C; prints the address for HB_SPARK_MASTER

Everything listens on 127.0.0.1 on free ports. It is for trying and testing; a real cluster is described in docs/how-to/spark.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 600  # seconds until master and workers are there; machines may be busy
_MASTER, _WORKER = (f"org.apache.spark.deploy.{one}" for one in ("master.Master", "worker.Worker"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="1g", help="of each worker's executor")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind then either
    with (
        tempfile.TemporaryDirectory(prefix="spark-cluster-") as folder,
        cluster(Path(folder), workers=options.workers, memory=options.memory) as master,
    ):
        print(f"HB_LAKE_ENGINE=spark HB_SPARK_MASTER={master}   (Ctrl-C stops it)", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopping")


@contextmanager
def cluster(folder: Path, *, workers: int = 2, memory: str = "1g") -> Iterator[str]:
    """A master and workers; gives the master's address, and stops them all at the end. Logs are in `folder`."""
    home = spark_home()
    port, page = _free_port(), _free_port()
    master = f"spark://127.0.0.1:{port}"
    here = ("--host", "127.0.0.1")
    started = [_start(home, folder, "master", _MASTER, *here, "--port", str(port), "--webui-port", str(page))]
    try:
        _until(lambda: _alive_workers(page) is not None, started, "the master has not started")
        for number in range(workers):
            own = (
                "--webui-port",
                "0",
                "--cores",
                "1",
                "--memory",
                memory,
                "--work-dir",
                str(folder / f"work-{number}"),
            )
            started.append(_start(home, folder, f"worker-{number}", _WORKER, *here, *own, master))
        _until(lambda: _alive_workers(page) == workers, started, "not all workers have registered")
        yield master
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def spark_home() -> Path:
    """The folder of the installed PySpark. Exits in words when it or Java is missing."""
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        sys.exit("PySpark is not installed: make setup-spark")
    if shutil.which(_java()) is None:
        sys.exit("there is no Java here: install version 17 or later, or say where it is with JAVA_HOME")
    return Path(found.origin).parent


def _java() -> str:
    return str(Path(os.environ["JAVA_HOME"], "bin", "java")) if os.environ.get("JAVA_HOME") else "java"


def _start(home: Path, folder: Path, name: str, class_: str, *arguments: str) -> subprocess.Popen[bytes]:
    environ: Mapping[str, str] = {
        **os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "512m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # master and workers do little
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",  # it would take a fixed port
    }  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [home / "bin" / "spark-class", class_, *arguments], env=environ, stdout=log, stderr=log, cwd=folder
        )


def _alive_workers(page: int) -> int | None:
    """How many workers the master knows; None while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
            return int(json.load(answer)["aliveworkers"])
    except OSError:
        return None


def _until(holds, started: list[subprocess.Popen[bytes]], complaint: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > end or any(process.poll() is not None for process in started):
            raise RuntimeError(f"{complaint}; its log is in the cluster's folder")
        time.sleep(0.3)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
