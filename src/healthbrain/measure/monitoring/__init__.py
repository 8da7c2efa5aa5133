"""Plan monitoring (监测评估, OPS-57): where each indicator of a plan stands, where it is heading, who answers for it.

Public: `status` (a plan on a day), `standing` (one indicator, pure), `judge` and `forecast` (the rules), `duties` and `put_duty`.
"""

from healthbrain.measure.monitoring.duties import Duty, duties, put_duty
from healthbrain.measure.monitoring.forecast import LEVEL, Forecast, NoForecast, forecast
from healthbrain.measure.monitoring.judge import LIGHTS, Judgement, Light, Start, judge
from healthbrain.measure.monitoring.standing import Standing, Status, standing, status

__all__ = [
    "LEVEL",
    "LIGHTS",
    "Duty",
    "Forecast",
    "Judgement",
    "Light",
    "NoForecast",
    "Standing",
    "Start",
    "Status",
    "duties",
    "forecast",
    "judge",
    "put_duty",
    "standing",
    "status",
]
