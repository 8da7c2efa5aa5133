"""Settings: environment over file over defaults, with errors that say what to mend."""

from dataclasses import fields
from pathlib import Path

import pytest

from healthbrain.errors import Incorrect
from healthbrain.settings import Settings, load


def test_defaults_serve_on_loopback_with_the_embedded_database(tmp_path: Path) -> None:
    settings = load({"HB_DATA": str(tmp_path)})
    assert (settings.host, settings.port, settings.embedded) == ("127.0.0.1", 8080, True)
    assert settings.data == tmp_path


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "healthbrain.toml").write_text('port = 9000\nlanguage = "en"\ndemo = true\n')
    settings = load({"HB_DATA": str(tmp_path), "HB_PORT": "9100"})
    assert (settings.port, settings.language, settings.demo) == (9100, "en", True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = ", "not readable as TOML"),
        ("prot = 9000", "unknown setting 'prot'"),
        ('port = "many"', "'port' is a whole number"),
        ('demo = "perhaps"', "'demo' is true or false"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "healthbrain.toml").write_text(text)
    with pytest.raises(Incorrect, match=says) as caught:
        load({"HB_DATA": str(tmp_path)})
    assert "healthbrain.toml" in caught.value.message


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Incorrect, match="HB_PORT: 'port' is a whole number"):
        load({"HB_DATA": str(tmp_path), "HB_PORT": "eighty"})


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text("utf-8")
    missing = [f.name for f in fields(Settings) if f"`HB_{f.name.upper()}`" not in text]
    assert not missing
