"""SQL on FHIR v2: flat tables over resources.

view = read_view(definition)                            every fault of a ViewDefinition, with its place
query = compile_view(view, Target())                    SQL for DuckDB over the lake's columns
compile_view(view, Target("ndjson", files=(path,)))     ... over files of NDJSON
execute(connection, view, target)                       run it, with failures in words
evaluate(view, resources)                               the same rows, resource by resource: slow, and the oracle
"""

from healthbrain.lake.sof.compile import Query, QueryColumn, Target, compile_view
from healthbrain.lake.sof.definition import Column, Select, ViewDefinition, read_view
from healthbrain.lake.sof.oracle import evaluate
from healthbrain.lake.sof.run import execute

__all__ = [
    "Column",
    "Query",
    "QueryColumn",
    "Select",
    "Target",
    "ViewDefinition",
    "compile_view",
    "evaluate",
    "execute",
    "read_view",
]
