"""How a number came about, in plain steps. It decides nothing; what it tells is in the state.

explain_interest   the nights, bases and rates behind one period, or behind all penalty interest
explain_share      the leaves of the agreed rule behind what one party bears, event by event
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction

from ledger.money import format_amount, round_half_up
from syndicate.facility.errors import NoSuch
from syndicate.facility.facts import InterestCorrected
from syndicate.facility.interest import ONE_DAY, decimal_text, nights
from syndicate.facility.loans import Bearing, Segment, base_of, posted_of
from syndicate.facility.sharing import agreement_of
from syndicate.facility.state import FacilityState
from syndicate.risk.rule import Capped, Layers, Node, ProRata, Split, bearings

NAMES: dict[Bearing, str] = {
    "interest": "interest (利息)",
    "penalty": "penalty interest (罚息)",
    "compound": "compound interest (复利)",
}
_STEP = re.compile(r"\.(?:layers|parts)\[(?P<index>[0-9]+)\]\.rule|\.rule|\.excess")


def explain_interest(
    state: FacilityState, *, draw: str, bank: str, kind: Bearing, period_ending: date | None
) -> tuple[str, ...]:
    """One step a stretch of nights with one base and one rate, then the exact sum, then its round.

    period_ending  the unadjusted due date that ends the period asked for; None for everything since
                   the draw: the only question for penalty and compound interest, which run over
                   the loan's whole life
    Raises NoSuch for a loan or a period that is not there.
    """
    loan = state.loans.get((draw, bank))
    if loan is None:
        raise NoSuch("loan", f"{draw} of {bank}")
    due_dates = state.draws[draw].due_dates if kind == "interest" else ()
    if period_ending is not None and period_ending not in due_dates:
        raise NoSuch(f"period of {kind} ending", str(period_ending))
    wanted = None if period_ending is None else due_dates.index(period_ending)
    chosen = [
        segment
        for segment in loan.segments
        if segment.kind == kind and wanted in (None, segment.period)
    ]
    steps = [f"{NAMES[kind]} of loan {loan.loan_no}, {bank}'s part of draw {draw}"]
    sums: dict[int, Fraction] = {}
    for segment in chosen:
        exact = _exact(state, segment)
        sums[segment.period] = sums.get(segment.period, Fraction(0)) + exact
        steps.append(_step(state, segment, exact))
    steps += _known_late(state, draw=draw, bank=bank, kind=kind, of=chosen)
    total_minor = sum(round_half_up(exact) for exact in sums.values())
    how = "each period rounded half up once" if len(sums) > 1 else "rounded half up once"
    steps.append(f"together {_amount(state, total_minor)}, {how}")
    return tuple(steps)


def _known_late(
    state: FacilityState, *, draw: str, bank: str, kind: Bearing, of: Sequence[Segment]
) -> Iterator[str]:
    """One step a payment known late: the nights it changed, and what was posted for them then.

    of  the stretches told: nights outside of them are another period's
    """
    if not of and kind == "interest":
        return
    by_payment: dict[str, list[InterestCorrected]] = {}
    for fact in state.corrections:
        told = kind != "interest" or any(s.since < fact.day <= s.until for s in of)
        if (fact.draw, fact.bank) == (draw, bank) and told:
            by_payment.setdefault(fact.payment, []).append(fact)
    for payment, facts in by_payment.items():
        changed = [
            fact for fact in facts if base_of(fact.before, kind) != base_of(fact.bases, kind)
        ]
        posted_minor = sum(posted_of(fact, kind) for fact in facts)
        if changed or posted_minor:
            since, until = facts[0].day - ONE_DAY, facts[-1].day
            yield (
                f"{since} to {until}: {len(changed)} nights on another base, as above, since "
                f"payment {payment} was known late: {_amount(state, posted_minor)} posted then"
            )


def explain_share(state: FacilityState, *, party: str) -> tuple[str, ...]:
    """Each event's part, then every leaf of the rule that lays something on the party, then all.

    The party's total is the exact sum rounded down or up to the fen; where the odd fen went to it,
    the last step says so.
    """
    steps = [
        f"loss {name} of {_amount(state, loss.amount_minor)}: {party} bears "
        f"{_amount(state, loss.parts.get(party, 0))}"
        for name, loss in state.losses.items()
    ]
    steps += [
        f"recovery {payment} of {_amount(state, sum(shares.values()))}: {party} gets back "
        f"{_amount(state, shares.get(party, 0))}"
        for payment, shares in state.recoveries.items()
    ]
    borne_minor = state.borne.get(party, 0)
    steps.append(
        f"net loss of the facility {_amount(state, state.net_loss_minor)}, {party} bears "
        f"{_amount(state, borne_minor)}"
    )
    if state.terms.risk_share is None:
        return (*steps, "no rule is agreed: own loan, own loss (风险自担)")
    rule, exact = agreement_of(state).rule, Fraction(0)
    for leaf in bearings(rule, state.net_loss_minor):
        if leaf.party == party:
            exact += leaf.exact
            steps.append(f"{_path(state, rule, leaf.place)}: {_exact_amount(state, leaf.exact)}")
    odd = "one odd fen more" if borne_minor > exact else "the odd part of a fen went to others"
    how = "a whole number of fen" if borne_minor == exact else odd
    return (*steps, f"exactly {_exact_amount(state, exact)}, {how}: {_amount(state, borne_minor)}")


def _path(state: FacilityState, rule: Node, place: str) -> str:
    """The way from the root of the rule to a leaf, in words; `place` is the leaf's JSON path."""
    words, node = [], rule
    for step in _STEP.finditer(place.removeprefix("$.rule")):
        index = int(step["index"] or 0)
        match node:
            case Layers(layers=layers):
                node = layers[index].rule
                words.append(f"layer {index + 1} of {len(layers)}")
            case Split(parts=parts):
                node = parts[index].rule
                words.append(f"quota {parts[index].fraction}")
            case Capped(limit_minor=limit_minor):
                inside = step[0] == ".rule"
                node = node.rule if inside else node.excess
                words.append(f"{'up to' if inside else 'beyond'} {_amount(state, limit_minor)}")
            case ProRata(excess=excess) if excess is not None:
                node = excess
                words.append("beyond every cap")
    if isinstance(node, ProRata):
        words.append(f"pro rata by {node.by}")
    return ", ".join(words) or "all of it"


def _exact_amount(state: FacilityState, exact: Fraction) -> str:
    """An exact amount with four decimals beyond the minor unit, those that are 0 left out."""
    ten_thousandths = round_half_up(exact * 10_000)
    whole, part = divmod(ten_thousandths, 10_000)
    text, decimals = _amount(state, whole), f"{part:04d}".rstrip("0")
    return f"{text}{'.' if decimals and '.' not in text else ''}{decimals}"


def _step(state: FacilityState, segment: Segment, exact: Fraction) -> str:
    basis = state.terms.rate.day_count.removeprefix("ACT/").removesuffix("F")
    days = (segment.until - segment.since).days
    percent = decimal_text(Fraction(segment.rate) * 100).rstrip("0").rstrip(".")
    return (
        f"{segment.since} to {segment.until}: {days} nights on "
        f"{_amount(state, segment.base_minor)} at {percent} %, / {basis} = "
        f"{_amount(state, round_half_up(exact))}"
    )


def _exact(state: FacilityState, segment: Segment) -> Fraction:
    return nights(
        segment.base_minor,
        rate=segment.rate,
        since=segment.since,
        until=segment.until,
        day_count=state.terms.rate.day_count,
    )


def _amount(state: FacilityState, amount_minor: int) -> str:
    return format_amount(amount_minor, currency=state.terms.currency)
