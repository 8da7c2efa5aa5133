"""The table of indicators as every file shows it: headings and cells of one line."""

from __future__ import annotations

from healthbrain.web.language import N_, Language
from healthbrain.web.paper.content import Paper, PaperLine, light_word

HEAD = (
    N_("Number"),
    N_("Indicator"),
    N_("Unit"),
    N_("Light"),
    N_("Value"),
    N_("Period"),
    N_("Target"),
    N_("Progress"),
    N_("Forecast"),
    N_("Against a year before"),
    N_("Responsible unit"),
    N_("Definition"),
)


def head(said: Language) -> list[str]:
    """The headings."""
    return [said.say(text) for text in HEAD]


def cells(said: Language, line: PaperLine) -> list[str]:
    """One line."""
    return [
        line.id, line.title, line.unit, light_word(said, line.light), line.value, line.period,
        f"{line.target} ({line.target_year})" if line.target_year else line.target, line.progress, line.forecast,
        line.change or "—", f"{line.responsible} {line.person}".strip(), line.version or "—",
    ]  # fmt: skip


def about(said: Language, paper: Paper, digest: str) -> str:
    """Where a report comes from, in one line."""
    parts = [
        paper.reference,
        f"{said.say(N_('Data as of'))} {paper.as_of}",
        f"{said.say(N_('Made'))} {paper.made}",
        said.say(N_("edition %(number)s")) % {"number": paper.edition},
        f"SHA-256 {digest[:16]}…" if digest else said.say(N_("Draft")),
    ]
    return " · ".join(parts)
