"""FHIR transaction bundles as the institutions send them: text templates filled in, because speed matters here.

Conventions are those of terms/systems.py and docs/reference/clinical-data.md. Every entry is a PUT with an id that the institution
gives itself, so sending the same thing twice changes nothing. Values from people are escaped by `_text`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from json.encoder import encode_basestring

from healthbrain.terms import systems, tables
from healthbrain.twin import charges, foodborne, labs
from healthbrain.twin.events import Allergy, Care, Enrolment, Exam, FollowUp, Known, Note, Referral, Result, Shot, Visit
from healthbrain.twin.faces import Face
from healthbrain.twin.institutions import Staff

_text = encode_basestring  # a JSON string with its quotation marks, Chinese left as it is
Entry = tuple[str, str, str]  # type, id, JSON

_V2_TYPES = {"MR": "病案号", "NI": "居民身份证", "SS": "医保个人编号", "PPN": "护照"}


def moment(at: datetime) -> str:
    """A local time as FHIR writes it."""
    return f"{at.isoformat()}+08:00"


def bundle(entries: Iterable[Entry], at: datetime) -> bytes:
    """A transaction, put together at a time, that puts the entries."""
    parts = [
        f'{{"fullUrl":"urn:healthbrain:twin:{kind}/{ident}","resource":{body},"request":{{"method":"PUT","url":"{kind}/{ident}"}}}}'
        for kind, ident, body in entries
    ]
    return f'{{"resourceType":"Bundle","type":"transaction","timestamp":"{moment(at)}","entry":[{",".join(parts)}]}}'.encode()


@cache
def coding(system: str, code: str) -> str:
    """A Coding with its Chinese display."""
    shown = tables.display(system, code)
    display = f',"display":{_text(shown)}' if shown else ""
    return f'{{"system":"{system}","code":{_text(code)}{display}}}'


@cache
def concept(system: str, code: str) -> str:
    """A CodeableConcept of one coding."""
    shown = tables.display(system, code)
    text = f',"text":{_text(shown)}' if shown else ""
    return f'{{"coding":[{coding(system, code)}]{text}}}'


# -- people


def patient(
    face: Face, *, doctor: Staff | None = None, household: int | None = None, died: datetime | None = None,
    registration: str = "",
) -> Entry:  # fmt: skip
    """A resident as an institution knows them."""
    org = face.institution
    identifiers = [_identifier("MR", systems.local(org.code, "mrn"), face.mrn)]
    if face.id_card:
        identifiers.append(_identifier("NI", systems.ID_CARD, face.id_card))
    if face.passport:
        identifiers.append(f'{{"type":{_V2["PPN"]},"value":"{face.passport}"}}')
    if face.insurance:
        identifiers.append(_identifier("SS", systems.INSURANCE, face.insurance))
    if face.health_record:
        identifiers.append(f'{{"system":"{systems.HEALTH_RECORD}","value":"{face.health_record}"}}')
    if household is not None:
        identifiers.append(f'{{"system":"{systems.local(org.code, "household")}","value":"H{household:08d}"}}')
    family = f',"family":{_text(face.family)}' if face.family else ""
    telecom = f',"telecom":[{{"system":"phone","value":"{face.phone}","use":"mobile"}}]' if face.phone else ""
    marital = f',"maritalStatus":{concept(systems.MARITAL, face.marital)}' if face.marital else ""
    end = f',"deceasedDateTime":"{moment(died)}"' if died else ""
    care = f',"generalPractitioner":[{{"reference":"Practitioner/{doctor.fhir_id}"}}]' if doctor else ""
    here = (
        f'"extension":[{{"url":"{systems.EXT_REGISTRATION}","valueString":"{registration}"}}],' if registration else ""
    )
    body = (
        f'{{"resourceType":"Patient","id":"{face.fhir_id}",{here}"identifier":[{",".join(identifiers)}],"active":true,'
        f'"name":[{{"text":{_text(face.name)}{family},"given":[{_text(face.given)}]}}]{telecom},'
        f'"gender":"{"male" if face.sex == "M" else "female"}","birthDate":"{face.born}"{end},"address":[{_address(face)}]'
        f'{marital}{care},"managingOrganization":{{"reference":"Organization/{org.fhir_id}"}}}}'
    )
    return "Patient", face.fhir_id, body


_V2 = {
    code: f'{{"coding":[{{"system":"{systems.IDENTIFIER_TYPE}","code":"{code}"}}],"text":"{name}"}}'
    for code, name in _V2_TYPES.items()
}


def _identifier(kind: str, system: str, value: str) -> str:
    return f'{{"type":{_V2[kind]},"system":"{system}","value":{_text(value)}}}'


def _address(face: Face) -> str:
    full = f"上海市青浦区{face.town_name}{face.line}"
    return (
        f'{{"extension":[{{"url":"{systems.EXT_DIVISION}","valueString":"{face.town}"}}],"use":"home","text":{_text(full)},'
        f'"line":[{_text(face.line)}],"city":"上海市","district":"青浦区","state":"上海市","country":"CHN"}}'
    )


def relative(face: Face, mother: Face, role: str) -> Entry:
    """A RelatedPerson: `mother` is MTH, FTH or SPS of the resident of `face`."""
    ident = f"{face.fhir_id}-{role.lower()}"
    card = f'"identifier":[{_identifier("NI", systems.ID_CARD, mother.id_card)}],' if mother.id_card else ""
    body = (
        f'{{"resourceType":"RelatedPerson","id":"{ident}",{card}"active":true,"patient":{{"reference":"Patient/{face.fhir_id}"}},'
        f'"relationship":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-RoleCode","code":"{role}"}}]}}],'
        f'"name":[{{"text":{_text(mother.name)}}}],"gender":"{"male" if mother.sex == "M" else "female"}","birthDate":"{mother.born}"}}'
    )
    return "RelatedPerson", ident, body


# -- what happens to them


@cache
def _result_head(code: str) -> str:
    analyte = tables.analytes()[code]
    return (
        f'"category":[{{"coding":[{{"system":"{systems.OBSERVATION_CATEGORY}","code":"{analyte.category}"}}]}}],'
        f'"code":{{"coding":[{{"system":"{systems.LOINC}","code":"{code}","display":{_text(analyte.english)}}}],"text":{_text(analyte.name)}}}'
    )


@cache
def _unit(code: str) -> str:
    analyte = tables.analytes()[code]
    shown = f'"unit":{_text(analyte.shown)},' if analyte.shown else ""
    return f'{shown}"system":"{systems.UCUM}","code":"{analyte.unit}"' if analyte.unit else ""


_FLAGS = {
    flag: f',"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"{flag}"}}]}}]'
    for flag in "NHLA"
}


@cache
def _range(code: str, shown: str) -> str:
    if not shown:
        return ""
    unit = _unit(code)
    if shown[0] in "<>":
        part = "high" if shown[0] == "<" else "low"
        return f',"referenceRange":[{{"{part}":{{"value":{shown[1:]},{unit}}},"text":{_text(shown)}}}]'
    low, _, high = shown.partition("-")
    if not unit:
        return f',"referenceRange":[{{"text":{_text(shown)}}}]'
    return (
        f',"referenceRange":[{{"low":{{"value":{low},{unit}}},"high":{{"value":{high},{unit}}},"text":{_text(shown)}}}]'
    )


class Writer:
    """Writes the events of one resident at one FHIR institution."""

    __slots__ = ("face", "org", "subject")

    def __init__(self, face: Face) -> None:
        self.face = face
        self.org = face.institution.fhir_id
        self.subject = f'{{"reference":"Patient/{face.fhir_id}"}}'

    def entries(self, event: object) -> list[Entry]:
        """What an event becomes."""
        match event:
            case Visit():
                return self._visit(event)
            case FollowUp():
                return self._follow_up(event)
            case Exam():
                return self._exam(event)
            case Shot():
                return self._shot(event)
            case Enrolment():
                return self._enrolment(event)
            case Allergy():
                return self._allergy(event)
            case Known():
                ident = self._id("k", event.number)
                return [self._condition(event.diagnosis, ident, event.at, since=str(event.since), stage=event.stage)]
            case Care():
                return self._care(event)
            case Referral():
                return self._referral(event)
        raise TypeError(type(event).__name__)

    def _visit(self, visit: Visit) -> list[Entry]:
        ident = self._id("e", visit.number)
        kind = _KINDS[visit.kind]
        made = [
            self._encounter(
                ident, kind, visit.kind, visit.at, visit.doctor, until=visit.until, diagnosis=visit.diagnoses[0]
            )
        ]
        made += [
            self._condition(code, f"{self._id('c', visit.number)}.{order}", visit.at, encounter=ident)
            for order, code in enumerate(visit.diagnoses)
        ]
        made += self._results(visit.vitals, self._id("v", visit.number), visit.at, ident)
        for order, (panel, results) in enumerate(visit.panels):
            made += self._report(panel, results, f"{self._id('r', visit.number)}.{order}", visit.at, ident)
        made += self._prescriptions(visit.drugs, visit.number, visit.at, visit.doctor, ident)
        made += [
            self._procedure(code, f"{self._id('p', visit.number)}.{order}", visit, ident)
            for order, code in enumerate(visit.procedures)
        ]
        made += [self._charge(fee, visit, ident) for fee in charges.fees(visit)]
        return made + self._food(visit, ident)

    def _charge(self, fee: charges.Fee, visit: Visit, encounter: str) -> Entry:
        """One line of the bill."""
        ident = f"{self._id('b', visit.number)}.{fee.category}"
        body = (
            f'{{"resourceType":"ChargeItem","id":"{ident}","status":"billable","code":{concept(systems.FEE, fee.category)},'
            f'"subject":{self.subject},"context":{{"reference":"Encounter/{encounter}"}},"occurrenceDateTime":"{moment(visit.until)}",'
            f'"performingOrganization":{{"reference":"Organization/{self.org}"}},"quantity":{{"value":{fee.quantity}}},'
            f'"priceOverride":{{"value":{fee.amount},"currency":"CNY"}}}}'
        )
        return "ChargeItem", ident, body

    def _food(self, visit: Visit, encounter: str) -> list[Entry]:
        """The questions of food-borne disease monitoring, where they were asked."""
        if not (found := foodborne.asked(encounter, visit.diagnoses[0])):
            return []
        food, place, pathogen = found
        eaten = (
            f'"valueCodeableConcept":{concept(systems.FINDING, food)},"component":[{{"code":{concept(systems.FINDING, "food-place")},'
            f'"valueCodeableConcept":{concept(systems.FINDING, place)}}}]'
        )
        cultured = f'"valueCodeableConcept":{concept(systems.FINDING, pathogen)}'
        ident = self._id("q", visit.number)
        return [
            self._finding("food-exposure", eaten, f"{ident}.0", visit.at, encounter),
            self._finding("food-pathogen", cultured, f"{ident}.1", visit.at, encounter),
        ]

    def _follow_up(self, visit: FollowUp) -> list[Entry]:
        ident = self._id("e", visit.number)
        made = [self._encounter(ident, visit.mode, f"{visit.disease}-followup", visit.at, visit.doctor)]
        made += self._results(visit.results, self._id("o", visit.number), visit.at, ident)
        made.append(
            self._finding(
                "followup-class",
                f'"valueCodeableConcept":{concept(systems.FINDING, visit.verdict)}',
                f"{self._id('f', visit.number)}.0",
                visit.at,
                ident,
            )
        )
        made.append(
            self._finding(
                "next-followup",
                f'"valueDateTime":"{visit.next_on}"',
                f"{self._id('f', visit.number)}.1",
                visit.at,
                ident,
            )
        )
        return made + self._prescriptions(visit.drugs, visit.number, visit.at, visit.doctor, ident)

    def _exam(self, exam: Exam) -> list[Entry]:
        ident = self._id("e", exam.number)
        made = [self._encounter(ident, "AMB", systems.ANNUAL_EXAM, exam.at, exam.doctor)]
        made += self._results(exam.vitals, self._id("v", exam.number), exam.at, ident)
        for order, (panel, results) in enumerate(exam.panels):
            made += self._report(panel, results, f"{self._id('r', exam.number)}.{order}", exam.at, ident)
        return made + self._notes(exam.notes, exam.number, exam.at, ident)

    def _care(self, care: Care) -> list[Entry]:
        ident = self._id("e", care.number)
        encounter = self._encounter(ident, care.mode, care.service, care.at, care.doctor)
        return [encounter, *self._notes(care.notes, care.number, care.at, ident)]

    def _notes(self, notes: tuple[Note, ...], number: int, at: datetime, encounter: str) -> list[Entry]:
        return [
            self._finding(note.code, _noted(note), f"{self._id('f', number)}.{order}", at, encounter)
            for order, note in enumerate(notes)
        ]

    def _referral(self, event: Referral) -> list[Entry]:
        ident = self._id("g", event.number)
        mine, other = f"Organization/{self.org}", f"Organization/org-{event.other}"
        doctor = f"Practitioner/{event.doctor.fhir_id}"
        asks, does = (doctor, other) if event.direction == "up" else (other, mine)
        body = (
            f'{{"resourceType":"ServiceRequest","id":"{ident}","status":"completed","intent":"order","category":[{_REFERRAL}],'
            f'"code":{concept(systems.SERVICE, f"referral-{event.direction}")},"subject":{self.subject},"authoredOn":"{moment(event.at)}",'
            f'"requester":{{"reference":"{asks}"}},"performer":[{{"reference":"{does}"}}],'
            f'"reasonCode":[{concept(systems.ICD10, event.diagnosis)}]}}'
        )
        return [("ServiceRequest", ident, body)]

    def donation(self, at: datetime, order: int) -> Entry:
        """A blood donation as the blood service reports it."""
        ident = f"{self.face.fhir_id}-b{order}"
        body = (
            f'{{"resourceType":"Procedure","id":"{ident}","status":"completed","code":{concept(systems.SERVICE, systems.BLOOD_DONATION)},'
            f'"subject":{self.subject},"performedDateTime":"{moment(at)}"}}'
        )
        return "Procedure", ident, body

    def cause(self, died: datetime, code: str) -> Entry:
        """The underlying cause of a death, as coded from the certificate."""
        ident = f"{self.face.fhir_id}-cause"
        body = (
            f'{{"resourceType":"Observation","id":"{ident}","status":"final","code":{_CAUSE},"subject":{self.subject},'
            f'"effectiveDateTime":"{moment(died)}",{_noted(Note("", "icd10", code))}}}'
        )
        return "Observation", ident, body

    def case(self, code: str, found: datetime, reported: datetime, order: int) -> Entry:
        """A case of a notifiable disease as it was reported: when found, and when the card was sent."""
        ident = f"{self.face.fhir_id}-n{order}"
        value = _noted(Note("infectious-report", "icd10", code))
        return self._finding("infectious-report", f'"issued":"{moment(reported)}",{value}', ident, found, "")

    def _shot(self, shot: Shot) -> list[Entry]:
        ident = self._id("e", shot.number)
        body = (
            f'{{"resourceType":"Immunization","id":"{self._id("i", shot.number)}","status":"completed","vaccineCode":{concept(systems.VACCINE, shot.vaccine)},'
            f'"patient":{self.subject},"encounter":{{"reference":"Encounter/{ident}"}},"occurrenceDateTime":"{moment(shot.at)}","primarySource":true,'
            f'"lotNumber":"{shot.lot}","performer":[{{"actor":{{"reference":"Practitioner/{shot.doctor.fhir_id}"}}}}],'
            f'"protocolApplied":[{{"doseNumberPositiveInt":{shot.dose}}}]}}'
        )
        encounter = self._encounter(ident, "AMB", systems.VACCINATION, shot.at, shot.doctor)
        return [encounter, ("Immunization", self._id("i", shot.number), body)]

    def _enrolment(self, event: Enrolment) -> list[Entry]:
        ident = self._id("s", event.number)
        manager = f',"careManager":{{"reference":"Practitioner/{event.doctor.fhir_id}"}}'
        channel = (
            f'"extension":[{{"url":"{systems.EXT_CHANNEL}","valueCode":"{event.channel}"}}],' if event.channel else ""
        )
        body = (
            f'{{"resourceType":"EpisodeOfCare","id":"{ident}",{channel}"status":"active","type":[{concept(systems.SERVICE, event.service)}],'
            f'"patient":{self.subject},"managingOrganization":{{"reference":"Organization/{self.org}"}},"period":{{"start":"{event.since}"}}{manager}}}'
        )
        return [("EpisodeOfCare", ident, body)]

    def _allergy(self, event: Allergy) -> list[Entry]:
        ident = self._id("a", event.number)
        body = (
            f'{{"resourceType":"AllergyIntolerance","id":"{ident}","clinicalStatus":{_ACTIVE_ALLERGY},"verificationStatus":{_CONFIRMED_ALLERGY},'
            f'"category":["{event.category}"],"criticality":"{"high" if event.severe else "low"}",'
            f'"code":{{"coding":[{{"system":"urn:healthbrain:cs:allergen","code":"{event.code}","display":{_text(event.substance)}}}],"text":{_text(event.substance)}}},'
            f'"patient":{self.subject},"recordedDate":"{moment(event.at)}","recorder":{{"reference":"Practitioner/{event.doctor.fhir_id}"}},'
            f'"reaction":[{{"manifestation":[{{"text":{_text(event.reaction)}}}]}}]}}'
        )
        return [("AllergyIntolerance", ident, body)]

    # -- parts

    def _id(self, kind: str, number: int) -> str:
        return f"{self.face.fhir_id}-{kind}{number}"

    def _encounter(
        self, ident: str, kind: str, service: str, at: datetime, doctor: Staff, *, until: datetime | None = None, diagnosis: str = "",
    ) -> Entry:  # fmt: skip
        end = f',"end":"{moment(until)}"' if until else ""
        reason = f',"reasonCode":[{concept(systems.ICD10, diagnosis)}]' if diagnosis else ""
        number = f'{{"system":"{systems.local(self.face.institution.code, "visit")}","value":"{ident[len(self.face.institution.code) + 1 :]}"}}'
        body = (
            f'{{"resourceType":"Encounter","id":"{ident}","identifier":[{number}],"status":"finished","class":{_CLASSES[kind]},'
            f'"type":[{concept(systems.SERVICE, service)}],"serviceType":{concept(systems.DEPARTMENT, doctor.department)},"subject":{self.subject},'
            f'"participant":[{{"individual":{{"reference":"Practitioner/{doctor.fhir_id}","display":{_text(doctor.name.text)}}}}}],'
            f'"period":{{"start":"{moment(at)}"{end}}}{reason},"serviceProvider":{{"reference":"Organization/{self.org}"}}}}'
        )
        return "Encounter", ident, body

    def _condition(
        self, code: str, ident: str, at: datetime, *, encounter: str = "", since: str = "", stage: str = ""
    ) -> Entry:
        category = "encounter-diagnosis" if encounter else "problem-list-item"
        visit = f',"encounter":{{"reference":"Encounter/{encounter}"}}' if encounter else ""
        onset = f',"onsetDateTime":"{since}"' if since else ""
        staged = f',"stage":[{{"summary":{concept(systems.TUMOUR_STAGE, stage)}}}]' if stage else ""
        body = (
            f'{{"resourceType":"Condition","id":"{ident}","clinicalStatus":{_ACTIVE},"verificationStatus":{_CONFIRMED},'
            f'"category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"{category}"}}]}}],'
            f'"code":{concept(systems.ICD10, code)},"subject":{self.subject}{visit}{onset},"recordedDate":"{moment(at)}"{staged}}}'
        )
        return "Condition", ident, body

    def _results(self, results: tuple[Result, ...], ident: str, at: datetime, encounter: str) -> list[Entry]:
        made = []
        if len(results) > 1 and results[0].code == "8480-6":
            made.append(self._pressure(results[0], results[1], f"{ident}.bp", at, encounter))
            results = results[2:]
        elif len(results) > 2 and results[1].code == "8480-6":
            made.append(self._pressure(results[1], results[2], f"{ident}.bp", at, encounter))
            results = (results[0], *results[3:])
        made += [self._observation(one, f"{ident}.{order}", at, encounter) for order, one in enumerate(results)]
        return made

    def _observation(self, one: Result, ident: str, at: datetime, encounter: str, status: str = "final") -> Entry:
        if one.number is None:
            value = f'"valueCodeableConcept":{{"text":{_text(one.text)}}}'
        else:
            value = f'"valueQuantity":{{"value":{one.text},{_unit(one.code)}}}'
        body = (
            f'{{"resourceType":"Observation","id":"{ident}","status":"{status}",{_result_head(one.code)},"subject":{self.subject},'
            f'"encounter":{{"reference":"Encounter/{encounter}"}},"effectiveDateTime":"{moment(at)}",'
            f'"performer":[{{"reference":"Organization/{self.org}"}}],{value}{_FLAGS[one.flag]}{_range(one.code, one.range)}}}'
        )
        return "Observation", ident, body

    def _pressure(self, high: Result, low: Result, ident: str, at: datetime, encounter: str) -> Entry:
        parts = ",".join(
            f'{{{_component_code(one.code)},"valueQuantity":{{"value":{one.text},{_unit(one.code)}}}{_FLAGS[one.flag]}}}'
            for one in (high, low)
        )
        body = (
            f'{{"resourceType":"Observation","id":"{ident}","status":"final",{_result_head("85354-9")},"subject":{self.subject},'
            f'"encounter":{{"reference":"Encounter/{encounter}"}},"effectiveDateTime":"{moment(at)}",'
            f'"performer":[{{"reference":"Organization/{self.org}"}}],"component":[{parts}]}}'
        )
        return "Observation", ident, body

    def _finding(self, code: str, value: str, ident: str, at: datetime, encounter: str) -> Entry:
        visit = f'"encounter":{{"reference":"Encounter/{encounter}"}},' if encounter else ""
        body = (
            f'{{"resourceType":"Observation","id":"{ident}","status":"final","code":{concept(systems.FINDING, code)},"subject":{self.subject},'
            f'{visit}"effectiveDateTime":"{moment(at)}",{value}}}'
        )
        return "Observation", ident, body

    def _report(self, panel: str, results: tuple[Result, ...], ident: str, at: datetime, encounter: str) -> list[Entry]:
        made = [self._observation(one, f"{ident}.{order}", at, encounter) for order, one in enumerate(results)]
        if len(results) == 1:
            return made
        code, name = labs.PANEL_NAMES[panel]
        listed = ",".join(f'{{"reference":"Observation/{entry[1]}"}}' for entry in made)
        body = (
            f'{{"resourceType":"DiagnosticReport","id":"{ident}","status":"final",'
            f'"category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"LAB"}}]}}],'
            f'"code":{{"coding":[{{"system":"{systems.LOINC}","code":"{code}"}}],"text":{_text(name)}}},"subject":{self.subject},'
            f'"encounter":{{"reference":"Encounter/{encounter}"}},"effectiveDateTime":"{moment(at)}","issued":"{moment(at)}",'
            f'"performer":[{{"reference":"Organization/{self.org}"}}],"result":[{listed}]}}'
        )
        return [*made, ("DiagnosticReport", ident, body)]

    def _prescriptions(
        self, drugs: tuple[str, ...], number: int, at: datetime, doctor: Staff, encounter: str
    ) -> list[Entry]:
        made = []
        for order, code in enumerate(drugs):
            ident = f"{self._id('m', number)}.{order}"
            body = (
                f'{{"resourceType":"MedicationRequest","id":"{ident}","status":"completed","intent":"order",{_drug(code)},"subject":{self.subject},'
                f'"encounter":{{"reference":"Encounter/{encounter}"}},"authoredOn":"{moment(at)}",'
                f'"requester":{{"reference":"Practitioner/{doctor.fhir_id}"}},{_dosage(code)}}}'
            )
            made.append(("MedicationRequest", ident, body))
        return made

    def _procedure(self, code: str, ident: str, visit: Visit, encounter: str) -> Entry:
        body = (
            f'{{"resourceType":"Procedure","id":"{ident}","status":"completed","code":{concept(systems.ICD9CM3, code)},"subject":{self.subject},'
            f'"encounter":{{"reference":"Encounter/{encounter}"}},"performedDateTime":"{moment(visit.at)}"}}'
        )
        return "Procedure", ident, body


@cache
def _component_code(code: str) -> str:
    analyte = tables.analytes()[code]
    return f'"code":{{"coding":[{{"system":"{systems.LOINC}","code":"{code}","display":{_text(analyte.english)}}}],"text":{_text(analyte.name)}}}'


@cache
def _drug(code: str) -> str:
    drug = tables.drugs()[code]
    return (
        f'"medicationCodeableConcept":{{"coding":[{{"system":"{systems.DRUG}","code":"{code}","display":{_text(drug.name)}}}],'
        f'"text":{_text(drug.text)}}}'
    )


@cache
def _dosage(code: str) -> str:
    drug = tables.drugs()[code]
    return f'"dosageInstruction":[{{"text":{_text(drug.dose)},"route":{{"text":{_text(drug.route)}}}}}]'


_UNITS = {"weeks": ("wk", "周"), "percent": ("%", "%"), "points": ("{score}", "分"), "births": ("{birth}", "例")}
_CODED = {"finding": systems.FINDING, "icd10": systems.ICD10}


def _noted(note: Note) -> str:
    """The value of a note as an Observation has it."""
    if note.kind in _CODED:
        return f'"valueCodeableConcept":{concept(_CODED[note.kind], note.value)}'
    unit, shown = _UNITS[note.kind]
    return f'"valueQuantity":{{"value":{note.value},"unit":"{shown}","system":"{systems.UCUM}","code":"{unit}"}}'


def _status(system: str, code: str) -> str:
    return f'{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/{system}","code":"{code}"}}]}}'


_ACTIVE = _status("condition-clinical", "active")
_CONFIRMED = _status("condition-ver-status", "confirmed")
_ACTIVE_ALLERGY = _status("allergyintolerance-clinical", "active")
_CONFIRMED_ALLERGY = _status("allergyintolerance-verification", "confirmed")
_CAUSE = f'{{"coding":[{{"system":"{systems.LOINC}","code":"69453-9","display":"Cause of death"}}],"text":"根本死因"}}'
_REFERRAL = (
    '{"coding":[{"system":"http://snomed.info/sct","code":"3457005","display":"Patient referral"}],"text":"转诊"}'
)
_KINDS = {"outpatient": "AMB", "emergency": "EMER", "inpatient": "IMP", "internet-outpatient": "VR"}
_CLASSES = {
    code: f'{{"system":"{systems.ACT_CODE}","code":"{code}","display":"{name}"}}'
    for code, name in (
        ("AMB", "ambulatory"),
        ("EMER", "emergency"),
        ("IMP", "inpatient encounter"),
        ("HH", "home health"),
        ("VR", "virtual"),
    )
}
