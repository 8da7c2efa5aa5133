"""The indicator workbench (指标工作台): measures composed by form, previewed, tested, reviewed, published.

text_of_form(form, version)     the definition as YAML, or what is wrong at which field
steps(lake, definition, at)     counts by step and period
run_cases(...)                  examples with their expected outcome
drafts                          from draft to published
"""

from healthbrain.measure.workbench import drafts
from healthbrain.measure.workbench.conditions import OPERATORS, Condition, Fact
from healthbrain.measure.workbench.form import KINDS, PERS, STRATA, Below, Form, form_of
from healthbrain.measure.workbench.preview import (
    SAMPLE,
    Case,
    Outcome,
    Step,
    case_resources,
    run_cases,
    sample,
    steps,
)
from healthbrain.measure.workbench.tables import bases, tables
from healthbrain.measure.workbench.text import definition_from, text_of_form

__all__ = [
    "KINDS",
    "OPERATORS",
    "PERS",
    "SAMPLE",
    "STRATA",
    "Below",
    "Case",
    "Condition",
    "Fact",
    "Form",
    "Outcome",
    "Step",
    "bases",
    "case_resources",
    "definition_from",
    "drafts",
    "form_of",
    "run_cases",
    "sample",
    "steps",
    "tables",
    "text_of_form",
]
