"""Configuration: one file and environment variables.

Order, strongest first: environment (`HB_*`), then `$HB_DATA/healthbrain.toml` (same names in lower case without the
prefix), then the defaults below. Every field is documented in docs/reference/settings.md; a test checks that.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from healthbrain.errors import Incorrect

CONFIG_NAME = "healthbrain.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything an operator can set. Sizes in bytes, times in seconds."""

    data: Path = Path("data")  # HB_DATA: database, lake, logs and secrets live here
    host: str = "127.0.0.1"  # HB_HOST
    port: int = 8080  # HB_PORT
    mllp_port: int = 2575  # HB_MLLP_PORT; 0 switches the HL7 v2 door off
    database_url: str = ""  # HB_DATABASE_URL: an external PostgreSQL (>= 15); empty = embedded
    workers: int = 0  # HB_WORKERS: web processes; 0 = one per core
    language: str = "zh-CN"  # HB_LANGUAGE: default language of the screens
    unknown_sources: str = "accept"  # HB_UNKNOWN_SOURCES: accept | refuse HL7 v2 from unregistered facilities
    max_body: int = 64 * 1024 * 1024  # HB_MAX_BODY: largest HTTP body or MLLP frame
    rate_limit: int = 0  # HB_RATE_LIMIT: requests per minute of one client to /fhir; 0 = no limit
    second_factor: str = ""  # HB_SECOND_FACTOR: roles that must have one, separated by commas; others may
    session_hours: int = 12  # HB_SESSION_HOURS
    log_level: str = "info"  # HB_LOG_LEVEL
    subscription_hosts: str = "localhost,127.0.0.1,::1"  # HB_SUBSCRIPTION_HOSTS: where notifications may be sent
    public_url: str = ""  # HB_PUBLIC_URL: how browsers and applications reach us; empty = as each request says
    registration: str = "off"  # HB_REGISTRATION: off | approval: applications register, an administrator lets them in
    jwks_hosts: str = ""  # HB_JWKS_HOSTS: hosts of the own network from which applications' keys may be fetched
    oidc_issuer: str = ""  # HB_OIDC_ISSUER: an identity provider to sign in through; empty = none
    oidc_client_id: str = ""  # HB_OIDC_CLIENT_ID: what we are called there
    oidc_client_secret: str = ""  # HB_OIDC_CLIENT_SECRET
    oidc_scopes: str = "openid profile"  # HB_OIDC_SCOPES: what we ask it for
    oidc_claim: str = "sub"  # HB_OIDC_CLAIM: the claim by which accounts are linked
    oidc_name: str = "统一身份认证"  # HB_OIDC_NAME: what the sign-in page calls it
    lake_snapshot_hours: int = 1  # HB_LAKE_SNAPSHOT_HOURS: how long readers may go on using an older state of the lake
    lake_version_days: int = (
        0  # HB_LAKE_VERSION_DAYS: how long superseded versions stay in the lake; the store has them
    )
    lake_engine: str = "duckdb"  # HB_LAKE_ENGINE: duckdb | spark: what counts everyone for the measures
    spark_master: str = ""  # HB_SPARK_MASTER: the cluster, spark://host:port
    entry_approval: bool = True  # HB_ENTRY_APPROVAL: an entered value counts when a second person has approved it
    demo: bool = False  # HB_DEMO: demo accounts are shown on the sign-in page

    @property
    def embedded(self) -> bool:
        """Whether we run our own PostgreSQL."""
        return not self.database_url

    @property
    def cluster(self) -> str:
        """The Spark cluster that the lake is worked on; '' = DuckDB in this process. Raises Incorrect for half a choice."""
        if self.lake_engine not in {"duckdb", "spark"}:
            raise Incorrect("HB_LAKE_ENGINE: it is duckdb or spark")
        if self.lake_engine == "duckdb":
            return ""
        if not self.spark_master:
            raise Incorrect(
                "HB_LAKE_ENGINE=spark: say where the cluster is with HB_SPARK_MASTER, such as spark://host:7077"
            )
        return self.spark_master

    @property
    def lake(self) -> Path:
        """Folder of the Parquet lake."""
        return self.data / "lake"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment and the configuration file.

    Raises Incorrect when a value has the wrong form or the file names a setting that does not exist.
    """
    environ = os.environ if environ is None else environ
    data = Path(environ.get("HB_DATA") or Settings().data).expanduser().absolute()
    values: dict[str, Any] = {**_from_file(data / CONFIG_NAME), **_from_environment(environ)}
    values["data"] = data
    settings = Settings(**values)
    _ = settings.cluster  # half a choice is said now, not when it is used at night
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Incorrect(f"{path}: not readable as TOML ({error}); mend the file or remove it") from None
    known = {f.name for f in fields(Settings)} - {"data"}
    for name in table:
        if name not in known:
            raise Incorrect(f"{path}: unknown setting '{name}'; known are {', '.join(sorted(known))}")
    return {name: _convert(name, value, str(path)) for name, value in table.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for field in fields(Settings):
        variable = f"HB_{field.name.upper()}"
        if field.name != "data" and environ.get(variable):
            found[field.name] = _convert(field.name, environ[variable], variable)
    return found


def _convert(name: str, value: Any, where: str) -> Any:
    kind = get_type_hints(Settings)[name]
    if kind is bool:
        text = str(value).lower()
        if text in {"1", "true", "yes", "on"}:
            return True
        if text in {"0", "false", "no", "off"}:
            return False
        raise Incorrect(f"{where}: '{name}' is true or false")
    if kind is int:
        try:
            return int(value)
        except (TypeError, ValueError):
            raise Incorrect(f"{where}: '{name}' is a whole number") from None
    return str(value)
