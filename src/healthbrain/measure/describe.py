"""The built-in measures in words, for docs/reference/measures.md and for whoever asks what a number means."""

from __future__ import annotations

from healthbrain.measure.definition import Definition
from healthbrain.measure.load import built_in

_HEAD = """# Measures

Written from the definitions in `src/healthbrain/measure/definitions/` by `tools/write_measures.py`; change those, not this page.

How a definition is written: docs/reference/measure-definitions.md; why so: docs/decisions/0006-measures-as-data.md. Every result carries its period, the window that was
counted, the version of the definition, the as-of time, the institutions that had delivered, a 95 % interval (Wilson) for
proportions, and a mark when fewer than 30 people stand behind it.
"""


def as_markdown() -> str:
    """All measures, one section each."""
    return "\n".join([_HEAD, *(_section(one) for one in built_in())])


def _section(one: Definition) -> str:
    window = (
        f"{one.window_months} months up to the last day of the period" if one.window_months else f"the {one.period}"
    )
    facts = {
        "版本 version": one.version,
        "来源 source": f"{one.source.document}；{one.source.clause}",
        "单位 unit": f"{one.unit} ({one.kind}, better: {one.direction})",
        "期间 period": f"{one.period}, {one.periods} in the trend; counted: {window}",
        "目标 targets": ", ".join(f"{year}: {value:g}" for year, value in sorted(one.targets.items())) or "none",
        "参数 parameters": ", ".join(f"{key} = {value}" for key, value in one.values().items()) or "none",
    }
    lines = [
        f"## {one.id} {one.title['zh']}",
        "",
        f"*{one.title['en']}*",
        "",
        one.formula["zh"],
        "",
        one.formula["en"],
        "",
    ]
    lines += ["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items()), ""]
    lines += [text for language in ("zh", "en") if language in one.reading for text in (one.reading[language], "")]
    if one.stratifiers:
        named = [f"{stratifier.title['zh']} {stratifier.title['en']}" for stratifier in one.stratifiers]
        lines += [f"分层 strata: {', '.join(named)}", ""]
    if one.population and one.population.reasons:
        lines += ["Why somebody is not counted:", ""]
        lines += [f"- {reason.text['zh']} · {reason.text['en']}" for reason in one.population.reasons]
        lines += [""]
    return "\n".join(lines)
