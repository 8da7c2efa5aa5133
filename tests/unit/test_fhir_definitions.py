"""The compiled R4 definitions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from healthbrain.errors import Incorrect, Unavailable
from healthbrain.fhir import definitions
from healthbrain.fhir.compile.__main__ import main
from healthbrain.fhir.definitions import load, write


def test_all_resource_types_are_there_and_numbered_by_name() -> None:
    known = definitions()
    assert len(known.types) == 146
    assert known.type_number("Account") == 1
    assert known.type_number("VisionPrescription") == 146
    assert [known.type_name(known.type_number(name)) for name in known.types] == list(known.types)
    assert "DomainResource" not in known.types


def test_an_unknown_type_is_refused_without_repeating_it() -> None:
    with pytest.raises(Incorrect) as caught:
        definitions().type_number("张伟")
    assert "张伟" not in caught.value.message


def test_parameter_numbers_are_positions_in_the_order_of_type_and_code() -> None:
    known = definitions()
    keys = [(n, c) for n in known.types for c in known.search_parameters(n)]
    numbers = {known.search_parameters(n)[c].number for n, c in keys}
    assert numbers == set(range(1, len(keys) + 1))
    ordered = sorted(f"{n}.{c}" for n, c in keys)
    assert ordered[known.search_parameters("Observation")["code"].number - 1] == "Observation.code"
    assert known.parameter_by_number(known.search_parameters("Patient")["name"].number).code == "name"


# numbers stand in the rows of every store: a change here is a data migration
@pytest.mark.parametrize(
    ("type_", "code", "number"),
    [("Account", "_content", 1), ("Observation", "code", 2069), ("Patient", "deceased", 2236)],
)
def test_parameter_numbers_never_change(type_: str, code: str, number: int) -> None:
    assert definitions().search_parameters(type_)[code].number == number


def test_every_parameter_has_paths_unless_the_store_answers_it() -> None:
    known = definitions()
    special = {p.code for n in known.types for p in known.search_parameters(n).values() if p.special}
    assert special == {"_id", "_lastUpdated", "_text", "_content", "_query", "_filter", "near"}


def test_every_component_of_a_composite_has_paths_at_every_place() -> None:
    known = definitions()
    composites = [p for n in known.types for p in known.search_parameters(n).values() if p.type == "composite"]
    assert len(composites) > 60
    for parameter in composites:
        for component in parameter.components:
            assert len(component.paths) == len(parameter.paths)
            assert any(component.paths), parameter.code


def test_there_are_five_compartments() -> None:
    known = definitions()
    assert known.compartments == ("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson")
    assert known.patient_compartment("Observation") == ("subject", "performer")
    assert known.compartment("Encounter", "Observation") == ("encounter",)
    assert known.patient_compartment("Organization") == ()
    for compartment in known.compartments:
        for name in known.types:
            assert set(known.compartment(compartment, name)) <= set(known.search_parameters(name)) | {"{def}"}


def test_elements_know_their_types_targets_and_bindings() -> None:
    known = definitions()
    observation = known.type("Observation")
    value = observation.elements["value"]
    assert list(value.keys())[:2] == ["valueQuantity", "valueCodeableConcept"]
    assert observation.elements["subject"].types[0].targets == ("Device", "Group", "Location", "Patient")
    gender = known.type("Patient").elements["gender"].binding
    assert gender is not None
    assert known.codes(gender.value_set) == {
        "http://hl7.org/fhir/administrative-gender": ("female", "male", "other", "unknown")
    }
    assert known.type("Questionnaire.item").elements["item"].types[0].code == "Questionnaire.item"
    assert [rule.key for rule in known.type("Patient.contact").invariants] == ["pat-1"]
    assert "comparator" not in known.type("SimpleQuantity").elements
    assert known.operations["Resource-validate"].levels == ("type", "instance")


def test_missing_damaged_and_foreign_files_say_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "r4.bin"
    for content in (None, b"", b"\x28\xb5\x2f\xfd", b"text"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(Unavailable, match=r"healthbrain\.fhir\.compile"):
            load(path)
    write(path, {"format": 0})
    with pytest.raises(Unavailable, match="another version"):
        load(path)


def test_a_package_with_another_digest_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "hl7.fhir.r4.core.tgz"
    package.write_bytes(b"something else")
    assert main(["--package", str(package), "--out", str(tmp_path / "r4.bin")]) == 1
    assert "SHA-256" in capsys.readouterr().err
    assert main(["--wheel", str(package)]) == 1
    assert main(["--package", str(tmp_path / "absent")]) == 1
    assert not (tmp_path / "r4.bin").exists()


def test_loading_takes_less_than_a_third_of_a_second() -> None:
    script = (
        "import time; from healthbrain.fhir import definitions; "
        "start = time.process_time(); definitions(); print(time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.3
