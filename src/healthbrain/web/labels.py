"""Words for codes: roles, purposes, states, doors, kinds of things. English here, Chinese in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from healthbrain.web.language import N_

ROLES: Mapping[str, str] = {
    "leader": N_("District leader"),
    "cdc": N_("Disease control"),
    "manager": N_("Hospital manager"),
    "doctor": N_("Family doctor"),
    "resident": N_("Resident"),
    "administrator": N_("Administrator"),
    "system": N_("System"),
}
PURPOSES: Mapping[str, str] = {
    "TREAT": N_("Care of the patient"),
    "ETREAT": N_("Emergency"),
    "PUBHLTH": N_("Public health"),
    "HOPERAT": N_("Operation of the service"),
    "PATRQT": N_("At the person's own request"),
    "SYSADMIN": N_("Running the platform"),
}
# state -> (label, look)
STATES: Mapping[str, tuple[str, str]] = {
    "accepted": (N_("Accepted"), "ok"),
    "partly": (N_("Partly accepted"), "warn"),
    "refused": (N_("Refused"), "bad"),
    "duplicate": (N_("Duplicate"), "info"),
    "failed": (N_("Failed on our side"), "bad"),
    "held": (N_("Held"), "warn"),
    "received": (N_("In work"), "info"),
}
STATE_ICONS: Mapping[str, str] = {
    "accepted": "check",
    "partly": "alert",
    "refused": "cross",
    "duplicate": "info",
    "failed": "alert",
    "held": "clock",
    "received": "clock",
}
DOORS: Mapping[str, str] = {
    "fhir": N_("FHIR interface"),
    "ndjson": N_("NDJSON file"),
    "hl7v2": N_("HL7 v2 message"),
}
KINDS: Mapping[str, str] = {
    "municipality": N_("Municipality"),
    "district": N_("District"),
    "institution": N_("Institution"),
    "team": N_("Team"),
    "quarantine": N_("Unknown sender"),
}
ACTIONS: Mapping[str, str] = {
    "C": N_("Created"),
    "R": N_("Viewed"),
    "U": N_("Changed"),
    "D": N_("Deleted"),
    "E": N_("Done"),
}
# what was done, as the audit log's `interaction` names it; those of the FHIR interface have words for the common ones
INTERACTIONS: Mapping[str, str] = {
    "page": N_("health record opened"),
    "record": N_("single record opened"),
    "persons": N_("list behind a figure"),
    "panel": N_("own residents listed"),
    "search": N_("resident searched"),
    "emergency": N_("emergency access"),
    "purpose": N_("purpose declared"),
    "wall": N_("wall view"),
    "hubs": N_("hubs page"),
    "raw": N_("message opened"),
    "raw-file": N_("message downloaded"),
    "replay": N_("message replayed"),
    "verify": N_("source verified"),
    "block": N_("source blocked"),
    "unblock": N_("block lifted"),
    "supervision": N_("supervision task"),
    "notice": N_("notice issued"),
    "duty": N_("responsible unit set"),
    "entry": N_("indicator value entered"),
    "report": N_("evaluation report"),
    "statutory": N_("statutory report"),
    "audit-search": N_("audit log searched"),
    "password": N_("password changed"),
    "sign-in": N_("signed in"),
    "sign-out": N_("signed out"),
    "session-end": N_("session ended"),
    "read": N_("read over the interface"),
    "search-type": N_("searched over the interface"),
    "create": N_("data sent in"),
    "update": N_("data sent in"),
    "delete": N_("data deleted"),
    "patch": N_("data changed"),
    "transaction": N_("data sent in"),
    "batch": N_("data sent in"),
    "operation": N_("operation over the interface"),
}
SEX: Mapping[str, str] = {"male": N_("Male"), "female": N_("Female"), "other": N_("Other"), "unknown": N_("Unknown")}
THEMES: Mapping[str, str] = {
    "light": N_("Standard view"),
    "dark": N_("Dark view"),
    "elder": N_("Large-type view"),
}
TYPES: Mapping[str, str] = {
    "AllergyIntolerance": N_("Allergy record"),
    "Condition": N_("Diagnosis"),
    "DiagnosticReport": N_("Report"),
    "Encounter": N_("Visit"),
    "EpisodeOfCare": N_("Enrolment"),
    "Immunization": N_("Vaccination"),
    "MedicationRequest": N_("Prescription"),
    "Observation": N_("Observation"),
    "Organization": N_("Institution"),
    "Patient": N_("Patient record"),
    "Practitioner": N_("Practitioner"),
    "Procedure": N_("Procedure"),
    "ServiceRequest": N_("Order"),
}
# traffic light of a plan's indicator -> (word, look of the badge, sign)
LIGHTS: Mapping[str, tuple[str, str, str]] = {
    "off_track": (N_("Off track"), "bad", "alert"),
    "at_risk": (N_("At risk"), "warn", "clock"),
    "on_track": (N_("On track"), "ok", "up"),
    "met": (N_("Met"), "ok", "check"),
    "no_data": (N_("No data"), "", "info"),
    "not_measurable": (N_("Cannot be judged"), "", "info"),
}
# state of a supervision task -> (word, look, sign)
TASK_STATES: Mapping[str, tuple[str, str, str]] = {
    "queued": (N_("Not sent yet"), "info", "clock"),
    "open": (N_("To be signed for"), "warn", "inbox"),
    "accepted": (N_("In hand"), "info", "clock"),
    "answered": (N_("To be reviewed"), "warn", "eye"),
    "returned": (N_("Sent back"), "bad", "back"),
    "closed": (N_("Closed"), "ok", "check"),
    "withdrawn": (N_("Withdrawn"), "", "cross"),
}
