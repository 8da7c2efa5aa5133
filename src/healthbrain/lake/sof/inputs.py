"""What a view can be run on beside the lake: files of resources, made into files of NDJSON that DuckDB reads in one pass.

NDJSON (`.gz` too) is read as it lies. Bundles, as a JSON file or as lines of NDJSON, are taken apart first; references between
entries by their fullUrl (transactions: `urn:uuid:…`) become `Type/id`, as a server would write them, so that keys join.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from healthbrain.errors import HealthBrainError, Incorrect, Malformed, NotFound
from healthbrain.fhir import dump, parse

_BUNDLE = re.compile(rb'"resourceType"\s*:\s*"Bundle"')
_KINDS = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz", ".json", ".json.gz")
_PIECE = 1 << 20
_OVERLAP = 64  # bytes: longer than what is looked for


def read_inputs(paths: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """The files of NDJSON that hold the resources of `paths` (files, or folders of them). What has to be rewritten is written into
    `folder`. Raises NotFound, Malformed with file and line, Incorrect for a folder without resources."""
    found: list[Path] = []
    for number, path in enumerate(_files(paths)):
        if _needs_unpacking(path):
            plain = folder / f"{number:06d}.ndjson"
            with plain.open("wb") as target:
                for resource in _resources(path):
                    target.write(dump(resource) + b"\n")
            found.append(plain)
        elif path.stat().st_size:
            found.append(path.absolute())
    return tuple(found)


def first_fault(files: Iterable[Path]) -> str:
    """The file and line of the first line that is no JSON object; '' when every line is one."""
    for path in files:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                try:
                    if line.strip():
                        parse(line)
                except HealthBrainError:
                    return f"{path}: line {number}"
    return ""


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*")) if one.is_file() and one.name.endswith(_KINDS)]
            if not inside:
                raise Incorrect(f"{path}: the folder holds no files ending in {', '.join(_KINDS)}")
            yield from inside
        elif path.is_file():
            if not path.name.endswith(_KINDS):
                raise Incorrect(f"{path}: resources are read from files ending in {', '.join(_KINDS)}")
            yield path
        else:
            raise NotFound(f"{path}: there is no such file or folder")


def _needs_unpacking(path: Path) -> bool:
    """Whether it is one JSON document, holds a Bundle somewhere, or begins with a byte order mark."""
    if path.name.endswith((".json", ".json.gz")):
        return True
    rest = b""
    try:
        with _open(path) as file:
            while piece := file.read(_PIECE):
                if (not rest and piece.startswith(b"\xef\xbb\xbf")) or _BUNDLE.search(rest + piece):
                    return True
                rest = piece[-_OVERLAP:]
    except (OSError, EOFError, zlib.error):
        raise _unreadable(path) from None
    return False


def _resources(path: Path) -> Iterator[dict[str, Any]]:
    if path.name.endswith((".json", ".json.gz")):
        try:
            with _open(path) as file:
                whole = file.read().removeprefix(b"\xef\xbb\xbf")
        except (OSError, EOFError, zlib.error):
            raise _unreadable(path) from None
        try:
            yield from _of_document(whole)
            return
        except HealthBrainError:
            pass  # perhaps it is NDJSON that is called .json
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if text := line.removeprefix(b"\xef\xbb\xbf").strip():
                try:
                    found = parse(text)
                except HealthBrainError:
                    raise Malformed(f"{path}: line {number} is no JSON object; send one resource per line") from None
                yield from _unpacked(found)


def _of_document(whole: bytes) -> Iterator[dict[str, Any]]:
    if whole.lstrip().startswith(b"["):  # a list of resources
        listed = parse(b'{"entry":' + whole + b"}")["entry"]
        return iter([one for item in listed if isinstance(item, dict) for one in _unpacked(item)])
    return _unpacked(parse(whole))


def _unpacked(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The resources in it: those of a Bundle, or itself."""
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    entries = [
        one for one in resource.get("entry") or () if isinstance(one, dict) and isinstance(one.get("resource"), dict)
    ]
    names = dict(_names(entries))
    for entry in entries:
        inner = entry["resource"]
        if names:
            full = entry.get("fullUrl")
            if full in names and not inner.get("id"):
                inner["id"] = names[full].rpartition("/")[2]
            _rename(inner, names)
        yield from _unpacked(inner)


def _names(entries: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """What entries are called within the Bundle, and what they are called outside."""
    for entry in entries:
        full, inner = entry.get("fullUrl"), entry["resource"]
        type_ = inner.get("resourceType")
        if isinstance(full, str) and full.startswith("urn:") and isinstance(type_, str):
            yield full, f"{type_}/{inner.get('id') or full.rpartition(':')[2]}"


def _rename(value: Any, names: dict[str, str]) -> None:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference in names:
            value["reference"] = names[reference]
        for one in value.values():
            if isinstance(one, (dict, list)):
                _rename(one, names)
    else:
        for one in value:
            if isinstance(one, (dict, list)):
                _rename(one, names)


def _open(path: Path) -> BinaryIO:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]  # GzipFile reads like one


def _unreadable(path: Path) -> Malformed:
    return Malformed(f"{path}: the file cannot be read to its end; is it whole, and may you read it?")
