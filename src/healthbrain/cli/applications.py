"""Verb for SMART applications: client."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from healthbrain import access
from healthbrain.access import Client
from healthbrain.cli.output import json_option, show
from healthbrain.cli.people import root_organisation, with_connection
from healthbrain.database import Connection
from healthbrain.errors import Incorrect


@click.command()
@click.argument("name", required=False)
@click.option(
    "--kind",
    type=click.Choice(["public", "symmetric", "asymmetric"]),
    default="public",
    show_default=True,
    help="How it proves who it is: not at all (PKCE only), by a secret, or by a key of its own.",
)
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, help="Where people come back to; exact; may be repeated."
)
@click.option("--launch-uri", default="", help="Where an EHR launch begins.")
@click.option(
    "--scope", "scopes", multiple=True, help="A scope it may ask for, as patient/Observation.rs; may be repeated."
)
@click.option("--jwks", type=click.Path(exists=True, path_type=Path), help="Its public keys (asymmetric), a JSON file.")
@click.option("--organisation", "code", help="Code of the organisation it belongs to [default: the root].")
@click.option("--disable", is_flag=True, help="Switch off the application whose id is NAME; its tokens end at once.")
@json_option
def client(
    name: str | None, kind: str, redirect_uris: Sequence[str], launch_uri: str, scopes: Sequence[str],
    jwks: Path | None, code: str | None, disable: bool, as_json: bool,
) -> None:  # fmt: skip
    """List the SMART applications, register one, or switch one off.

    hb client 血压日记 --redirect-uri https://app.example/back --scope openid --scope patient/Observation.rs
    """
    if name is None:
        found = with_connection(access.clients)
        text = "\n".join(_line(one) for one in found) or "no applications"
        show({"clients": [_as_dict(one) for one in found]}, as_json=as_json, text=text)
        return
    chosen = name

    async def switch_off(connection: Connection) -> None:
        await access.disable_client(connection, chosen, at=datetime.now(UTC))

    async def register(connection: Connection) -> tuple[Client, str]:
        return await access.register_client(
            connection, name=chosen, kind=kind, organisation=await root_organisation(connection, code),
            scopes=scopes, redirect_uris=redirect_uris, launch_uri=launch_uri,
            jwks=_keys(jwks) if jwks else None,
        )  # fmt: skip

    if disable:
        with_connection(switch_off)
        show({"id": chosen, "disabled": True}, as_json=as_json, text=f"{chosen} is switched off")
        return
    made, secret = with_connection(register)
    text = _line(made) + (f"\nsecret: {secret}   (shown once)" if secret else "")
    show({**_as_dict(made), "secret": secret or None}, as_json=as_json, text=text)


def _keys(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise Incorrect(f'{path}: not readable as JSON; a JWKS has the form {{"keys": […]}}') from None
    if not isinstance(found, dict):
        raise Incorrect(f'{path}: a JWKS is a JSON object with "keys"')
    return found


def _as_dict(one: Client) -> dict[str, object]:
    return {
        "id": one.id, "name": one.name, "kind": one.kind, "redirect_uris": list(one.redirect_uris),
        "scopes": list(one.scopes), "disabled": one.disabled_at is not None,
    }  # fmt: skip


def _line(one: Client) -> str:
    state = " (off)" if one.disabled_at else ""
    return f"{one.id}  {one.kind:<11} {one.name}{state}  {' '.join(one.scopes)}"
