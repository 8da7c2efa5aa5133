"""Statutory report forms (法定报表) filled from published figures: no number is typed, each cell says what it was counted from.

forms, form_named         the forms as data
fill                      one form for one place and period: cells and cross-checks
kept                      editions as they are kept: draft, submitted, passed, returned, approved
"""

from healthbrain.measure.statutory import kept
from healthbrain.measure.statutory.checks import failed, numbers_of
from healthbrain.measure.statutory.fill import Place, fill
from healthbrain.measure.statutory.form import Form, Row, Section, form_named, forms, forms_of

__all__ = ["Form", "Place", "Row", "Section", "failed", "fill", "form_named", "forms", "forms_of", "kept", "numbers_of"]
