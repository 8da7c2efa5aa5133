"""What the tables, columns and choices of the workbench are called."""

from __future__ import annotations

from collections.abc import Mapping

from healthbrain.lake import library
from healthbrain.measure.catalogue_views import column_of, offered, table_of
from healthbrain.web.language import N_, Language
from healthbrain.web.pages import figures

BASES: Mapping[str, str] = {
    "home": N_("Residents"), "contact": N_("Encounters and services"), "managed": N_("Enrolments in programmes"),
    "diagnosis": N_("Diagnoses of visits"), "problem": N_("Lasting problems"), "vaccination": N_("Vaccinations"),
    "referral": N_("Referrals"), "delivery": N_("Births"), "case_report": N_("Reports of notifiable diseases"),
    "finding": N_("Findings of services"), "donation": N_("Blood donations"),
}  # fmt: skip
KINDS: Mapping[str, str] = {
    "proportion": N_("Share (numerator of denominator)"), "ratio": N_("Ratio (with a denominator of its own)"), "count": N_("Count"), "mean": N_("Mean"), "median": N_("Median"),
    "sum": N_("Sum"),
}  # fmt: skip
DIRECTIONS: Mapping[str, str] = {"up": N_("more is better"), "down": N_("less is better"), "none": N_("neither")}
PERIODS: Mapping[str, str] = {"month": N_("Month"), "quarter": N_("Quarter"), "year": N_("Year")}
STRATA: Mapping[str, str] = {"sex": N_("Sex"), "age_group": N_("Age group")}
OPERATORS: Mapping[str, str] = {
    "is": N_("is one of"), "is_not": N_("is none of"), "starts": N_("begins with"), "at_least": N_("at least"),
    "at_most": N_("at most"), "given": N_("is given"), "missing": N_("is missing"), "in_period": N_("lies in the window"),
    "by_end": N_("by the end of the window"), "after_end": N_("after the end of the window"),
}  # fmt: skip
OUTCOMES: Mapping[str, str] = {
    "numerator": N_("in the numerator"), "denominator": N_("in the denominator only"), "outside": N_("not counted"),
}  # fmt: skip
STATES: Mapping[str, tuple[str, str]] = {
    "draft": (N_("Draft"), "info"), "review": (N_("In review"), "warn"), "returned": (N_("Sent back"), "bad"),
    "published": (N_("Published"), "ok"), "retired": (N_("Retired"), ""),
}  # fmt: skip
ACTIONS: Mapping[str, str] = {
    "begun": N_("begun"), "imported": N_("imported"), "revised": N_("new version opened"), "changed": N_("changed"),
    "submitted": N_("sent to review"), "returned": N_("sent back"), "published": N_("published"), "retired": N_("retired"),
    "resumed": N_("counted again"), "discarded": N_("thrown away"), "restored": N_("taken back"),
}  # fmt: skip
COLUMNS: Mapping[str, str] = {
    "sex": N_("Sex"), "birth": N_("Date of birth"), "age": N_("Age at the end of the window"), "town": N_("Town of residence"),
    "gone": N_("Day of death"), "died": N_("Day of death as recorded"), "dead": N_("Marked as dead"),
    "division": N_("Division code"), "registered": N_("Place of registration"), "institution": N_("Institution"),
    "class": N_("Class of encounter"), "service": N_("Kind of service"), "start": N_("Begin"), "end": N_("End"),
    "status": N_("Status"), "provider": N_("Provider"), "provided_by": N_("Provided by"), "facility_class": N_("Class of facility"),
    "manager": N_("Managing institution"), "managed_by": N_("Managed by"), "doctor": N_("Doctor"), "channel": N_("Channel"),
    "icd10": N_("ICD-10 code"), "since": N_("Since"), "recorded": N_("Recorded on"), "stage": N_("Stage"),
    "vaccine": N_("Vaccine"), "given": N_("Given on"), "direction": N_("Direction of referral"), "at": N_("Day"),
    "weeks": N_("Weeks of pregnancy"), "found_on": N_("Found on"), "code": N_("Code of the finding"), "value": N_("Value"),
    "number": N_("Measured number"), "fact_1": N_("Number of fact 1"), "fact_2": N_("Number of fact 2"),
}  # fmt: skip


def column(said: Language, name: str, base: str = "") -> str:
    """A column in words; of a view of the catalogue as the catalogue calls it."""
    view = offered().get(base)
    if view is not None:
        for one in view.columns:
            if column_of(one.name) == name:
                return figures.words(said, one.title)
    return said.say(COLUMNS.get(name, name))


def libraries(said: Language) -> list[tuple[str, list[tuple[str, str]]]]:
    """The views that can be counted in, under the name of their library."""
    return [
        (
            figures.words(said, one.title),
            [(table_of(view), figures.words(said, view.title)) for view in one.views if view.derived is None],
        )
        for one in library.libraries()
        if any(view.derived is None for view in one.views)
    ]
