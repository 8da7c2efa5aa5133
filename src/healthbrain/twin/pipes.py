"""HL7 v2.5.1 messages as three of the hospitals send them: ADT A01/A03/A04/A08, ORM O01, ORU R01, DFT P03.

Conventions: PID-3 repeats MR, NI and SS; OBX-3 holds the hospital's own laboratory code (coding system L) where it has one and
LOINC otherwise; DG1-3 is ICD-10 (I10); PID-11.9 is the township's division code. A visit is registered (A04, A01) and closed with its
diagnoses. Hospitals differ: the whole name in PID-5.1 or split, an outpatient visit closed by A03 or by A08, one ORU for each panel or one
for all, MSH-18 stated or not.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from importlib import resources

from healthbrain.terms import systems, tables
from healthbrain.twin import charges, labs
from healthbrain.twin.events import Allergy, Result, Visit
from healthbrain.twin.faces import Face
from healthbrain.twin.institutions import Institution, Staff

_DECLARED = {"QPH01": "GB 18030-2000", "QPH02": "UNICODE UTF-8", "QPH05": ""}  # MSH-18
_CODECS = {"GB18030": "gb18030", "UTF-8": "utf-8"}
Part = tuple[datetime, str, str, int]  # when, kind, text with \r between segments, resources it should become


@cache
def _local_codes(name: str) -> dict[str, tuple[str, str]]:
    """LOINC -> (own code, own name) of a hospital's laboratory."""
    # the hospital's code list is data that the exchange ships; found without importing that room
    file = resources.files("healthbrain").joinpath("exchange", "maps", "local", f"{name}.csv")
    rows = csv.DictReader(file.read_text("utf-8").splitlines())
    return {row["loinc"]: (row["local_code"], row["local_name"]) for row in rows if row["loinc"]}


@cache
def _coded(institution: Institution, loinc: str, name: str) -> str:
    own = _local_codes(institution.lab_map).get(loinc)
    return f"{own[0]}^{_escape(own[1])}^L" if own else f"{loinc}^{_escape(name)}^LN"


def _escape(text: str) -> str:
    if not any(mark in text for mark in "\\|^~&"):
        return text
    for mark, letters in (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("~", "\\R\\"), ("&", "\\T\\")):
        text = text.replace(mark, letters)
    return text


def stamp(at: datetime) -> str:
    """A time as HL7 v2 writes it, without zone: the hospital's own."""
    return f"{at:%Y%m%d%H%M%S}"


def encode(institution: Institution, text: str) -> bytes:
    """The bytes that the institution's system puts on the wire."""
    return text.encode(_CODECS[institution.charset])


class Writer:
    """Writes the events of one resident at one HL7 v2 hospital."""

    __slots__ = ("face", "pid")

    def __init__(self, face: Face) -> None:
        self.face = face
        self.pid = _pid(face)

    def messages(self, event: object) -> Iterator[Part]:
        """What an event becomes, in the order of sending."""
        if isinstance(event, Visit):
            yield from self._visit(event)
        elif isinstance(event, Allergy):
            yield self._allergy(event)
        else:
            raise TypeError(type(event).__name__)

    def _visit(self, visit: Visit) -> Iterator[Part]:
        stay = visit.kind == "inpatient"
        vitals = self._observations(visit.vitals, visit.at)
        diagnoses = "".join(
            f"DG1|{order}||{code}^{tables.display(systems.ICD10, code)}^I10||{stamp(visit.at)}|{'F' if order == 1 else 'W'}\r"
            for order, code in enumerate(visit.diagnoses, 1)
        )
        open_visit = self._pv1(visit, ended=False)
        closed_visit = self._pv1(visit, ended=True)
        yield self._adt("A01" if stay else "A04", visit, visit.at, open_visit + vitals, 2 + _count(visit.vitals))
        yield from self._orders(visit)
        for order, group in enumerate(self._reports(visit)):
            yield self._oru(visit, order, group)
        procedures = "".join(
            f"PR1|{order}||{code}^{tables.display(systems.ICD9CM3, code)}^ICD9CM3||{stamp(visit.at + timedelta(days=1))}\r"
            for order, code in enumerate(visit.procedures, 1)
        )
        closing = "A08" if self.face.institution.habits.update and not stay else "A03"
        yield self._adt(closing, visit, visit.until, closed_visit + diagnoses + procedures, len(visit.diagnoses))

    def bill(self, visit: Visit) -> Iterator[Part]:
        """The DFT of a visit, where the hospital sends what it charges: one FT1 for each fee category."""
        if not (found := charges.fees(visit)):
            return
        at = visit.until + timedelta(minutes=5)
        lines = "".join(
            f"FT1|{order}|{self.face.number}{visit.number:04d}F{fee.category}||{stamp(visit.until)}|{stamp(at)}|CG"
            f"|{fee.category}^{fee.name}^FEE|||{fee.quantity}|{fee.amount}&CNY\r"
            for order, fee in enumerate(found, 1)
        )
        head = self._msh("DFT^P03", at, visit.number, "60")
        text = f"{head}EVN|P03|{stamp(at)}\r{self.pid}{self._pv1(visit, ended=True)}{lines}"
        yield at, "charge", text, len(found)

    def _adt(self, event: str, visit: Visit, at: datetime, rest: str, counted: int) -> Part:
        head = self._msh(f"ADT^{event}", at, visit.number, event[1:])
        return at, "visit", f"{head}EVN|{event}|{stamp(at)}\r{self.pid}{rest}", counted

    def _orders(self, visit: Visit) -> Iterator[Part]:
        if not visit.drugs:
            return
        at = visit.at + (visit.until - visit.at) / 2
        groups = []
        for order, code in enumerate(visit.drugs, 1):
            drug = tables.drugs()[code]
            number = f"{self.face.number}{visit.number:04d}{order}"
            groups.append(
                f"ORC|NW|{number}||||||||{stamp(at)}|||{_doctor(visit.doctor)}\r"
                f"RXO|{code}^{_escape(drug.text)}^DRUG||||{drug.form}||{'^' + _escape(drug.dose)}\r"
            )
        head = self._msh("ORM^O01", at, visit.number, "80")
        yield at, "prescription", f"{head}{self.pid}{self._pv1(visit, ended=False)}{''.join(groups)}", len(groups)

    def _reports(self, visit: Visit) -> list[tuple[tuple[str, tuple[Result, ...]], ...]]:
        if not visit.panels:
            return []
        if self.face.institution.code == "QPH01":
            return [(panel,) for panel in visit.panels]
        return [visit.panels]

    def _oru(
        self, visit: Visit, order: int, panels: tuple[tuple[str, tuple[Result, ...]], ...], status: str = "F"
    ) -> Part:
        taken = visit.at + timedelta(minutes=20)
        at = taken + timedelta(minutes=45 + 35 * order)
        parts = []
        for place, (panel, results) in enumerate(panels):
            code, name = labs.PANEL_NAMES[panel]
            filler = f"{self.face.number}{visit.number:04d}{order}{place}"
            parts.append(
                f"OBR|{place + 1}||{filler}|{_coded(self.face.institution, code, name)}|||{stamp(taken)}"
                f"|||||||||||||||{stamp(at)}||LAB|{status}\r"
            )
            parts.append(self._observations(results, taken, status))
        head = self._msh("ORU^R01", at, visit.number, f"9{order}")
        return (
            at,
            "result",
            f"{head}{self.pid}{self._pv1(visit, ended=False)}{''.join(parts)}",
            sum(1 + len(r) for _, r in panels),
        )

    def _observations(self, results: tuple[Result, ...], at: datetime, status: str = "F") -> str:
        lines = []
        for order, one in enumerate(results, 1):
            analyte = tables.analytes()[one.code]
            kind = "ST" if one.number is None else "NM"
            lines.append(
                f"OBX|{order}|{kind}|{_coded(self.face.institution, one.code, analyte.name)}||{one.text}|{_escape(analyte.shown)}|{one.range}"
                f"|{one.flag}|||{status}|||{stamp(at)}\r"
            )
        return "".join(lines)

    def _allergy(self, event: Allergy) -> Part:
        kind = {"medication": "DA", "food": "FA", "environment": "EA"}[event.category]
        head = self._msh("ADT^A08", event.at, event.number, "70")
        allergy = f"AL1|1|{kind}|{event.code}^{_escape(event.substance)}|{'SV' if event.severe else 'MI'}|{_escape(event.reaction)}\r"
        return event.at, "allergy", f"{head}EVN|A08|{stamp(event.at)}\r{self.pid}{allergy}", 1

    def _msh(self, kind: str, at: datetime, number: int, part: str) -> str:
        org = self.face.institution.code
        control = f"{self.face.number}{number:04d}{part}"
        return f"MSH|^~\\&|HIS|{org}|HUB|QP00|{stamp(at)}||{kind}|{control}|P|2.5.1||||||{_DECLARED[org]}\r"

    def _pv1(self, visit: Visit, *, ended: bool) -> str:
        kind = {"outpatient": "O", "emergency": "E", "inpatient": "I"}[visit.kind]
        doctor = _doctor(visit.doctor)
        department = visit.doctor.department
        name = tables.display(systems.DEPARTMENT, department) or ""
        end = stamp(visit.until) if ended else ""
        return (
            f"PV1|1|{kind}|{_escape(name)}^^^{visit.place}||||{doctor}|||{department}^{name}^DEPT|||||||||V{self.face.number}{visit.number:04d}"
            f"|||||||||||||||||||||||||{stamp(visit.at)}|{end}\r"
        )


def _count(vitals: tuple[Result, ...]) -> int:
    pressure = sum(1 for one in vitals if one.code in ("8480-6", "8462-4"))
    return len(vitals) - (1 if pressure == 2 else 0)


def _doctor(who: Staff) -> str:
    return f"{who.code}^{who.name.family}^{who.name.given}"


def _pid(face: Face) -> str:
    org = face.institution.code
    numbers = [f"{face.mrn}^^^{org}^MR"]
    if face.id_card:
        numbers.append(f"{face.id_card}^^^GA^NI")
    if face.insurance:
        numbers.append(f"{face.insurance}^^^YB^SS")
    whole = face.institution.habits.whole_name or not face.family
    name = _escape(face.name) if whole else f"{_escape(face.family)}^{_escape(face.given)}"
    address = f"青浦区{face.town_name}{_escape(face.line)}^^上海市^上海市^201700^CHN^H^^{face.town}"
    return f"PID|1||{'~'.join(numbers)}||{name}||{face.born:%Y%m%d}|{face.sex}|||{address}||{face.phone}|||{face.marital}\r"
