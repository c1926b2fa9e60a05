"""Who bears what of a facility's losses, event by event, to the fen (风险分担计算).

An agreement (`RiskShare`) fixes seats and a rule; a `LossPosition` is what each seat has borne so
far; `bear` moves it by one loss or recovery. `answer` does so for a whole list of events. It stores
nothing and pays nobody: who pays whom meanwhile is the life of a claim.
"""

from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from ledger.allotment import carry
from ledger.errors import Conflict, Refused, WrongInput
from ledger.money import MAX_MINOR, format_amount, parse_amount, scale_of
from ledger.share_path import SharePath
from syndicate.risk.rule import CapsFull, Node, loss_path
from syndicate.risk.rule_document import Ground, amounts_of, fields_of, read_rule


class RecoveryBeyondLoss(Conflict):
    """More came back than was ever lost, net; the surplus is not a matter of loss shares."""

    code = "recovery-beyond-loss"


class LossBeyondRange(Conflict):
    """The net loss would be larger than any amount the service holds."""

    code = "loss-beyond-range"


class RiskShare(Struct, frozen=True, kw_only=True, dict=True):
    """A risk-share agreement: its seats in the order that settles ties, and its rule.

    commitments  minor units by seat; not every seat has one
    outstanding  minor units by seat at the time of default, where the document gives them
    rule         its weights by commitment or outstanding already settled
    """

    currency: str
    seats: tuple[str, ...]
    commitments: dict[str, int]
    outstanding: dict[str, int] | None
    rule: Node

    @cached_property
    def path(self) -> SharePath:
        """The exact share of every seat at every net loss; worked out once an agreement."""
        return loss_path(self.rule, self.seats)


class LossPosition(Struct, frozen=True, kw_only=True):
    """What each seat has borne, net of what it got back; minor units, every seat, in seat order."""

    totals: dict[str, int]

    @property
    def net_loss_minor(self) -> int:
        """Losses less recoveries so far; the totals sum to it by construction."""
        return sum(self.totals.values())


class LossEvent(Struct, frozen=True, kw_only=True):
    """A loss fixed, or a recovery received net of its costs; the amount is above 0."""

    kind: Literal["loss", "recovery"]
    amount_minor: int


def answer(rule_document: object, events_document: object) -> dict[str, Any]:
    """Each event's shares, the totals and the net loss, as the `share` calculator prints them.

    Both documents are values `ledger.documents.read_json` returned; amounts are decimal strings
    with all the currency's decimals; every seat is named, in seat order. WrongInput names the
    document (RULE or EVENTS) and the JSON path, a refused event by its place in the list.
    """
    agreement = read_agreement(rule_document, place="RULE $")
    events = read_events(events_document, currency=agreement.currency, place="EVENTS $")
    position = unharmed(agreement)
    lines = []
    for number, event in enumerate(events):
        delta = event.amount_minor if event.kind == "loss" else -event.amount_minor
        try:
            position, parts = bear(agreement, position, delta_minor=delta)
        except Refused as refusal:
            raise WrongInput(f"EVENTS $[{number}].amount", refusal.detail) from refusal
        amount = format_amount(event.amount_minor, currency=agreement.currency)
        lines.append(
            {"kind": event.kind, "amount": amount, "shares": _amounts(parts, agreement.currency)}
        )
    return {
        "events": lines,
        "totals": _amounts(position.totals, agreement.currency),
        "net_loss": format_amount(position.net_loss_minor, currency=agreement.currency),
    }


def read_agreement(document: object, *, place: str = "$") -> RiskShare:
    """The agreement a RULE document describes; WrongInput names the JSON path that is off."""
    fields = fields_of(
        document,
        place=place,
        needed=("currency", "seats", "commitments", "rule"),
        optional=("outstanding",),
    )
    currency = fields["currency"]
    if not isinstance(currency, str):
        raise WrongInput(f"{place}.currency", 'a currency code, as "CNY"')
    scale_of(currency, place=f"{place}.currency")
    seats = _read_seats(fields["seats"], place=f"{place}.seats")
    commitments, outstanding = (
        amounts_of(
            fields[name],
            currency=currency,
            parties=seats,
            place=f"{place}.{name}",
            whose="the seats",
        )
        if name in fields
        else None
        for name in ("commitments", "outstanding")
    )
    ground = Ground(currency, seats, commitments or {}, outstanding)
    return RiskShare(
        currency=currency,
        seats=seats,
        commitments=commitments or {},
        outstanding=outstanding,
        rule=read_rule(fields["rule"], ground, place=f"{place}.rule"),
    )


def read_events(document: object, *, currency: str, place: str = "$") -> tuple[LossEvent, ...]:
    """The events of an EVENTS document, oldest first; none is a valid list."""
    if not isinstance(document, list):
        raise WrongInput(place, "a list of events")
    events = []
    for number, row in enumerate(document):
        at = f"{place}[{number}]"
        fields = fields_of(row, place=at, needed=("kind", "amount"))
        kind = fields["kind"]
        if kind not in ("loss", "recovery"):
            raise WrongInput(f"{at}.kind", '"loss" or "recovery"')
        amount = parse_amount(fields["amount"], currency=currency, place=f"{at}.amount")
        if amount == 0:
            raise WrongInput(f"{at}.amount", "an amount above 0")
        events.append(LossEvent(kind=kind, amount_minor=amount))
    return tuple(events)


def unharmed(agreement: RiskShare) -> LossPosition:
    """The position before any loss: every seat has borne nothing."""
    return LossPosition(totals=dict.fromkeys(agreement.seats, 0))


def bear(
    agreement: RiskShare, position: LossPosition, *, delta_minor: int
) -> tuple[LossPosition, dict[str, int]]:
    """The position after one loss or recovery, and every seat's part of that event.

    position     `unharmed`, or what an earlier `bear` under the same agreement returned
    delta_minor  a loss above 0, a recovery below 0, net of its costs
    returns      parts are magnitudes of 0 or more that sum to |delta|: what each seat bears of a
                 loss, gets back of a recovery

    After it every total is its exact share of the net loss rounded down or up to the fen, so a net
    loss of nothing has everyone at nothing; no other sequence of events gives another total by more
    than a fen. RecoveryBeyondLoss, CapsFull and LossBeyondRange leave the position as it was.
    """
    before, currency = position.net_loss_minor, agreement.currency
    after = before + delta_minor
    if after < 0:
        raise RecoveryBeyondLoss(
            f"a recovery of at most the net loss, {format_amount(before, currency=currency)}",
            net_loss_minor=before,
            recovery_minor=-delta_minor,
        )
    last = agreement.path.last
    if last is not None and after > last:
        raise CapsFull(
            f"a net loss of at most {format_amount(last, currency=currency)}: "
            "every cap is full there and the rule names no excess",
            net_loss_minor=after,
            last_minor=last,
        )
    if after > MAX_MINOR:
        raise LossBeyondRange(
            f"a net loss of at most {format_amount(MAX_MINOR, currency=currency)}",
            net_loss_minor=after,
        )
    held = [position.totals[seat] for seat in agreement.seats]
    totals = carry(agreement.path, held, to_minor=after)
    parts = [abs(new - old) for new, old in zip(totals, held, strict=True)]
    return (
        LossPosition(totals=dict(zip(agreement.seats, totals, strict=True))),
        dict(zip(agreement.seats, parts, strict=True)),
    )


def _amounts(minor_of: dict[str, int], currency: str) -> dict[str, str]:
    return {seat: format_amount(minor, currency=currency) for seat, minor in minor_of.items()}


def _read_seats(document: object, *, place: str) -> tuple[str, ...]:
    if not isinstance(document, list) or not document:
        raise WrongInput(place, "a list of at least one party")
    for number, seat in enumerate(document):
        if not isinstance(seat, str) or not seat:
            raise WrongInput(f"{place}[{number}]", "a party's id")
        if seat in document[:number]:
            raise WrongInput(f"{place}[{number}]", f"each party once, {seat} has a seat already")
    return tuple(document)
