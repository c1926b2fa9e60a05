"""The risk-share rule language: who bears how much of a facility's net loss (风险分担规则).

A rule is a rising map from cumulative net loss to what each party bears: nothing at nothing, and
together the loss. Losses and recoveries both move along it, so recoveries flow back through the
layers in reverse, and the order and the cut of events change nothing.

    party     one party bears all
    pro_rata  by weights, with caps; what a cap turns away is filled over the others in proportion
    split     quota shares, each with a rule of its own (银担 2:8, 政银担 4321, 共保体)
    layers    by cumulative loss reaching the node: first loss, mezzanine, senior
    capped    a protector up to its limit, then another rule (代偿率上限)

Two readings of one rule: `bearings` walks the tree at one loss and says which leaf bears what (for
explanations); `loss_path` bends it into exact shares for every loss (for splitting to the fen).
All is exact. It never rounds: that is `ledger.allotment`. Reading a rule is `rule_document`.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from msgspec import Struct

from ledger.errors import Conflict
from ledger.share_path import Bend, SharePath, bent


class CapsFull(Conflict):
    """A loss with nobody left to bear it: every cap is full and no `excess` was agreed."""

    code = "caps-full"


class Party(Struct, frozen=True, kw_only=True):
    """One party bears all that reaches this node."""

    party: str


class ProRata(Struct, frozen=True, kw_only=True):
    """By weights, each party up to its cap; with all caps full the rest goes to `excess`.

    by       where the weights come from: an explanation, the weights themselves stand here
    weights  (party, weight) in the document's order; not all 0; a weight of 0 never bears
    caps     (party, minor units), for some or all of the weighted parties
    """

    by: Literal["commitment", "outstanding", "weights"]
    weights: tuple[tuple[str, int], ...]
    caps: tuple[tuple[str, int], ...]
    excess: "Node | None"


class Quota(Struct, frozen=True, kw_only=True):
    """A positive exact fraction of what reaches the split, under a rule of its own."""

    fraction: Fraction
    rule: "Node"


class Split(Struct, frozen=True, kw_only=True):
    """Quota shares whose fractions sum to exactly 1."""

    parts: tuple[Quota, ...]


class Layer(Struct, frozen=True, kw_only=True):
    """The slice of cumulative loss up to a bound; the last layer has none."""

    upto_minor: int | None
    rule: "Node"


class Layers(Struct, frozen=True, kw_only=True):
    """Slices one above the other, bounds strictly increasing."""

    layers: tuple[Layer, ...]


class Capped(Struct, frozen=True, kw_only=True):
    """`rule` up to the limit, `excess` beyond it."""

    limit_minor: int
    rule: "Node"
    excess: "Node"


Node = Party | ProRata | Split | Layers | Capped


class Bearing(NamedTuple):
    """What one leaf of the rule lays on one party.

    place  JSON path of the leaf in the rule's document, as "$.rule.layers[1].rule"
    exact  minor units, not rounded
    """

    place: str
    party: str
    exact: Fraction


def exact_shares(rule: Node, net_loss_minor: int) -> dict[str, Fraction]:
    """What each party bears of a net loss, exactly; the values sum to the loss.

    net_loss_minor  0 or more
    returns         minor units; parties the rule lays nothing on may be missing

    CapsFull where the rule has nobody left for the loss.
    """
    shares: dict[str, Fraction] = {}
    for bearing in bearings(rule, net_loss_minor):
        shares[bearing.party] = shares.get(bearing.party, Fraction(0)) + bearing.exact
    return shares


def bearings(rule: Node, net_loss_minor: int) -> tuple[Bearing, ...]:
    """Every leaf that bears something of a net loss, in the rule's order, exactly.

    The same party may stand on several leaves: "20 % bank part of the guarantee, 30 % of it yours".
    CapsFull where the rule has nobody left for the loss.
    """
    found = _walk(rule, Fraction(net_loss_minor), place="$.rule")
    return tuple(bearing for bearing in found if bearing.exact)


def loss_path(rule: Node, seats: Sequence[str]) -> SharePath:
    """The exact share of every seat as a function of cumulative net loss; it may end (caps full).

    seats  every party of the rule, in the agreement's order, which is the tie rule
    """
    flow = _flow(rule, {seat: place for place, seat in enumerate(seats)})
    return bent(flow.bends, seats=len(seats), end=flow.end)


def _walk(rule: Node, amount: Fraction, *, place: str) -> Iterator[Bearing]:
    match rule:
        case Party(party=party):
            yield Bearing(place, party, amount)
        case ProRata():
            yield from _walk_pro_rata(rule, amount, place=place)
        case Split(parts=parts):
            for number, part in enumerate(parts):
                inner = f"{place}.parts[{number}].rule"
                yield from _walk(part.rule, amount * part.fraction, place=inner)
        case Layers(layers=layers):
            below = Fraction(0)
            for number, layer in enumerate(layers):
                upto = amount if layer.upto_minor is None else Fraction(layer.upto_minor)
                top = min(amount, upto)
                if top > below:
                    inner = f"{place}.layers[{number}].rule"
                    yield from _walk(layer.rule, top - below, place=inner)
                    below = top
        case Capped(limit_minor=limit, rule=protector, excess=excess):
            yield from _walk(protector, min(amount, Fraction(limit)), place=f"{place}.rule")
            if amount > limit:
                yield from _walk(excess, amount - limit, place=f"{place}.excess")


def _walk_pro_rata(rule: ProRata, amount: Fraction, *, place: str) -> Iterator[Bearing]:
    """Water rises over all weights at once; who is full stops, the others rise faster."""
    weights, caps, rest = dict(rule.weights), dict(rule.caps), amount
    while rest and (full := _full_first(weights, caps, rest)):
        for party in full:
            rest -= caps[party]
            del weights[party]
            yield Bearing(place, party, Fraction(caps[party]))
    weight = sum(weights.values())
    if weight:
        for party, own in weights.items():
            yield Bearing(place, party, rest * own / weight)
    elif rest and rule.excess is not None:
        yield from _walk(rule.excess, rest, place=f"{place}.excess")
    elif rest:
        raise CapsFull(f"every cap of {place} is full and it names no excess", place=place)


def _full_first(weights: dict[str, int], caps: dict[str, int], rest: Fraction) -> list[str]:
    """The parties whose proportional part of the rest is at least their cap."""
    weight = sum(weights.values())
    return [
        party
        for party, own in weights.items()
        if own and party in caps and rest * own >= caps[party] * weight
    ]


class _Flow(NamedTuple):
    """A node's shares of its own input, as bends; it bears nothing beyond `end` (None: ever)."""

    bends: list[Bend]
    end: Fraction | None


def _flow(rule: Node, seat_of: dict[str, int]) -> _Flow:
    match rule:
        case Party(party=party):
            return _Flow([Bend(Fraction(0), seat_of[party], Fraction(1))], None)
        case ProRata(excess=excess):
            filled = _fill(rule, seat_of)
            if excess is None or filled.end is None:
                return filled
            return _stack([(filled, filled.end), (_flow(excess, seat_of), None)])
        case Split(parts=parts):
            return _abreast((part.fraction, _flow(part.rule, seat_of)) for part in parts)
        case Layers(layers=layers):
            return _stack(
                (
                    _flow(layer.rule, seat_of),
                    None if layer.upto_minor is None else Fraction(layer.upto_minor),
                )
                for layer in layers
            )
        case Capped(limit_minor=limit, rule=protector, excess=excess):
            return _stack(
                [(_flow(protector, seat_of), Fraction(limit)), (_flow(excess, seat_of), None)]
            )


def _abreast(parts: Iterable[tuple[Fraction, _Flow]]) -> _Flow:
    """Flows side by side, each fed its fraction of the input."""
    bends: list[Bend] = []
    ends: list[Fraction] = []
    for fraction, flow in parts:
        bends += [
            Bend(bend.at / fraction, bend.seat, bend.change * fraction) for bend in flow.bends
        ]
        ends += [] if flow.end is None else [flow.end / fraction]
    return _Flow(bends, min(ends, default=None))


def _stack(slices: Iterable[tuple[_Flow, Fraction | None]]) -> _Flow:
    """Flows one above the other, each fed from where the one below stops up to its own bound."""
    bends: list[Bend] = []
    floor = Fraction(0)
    for flow, upto in slices:
        if flow.end is not None and (upto is None or floor + flow.end < upto):
            bends += [bend._replace(at=floor + bend.at) for bend in flow.bends]
            return _Flow(bends, floor + flow.end)
        kept = [bend for bend in flow.bends if upto is None or floor + bend.at < upto]
        bends += [bend._replace(at=floor + bend.at) for bend in kept]
        if upto is None:
            break
        bends += [Bend(upto, bend.seat, -bend.change) for bend in kept]
        floor = upto
    return _Flow(bends, None)


def _fill(rule: ProRata, seat_of: dict[str, int]) -> _Flow:
    """The filling of a pro rata node: at each cap reached, the others' slopes grow."""
    weights = {party: weight for party, weight in rule.weights if weight}
    full_at = {party: Fraction(cap, weights[party]) for party, cap in rule.caps if party in weights}
    bends: list[Bend] = []
    slopes = dict.fromkeys(weights, Fraction(0))
    at = level = Fraction(0)
    rising = sum(weights.values())
    for mark in sorted({Fraction(0), *full_at.values()}):
        at, level = at + (mark - level) * rising, mark
        open_still = {
            party: weight
            for party, weight in weights.items()
            if party not in full_at or full_at[party] > mark
        }
        rising = sum(open_still.values())
        for party, slope in slopes.items():
            steeper = Fraction(open_still[party], rising) if party in open_still else Fraction(0)
            if steeper != slope:
                bends.append(Bend(at, seat_of[party], steeper - slope))
                slopes[party] = steeper
    return _Flow(bends, None if rising else at)
