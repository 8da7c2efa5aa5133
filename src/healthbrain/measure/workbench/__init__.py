"""The indicator workbench (指标工作台): measures composed by form, previewed, tested, reviewed, published.

text_of_form(form, version)     the definition as YAML, or what is wrong at which field
steps(lake, definition, at)     counts by step and period
run_cases(...)                  examples with their expected outcome
drafts                          from draft to published
"""

from healthbrain.measure.workbench import drafts
from healthbrain.measure.workbench.form import (
    BASES,
    KINDS,
    OPERATORS,
    STRATA,
    Condition,
    Fact,
    Form,
    definition_from,
    form_of,
    tables,
    text_of_form,
)
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

__all__ = [
    "BASES",
    "KINDS",
    "OPERATORS",
    "SAMPLE",
    "STRATA",
    "Case",
    "Condition",
    "Fact",
    "Form",
    "Outcome",
    "Step",
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
