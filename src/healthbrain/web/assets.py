"""Files the browser loads: our own styles and scripts, the vendored libraries, the map.

Every file is served under a name that carries its digest, so browsers may keep it for ever, and a new release can
never meet a stale copy. Style sheets of `static/css` are joined into one. Compressed once, on first request.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from healthbrain.errors import Unavailable

STATIC = Path(__file__).parent / "static"
PREFIX = "/static/"
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",  # a module served as anything else is refused by browsers
    "svg": "image/svg+xml",
    "geojson": "application/geo+json",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
_PACKED = {"css", "js", "mjs", "svg", "geojson"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    served: str
    kind: str
    content: bytes

    @property
    def etag(self) -> str:
        """The digest in its name."""
        return f'"{self.served}"'


class Assets:
    """The files by the name templates use (`app.css`, `echarts.js`) and by the name they are served under."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._by_name = {name: _asset(name, content) for name, content in _own(folder).items()}
        self._by_name |= _vendored(folder / "vendor")
        self._by_served = {asset.served: asset for asset in self._by_name.values()}
        self._packed: dict[str, bytes] = {}

    def url(self, name: str) -> str:
        """Address of a file. A vendored library that was never fetched is a fault of the set-up and says so."""
        asset = self._by_name.get(name)
        if asset is None:
            raise Unavailable(f"the browser file {name} is missing; run `make setup` (tools/fetch_assets.py)")
        return PREFIX + asset.served

    def text(self, name: str) -> str:
        """Content of one of our own text files."""
        return self._by_name[name].content.decode()

    async def serve(self, request: Request) -> Response:
        """Answer a request for a file."""
        asset = self._by_served.get(request.path_params["path"])
        if asset is None:
            return Response("not found", 404, media_type="text/plain")
        headers = {"cache-control": _FOREVER, "etag": asset.etag, "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        content = asset.content
        if asset.kind in _PACKED and "gzip" in request.headers.get("accept-encoding", ""):
            content = self._pack(asset)
            headers["content-encoding"] = "gzip"
        return Response(content, headers=headers, media_type=_TYPES[asset.kind])

    def _pack(self, asset: Asset) -> bytes:
        packed = self._packed.get(asset.served)
        if packed is None:
            packed = self._packed[asset.served] = gzip.compress(asset.content, 7, mtime=0)
        return packed


def _own(folder: Path) -> dict[str, bytes]:
    found = {"app.css": b"\n".join(path.read_bytes() for path in sorted((folder / "css").glob("*.css")))}
    for part in ("js", "img", "map"):
        found |= {path.name: path.read_bytes() for path in sorted((folder / part).iterdir()) if path.is_file()}
    return found


def _vendored(folder: Path) -> dict[str, Asset]:
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return {}
    found = {}
    for name, entry in json.loads(manifest.read_text("utf-8")).items():
        file = entry["file"]
        found[name] = Asset(f"vendor/{file}", file.rpartition(".")[2], (folder / file).read_bytes())
    return found


def _asset(name: str, content: bytes) -> Asset:
    stem, _, kind = name.rpartition(".")
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Asset(f"{stem}.{digest}.{kind}", kind, content)
