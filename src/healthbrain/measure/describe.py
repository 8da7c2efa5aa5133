"""The built-in measures in words, for docs/reference/measures.md and for whoever asks what a number means."""

from __future__ import annotations

from healthbrain.measure.definition import Definition
from healthbrain.measure.load import built_in
from healthbrain.measure.plans import plans

_HEAD = """# Measures

Written from the definitions in `src/healthbrain/measure/definitions/` by `tools/write_measures.py`; change those, not this page.

How a definition is written: docs/reference/measure-definitions.md; why so: docs/decisions/0006-measures-as-data.md. Every result carries its period, the window that was
counted, the version of the definition, the as-of time, the institutions that had delivered, a 95 % interval (Wilson) for
proportions, and a mark when fewer than 30 people stand behind it.
"""


def as_markdown() -> str:
    """The indicators of the plans, then all measures, one section each."""
    return "\n".join([_HEAD, *_plans(), *(_section(one) for one in built_in())])


def _plans() -> list[str]:
    """Every plan as a table: indicator, measure, unit, targets as printed, who answers for it, clause."""
    lines = ["## Plans", "", "Targets as printed; how they are compared: src/healthbrain/measure/plans/plan.py.", ""]
    for plan in plans():
        lines += [f"### {plan.title['zh']}", "", f"*{plan.title['en']}*; {plan.issuer['zh']}，{plan.reference}", ""]
        lines += [
            "| indicator | 指标 | measure | unit | targets | 责任 | clause |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for one in plan.indicators:
            targets = "; ".join(f"{target.year}: {target.printed['zh']}" for target in one.targets)
            cells = (one.id, one.title["zh"], one.measure, one.unit["zh"], targets, one.responsible["zh"], one.clause)
            lines.append(f"| {' | '.join(cells)} |")
        lines += [""]
        lines += [f"- {one.id}: {one.note['zh']}" for one in plan.indicators if one.note]
        lines += [""]
        for past in plan.history:
            values = "；".join(f"{one.name['zh']} {one.points[-1].printed}" for one in past.series)
            lines.append(f"- {past.id} {past.title['zh']}: {values}")
        lines += [""] if plan.history else []
    return lines


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
    if one.entry:
        bounds = (
            f"{one.entry.low:g} – {one.entry.high:g}"
            if one.entry.low is not None and one.entry.high is not None
            else ""
        )
        lines += [
            f"录入 entered by: {one.entry.supplier.get('zh', '')} · {one.entry.supplier.get('en', '')}; {bounds}",
            "",
        ]
    if one.computation:
        parts = ", ".join(f"{name} = {part.measure}" for name, part in one.computation.components.items())
        how = one.computation.value or one.computation.method
        lines += [f"由其他指标计算 computed: `{how}` with {parts}", ""]
    if one.stratifiers:
        named = [f"{stratifier.title['zh']} {stratifier.title['en']}" for stratifier in one.stratifiers]
        lines += [f"分层 strata: {', '.join(named)}", ""]
    if one.population and one.population.reasons:
        lines += ["Why somebody is not counted:", ""]
        lines += [f"- {reason.text['zh']} · {reason.text['en']}" for reason in one.population.reasons]
        lines += [""]
    return "\n".join(lines)
