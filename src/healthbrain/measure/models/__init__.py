"""Data models: indices over theme libraries, as versioned data; their values by month and area with components.

models(), model(id)              what they are made of, and which views they read
compute(model, folder, at)       every value, from the kept rows of the library's views
put, run, values                 where screens and services read them
"""

from healthbrain.measure.models.compute import DISTRICT, Computed, Part, Value, by_area, combined, compute, warnings
from healthbrain.measure.models.keep import Run, note_problem, put, run, values
from healthbrain.measure.models.model import Component, Model, model, model_of, models, reading

__all__ = [
    "DISTRICT",
    "Component",
    "Computed",
    "Model",
    "Part",
    "Run",
    "Value",
    "by_area",
    "combined",
    "compute",
    "model",
    "model_of",
    "models",
    "note_problem",
    "put",
    "reading",
    "run",
    "values",
    "warnings",
]
