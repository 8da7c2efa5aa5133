"""The `hb` command as a user meets it: what it prints, what it refuses, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running import Running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Running:
    """A data folder made by `hb init`; nothing runs on it."""
    running = Running(tmp_path_factory.mktemp("cli") / "data")
    running.hb("init", "--password", "Harbour-Light-42")
    return running


def test_init_may_be_repeated_and_changes_nothing(folder: Running) -> None:
    again = json.loads(folder.hb("init", "--json").stdout)
    assert (again["administrator"], again["migrations"]) == (None, [])


def test_token_prints_nothing_but_the_token(folder: Running) -> None:
    printed = folder.hb("token").stdout
    assert printed.count("\n") == 1
    assert " " not in printed.strip()
    assert len(printed.strip()) > 20


def test_token_for_an_unknown_organisation_is_refused(folder: Running) -> None:
    done = folder.hb("token", "--organisation", "NOWHERE", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no organisation has the code 'NOWHERE'" in done.stderr


def test_status_says_that_nothing_runs(folder: Running) -> None:
    done = folder.hb("status", "--json", check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["running"] is False


def test_doctor_finds_nothing_wrong_with_a_fresh_folder(folder: Running) -> None:
    findings = {f["check"]: f["ok"] for f in json.loads(folder.hb("doctor", "--json", check=False).stdout)["findings"]}
    assert findings["PostgreSQL"]
    assert findings["locale"]
    assert findings["durability"]
    assert findings["schema"]


def test_accounts_are_made_and_listed_and_weak_passwords_refused(folder: Running) -> None:
    made = json.loads(folder.hb("user", "wang", "--role", "cdc", "--display", "王敏", "--json").stdout)
    assert made["password"]
    listed = json.loads(folder.hb("user", "--json").stdout)["accounts"]
    assert {"name": "wang", "role": "cdc", "display": "王敏"} in listed
    weak = folder.hb("user", "li", "--role", "cdc", "--password", "123456", check=False)
    assert weak.returncode == 2
    assert "password" in weak.stderr


def test_import_takes_good_lines_lists_bad_ones_and_is_safe_to_repeat(folder: Running, tmp_path: Path) -> None:
    file = tmp_path / "people.ndjson"
    good = {"resourceType": "Patient", "id": "p1", "gender": "male", "birthDate": "1960-01-02"}
    bad = {"resourceType": "Patient", "id": "p2", "gender": "both"}
    file.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n{{broken\n")
    done = folder.hb("import", str(file), "--json", check=False)
    (report,) = json.loads(done.stdout)["files"]
    assert (done.returncode, report["entries"], report["written"], report["refused"]) == (5, 3, 1, 2)
    again = folder.hb("import", str(file), "--json", check=False)
    assert json.loads(again.stdout)["files"][0]["delivery"] == report["delivery"]


def test_a_missing_file_is_named(folder: Running) -> None:
    done = folder.hb("import", "/nowhere/x.ndjson", check=False)
    assert done.returncode == 2
    assert "/nowhere/x.ndjson" in done.stderr


def test_the_audit_log_of_a_fresh_folder_is_whole(folder: Running) -> None:
    assert json.loads(folder.hb("audit", "--json").stdout)["whole"] is True


def test_a_wrong_setting_is_named(folder: Running) -> None:
    folder.environment["HB_WORKERS"] = "many"
    try:
        done = folder.hb("status", check=False)
    finally:
        folder.environment["HB_WORKERS"] = "1"
    assert done.returncode == 2
    assert "HB_WORKERS" in done.stderr


def test_an_external_database_that_does_not_answer_is_said(folder: Running) -> None:
    folder.environment["HB_DATABASE_URL"] = "host=127.0.0.1 port=1 dbname=none connect_timeout=2"
    try:
        done = folder.hb("token", check=False)
    finally:
        del folder.environment["HB_DATABASE_URL"]
    assert done.returncode == 3
    assert "HB_DATABASE_URL" in done.stderr


def test_a_hospital_and_its_system_are_registered_listed_and_changed(folder: Running) -> None:
    folder.hb("organisation", "QPH09", "--name", "朱家角医院", "--class", "A100", "--division", "310118102")
    assert "QPH09  朱家角医院" in folder.hb("organisation").stdout
    folder.hb("source", "QPH09", "--organisation", "QPH09", "--charset", "GB18030")
    folder.hb("source", "QPH09", "--organisation", "QPH09", "--charset", "UTF-8", "--code-set", "his-a")
    (made,) = [s for s in json.loads(folder.hb("source", "--json").stdout)["sources"] if s["code"] == "QPH09"]
    assert (made["facility"], made["charset"], made["code_set"], made["verified"]) == ("QPH09", "UTF-8", "his-a", True)


def test_a_source_of_an_unknown_organisation_or_charset_is_refused(folder: Running) -> None:
    unknown = folder.hb("source", "X", "--organisation", "NOWHERE", check=False)
    assert (unknown.returncode, "NOWHERE" in unknown.stderr) == (2, True)
    charset = folder.hb("source", "X", "--organisation", "QP00", "--charset", "KLINGON", check=False)
    assert charset.returncode == 2


def test_an_application_is_registered_listed_and_switched_off(folder: Running) -> None:
    made = json.loads(
        folder.hb(
            "client", "血压日记", "--kind", "symmetric", "--redirect-uri", "https://app.example/back",
            "--scope", "openid", "--scope", "patient/Observation.rs", "--json",
        ).stdout
    )  # fmt: skip
    assert made["secret"]
    folder.hb("client", made["id"], "--disable")
    (listed,) = json.loads(folder.hb("client", "--json").stdout)["clients"]
    assert (listed["id"], listed["disabled"], "secret" in listed) == (made["id"], True, False)
    unsafe = folder.hb("client", "x", "--redirect-uri", "http://app.example/back", "--scope", "openid", check=False)
    assert unsafe.returncode == 2
