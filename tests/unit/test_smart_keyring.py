"""Our signing keys: made once for all processes, readable by us alone, changed in time, shown as long as needed."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from joserfc import jws, jwt
from joserfc.jwk import KeySet

from healthbrain.access.smart.keyring import ROTATE, SHOWN, KeyRing

AT = datetime(2026, 3, 1, tzinfo=UTC)


def kid(token: str) -> str:
    return str(jws.extract_compact(token.encode()).headers()["kid"])


def test_the_key_is_made_at_first_use_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "secrets", bits=2048)
    token = ring.sign({"x": 1}, AT)
    file = tmp_path / "secrets" / "oidc-keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    public = ring.public(AT)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(public["keys"][0])
    assert jwt.decode(token, KeySet.import_key_set(public), algorithms=["RS256"]).claims == {"x": 1}


def test_processes_that_begin_at_the_same_time_agree_on_one_key(tmp_path: Path) -> None:
    rings = [KeyRing(tmp_path, bits=2048) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        kids = set(pool.map(lambda ring: kid(ring.sign({}, AT)), rings))
    assert len(kids) == 1


def test_a_key_is_changed_in_time_and_the_old_one_still_checks_for_a_while(tmp_path: Path) -> None:
    one, other = KeyRing(tmp_path, bits=2048), KeyRing(tmp_path, bits=2048)
    old = one.sign({}, AT)
    assert kid(one.sign({}, AT + ROTATE - timedelta(seconds=1))) == kid(old)
    later = AT + ROTATE
    new = one.sign({}, later)
    assert kid(new) != kid(old)
    assert kid(other.sign({}, later)) == kid(new)
    assert [key["kid"] for key in other.public(later)["keys"]] == [kid(old), kid(new)]
    after = later + ROTATE
    assert kid(old) not in {key["kid"] for key in one.public(after + SHOWN)["keys"]}
