"""Which rules stand on a day and what they find on given facts. It decides nothing: callers do.

In the service `findings` takes the pack and its typed facts; the command line's `check` and `show`
take text and answer with documents. A rule not in force on the day is left out.
"""

from datetime import date
from typing import Any, TypeVar

from syndicate.reference.dates import parse_date
from syndicate.rules.facts import read_facts
from syndicate.rules.finding import Finding, outcome_of
from syndicate.rules.pack import Pack, Rule
from syndicate.rules.packs import pack_named

F = TypeVar("F")


def findings(pack: Pack[F], on: date, facts: F) -> list[Finding]:
    """What every rule in force on the day finds, in the order of the pack.

    Raises WrongInput for facts that contradict themselves.
    """
    pack.refuse(facts, "$")
    return [_found(rule, facts) for rule in pack.rules if rule.in_force(on)]


def blocking(found: list[Finding]) -> list[Finding]:
    """The findings that stop the deal: broken rules of severity block."""
    return [finding for finding in found if finding.outcome == "fail"]


def needing_approval(found: list[Finding]) -> list[Finding]:
    """The findings that need a reason and a second approver: broken rules of severity warn."""
    return [finding for finding in found if finding.outcome == "warn"]


def check(pack: str, on: str, facts: Any) -> list[dict[str, Any]]:
    """The findings as documents, from a pack's id, a day as text and one strictly read JSON value.

    A conclusion line (RC-CLASS) has `rule` and `value` only, null where no fact was given.
    Raises WrongInput naming --pack, --on or the JSON path.
    """
    chosen = pack_named(pack)
    day = parse_date(on, place="--on")
    found = findings(chosen, day, read_facts(facts, chosen.facts))
    return [_document(finding, bare=finding.rule in chosen.bare_lines) for finding in found]


def show(pack: str) -> dict[str, Any]:
    """A pack as a document: its facts, its versions, every rule of each, and the examples."""
    chosen = pack_named(pack)
    return {
        "pack": chosen.id,
        "title": chosen.title,
        "facts": chosen.meanings,
        "values": "shares are decimals rounded half up at four places or more, amounts keep every "
        "decimal, comparisons are exact and a value at its limit is allowed unless the text says "
        "from or at",
        "versions": _versions(chosen.rules),
        "rules": [_rule_document(rule) for rule in chosen.rules],
        "examples": [
            {
                "about": example.about,
                "on": example.on.isoformat(),
                "facts": example.facts,
                "outcomes": example.outcomes,
            }
            for example in chosen.examples
        ],
    }


def _found(rule: Rule[F], facts: F) -> Finding:
    judged = rule.judge(facts)
    return Finding(
        rule=rule.id,
        outcome=outcome_of(judged.broken, rule.severity),
        value=judged.value,
        limit=rule.limit if judged.limit is None else judged.limit,
        severity=rule.severity,
        source=rule.source,
        effective_from=rule.effective_from,
    )


def _document(finding: Finding, *, bare: bool) -> dict[str, Any]:
    if bare:
        return {"rule": finding.rule, "value": finding.value}
    return {
        "rule": finding.rule,
        "outcome": finding.outcome,
        "value": finding.value,
        "limit": finding.limit,
        "severity": finding.severity,
        "source": finding.source,
        "effective_from": finding.effective_from.isoformat(),
    }


def _versions(rules: tuple[Rule[F], ...]) -> list[dict[str, Any]]:
    """The days on which the set of rules in force changed, and the set from each on."""
    firsts = sorted({rule.effective_from for rule in rules})
    return [
        {
            "effective_from": first.isoformat(),
            "rules": [rule.id for rule in rules if rule.in_force(first)],
        }
        for first in firsts
    ]


def _rule_document(rule: Rule[F]) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "text": rule.text,
        "severity": rule.severity,
        "sure": rule.sure,
        "source": rule.source,
        "effective_from": rule.effective_from.isoformat(),
        "effective_to": None if rule.effective_to is None else rule.effective_to.isoformat(),
        "inputs": list(rule.inputs),
        "limit": rule.limit,
    }
