"""Plans: which indicators a government has promised to reach when (catalog section 11), as printed and as compared.

Public: `plans` (all that come with the platform), `plan` (one of them), and what they are made of.
"""

from healthbrain.measure.plans.load import plan, plan_of, plans
from healthbrain.measure.plans.plan import Baseline, History, Indicator, Operator, Plan, Series, Target

__all__ = [
    "Baseline",
    "History",
    "Indicator",
    "Operator",
    "Plan",
    "Series",
    "Target",
    "plan",
    "plan_of",
    "plans",
]
