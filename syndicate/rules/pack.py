"""What a rule pack is: dated rules over one shape of facts, with the examples that prove them.

A rule is data (id, words, source, dates, severity, limit) with one pure check. A rule that changed
is two rules of one id whose dates do not overlap; which one judges is a question of the day asked.
"""

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from syndicate.rules.finding import (
    SILENT,
    Judgement,
    Outcome,
    Severity,
    Shown,
    limit_text,
    share_text,
)

F = TypeVar("F")

Sureness = Literal["C", "K", "I"]
"""How sure the text is: confirmed by a public source, common knowledge only, or inferred."""


class Rule(Struct, Generic[F], frozen=True, kw_only=True):
    """One rule in one version.

    text           what it asks, in plain words
    source         the regulation and the article where known, ending in its mark of sureness
    effective_to   its last day in force, None while it stands
    inputs         the fields of the facts it reads
    limit          its limit as printed, where the facts do not change it
    judge          the check; reads the facts only
    """

    id: str
    text: str
    source: str
    sure: Sureness
    severity: Severity
    effective_from: date
    effective_to: date | None = None
    inputs: tuple[str, ...]
    limit: Shown = None
    judge: Callable[[F], Judgement]

    def in_force(self, on: date) -> bool:
        """Whether the rule stands on the day; its first and its last day count."""
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)


class Example(Struct, frozen=True, kw_only=True):
    """Facts and the outcomes they must give on a day: documentation that the tests run."""

    about: str
    on: date
    facts: dict[str, Any]
    outcomes: dict[str, Outcome]


class Pack(Struct, Generic[F], frozen=True, kw_only=True):
    """One regulation's rules.

    facts         the shape of the facts
    meanings      what each field of them says, by field
    refuse        raises WrongInput for facts that contradict themselves; second argument: place
    bare_lines    ids printed as rule and value alone, as they draw a conclusion and set no limit
    """

    id: str
    title: str
    facts: type[F]
    meanings: dict[str, str]
    refuse: Callable[[F, str], None]
    rules: tuple[Rule[F], ...]
    examples: tuple[Example, ...]
    bare_lines: frozenset[str] = frozenset()


def at_least(measure: Callable[[F], Fraction | None], limit: Fraction) -> Callable[[F], Judgement]:
    """A check that is broken below the limit; at the limit is allowed."""

    def judge(facts: F) -> Judgement:
        return _compared(measure(facts), limit, broken=lambda value: value < limit)

    return judge


def at_most(measure: Callable[[F], Fraction | None], limit: Fraction) -> Callable[[F], Judgement]:
    """A check that is broken above the limit; at the limit is allowed."""

    def judge(facts: F) -> Judgement:
        return _compared(measure(facts), limit, broken=lambda value: value > limit)

    return judge


def reaching(measure: Callable[[F], Fraction | None], limit: Fraction) -> Callable[[F], Judgement]:
    """A check that triggers at the limit and above."""

    def judge(facts: F) -> Judgement:
        return _compared(measure(facts), limit, broken=lambda value: value >= limit)

    return judge


def _compared(
    value: Fraction | None, limit: Fraction, *, broken: Callable[[Fraction], bool]
) -> Judgement:
    if value is None:
        return SILENT
    return Judgement(
        broken=broken(value), value=share_text(value, against=limit), limit=limit_text(limit)
    )
