"""How a risk-share rule is read from its JSON document; every refusal names its JSON path.

It reads strictly: no field unknown, no number where a decimal string belongs, no party without a
seat. It never evaluates a rule; what the nodes mean is `syndicate.risk.rule`.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from ledger.errors import WrongInput
from ledger.money import parse_amount
from syndicate.risk.rule import Capped, Layer, Layers, Node, Party, ProRata, Quota, Split

KINDS = ("party", "pro_rata", "split", "layers", "capped")

_FRACTION = re.compile(r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,18}|/[1-9][0-9]{0,17})?", re.ASCII)


class Ground(NamedTuple):
    """What the words of a rule refer to.

    seats        every party, in the agreement's order
    commitments  minor units of those who committed
    outstanding  minor units at the time of default; None where the document gives none
    """

    currency: str
    seats: Sequence[str]
    commitments: Mapping[str, int]
    outstanding: Mapping[str, int] | None


def read_rule(document: object, ground: Ground, *, place: str) -> Node:
    """The rule a document describes; its weights are settled and all its parties have seats.

    document  what `ledger.documents.read_json` returned
    place     JSON path of the rule, as "$.rule"

    WrongInput names the path of the first thing that is off.
    """
    kind = document.get("kind") if isinstance(document, dict) else None
    match kind:
        case "party":
            fields = fields_of(document, place=place, needed=("kind", "party"))
            return Party(party=_seat(fields["party"], ground, place=f"{place}.party"))
        case "pro_rata":
            return _pro_rata(document, ground, place=place)
        case "split":
            return _split(document, ground, place=place)
        case "layers":
            return _layers(document, ground, place=place)
        case "capped":
            fields = fields_of(document, place=place, needed=("kind", "limit", "rule", "excess"))
            return Capped(
                limit_minor=parse_amount(
                    fields["limit"], currency=ground.currency, place=f"{place}.limit"
                ),
                rule=read_rule(fields["rule"], ground, place=f"{place}.rule"),
                excess=read_rule(fields["excess"], ground, place=f"{place}.excess"),
            )
        case _ if isinstance(document, dict):
            raise WrongInput(f"{place}.kind", f"one of {', '.join(KINDS)}")
        case _:
            raise WrongInput(place, "a rule, an object with a kind")


def fields_of(
    document: object, *, place: str, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Any]:
    """The object itself, with every needed field and no unknown one; WrongInput otherwise."""
    if not isinstance(document, dict):
        raise WrongInput(place, f"an object with {', '.join(needed)}")
    for name in document:
        if name not in needed and name not in optional:
            raise WrongInput(f"{place}.{name}", f"no field but {', '.join([*needed, *optional])}")
    for name in needed:
        if name not in document:
            raise WrongInput(f"{place}.{name}", "this field, which is missing")
    return document


def amounts_of(
    document: object, *, currency: str, parties: Sequence[str], place: str, whose: str
) -> dict[str, int]:
    """Minor units by party, in the document's order; every party is one of `parties`."""
    if not isinstance(document, dict):
        raise WrongInput(place, "an object of party to amount")
    for party in document:
        if party not in parties:
            raise WrongInput(f"{place}.{party}", f"a party of {whose}")
    return {
        party: parse_amount(amount, currency=currency, place=f"{place}.{party}")
        for party, amount in document.items()
    }


def _pro_rata(document: object, ground: Ground, *, place: str) -> ProRata:
    fields = fields_of(document, place=place, needed=("kind", "by"), optional=("caps", "excess"))
    weights = _weights(fields["by"], ground, place=f"{place}.by")
    if not any(weights.values()):
        raise WrongInput(f"{place}.by", "weights of which at least one is above 0")
    caps = amounts_of(
        fields.get("caps", {}),
        currency=ground.currency,
        parties=tuple(weights),
        place=f"{place}.caps",
        whose="this node's weights",
    )
    return ProRata(
        by="weights" if isinstance(fields["by"], dict) else fields["by"],
        weights=tuple(weights.items()),
        caps=tuple(caps.items()),
        excess=read_rule(fields["excess"], ground, place=f"{place}.excess")
        if "excess" in fields
        else None,
    )


def _weights(by: object, ground: Ground, *, place: str) -> Mapping[str, int]:
    if by == "commitment":
        return ground.commitments
    if by == "outstanding":
        if ground.outstanding is None:
            raise WrongInput(place, "weights the document gives; it has no outstanding")
        return ground.outstanding
    if not isinstance(by, dict):
        raise WrongInput(place, '"commitment", "outstanding" or an object of party to weight')
    for party, weight in by.items():
        _seat(party, ground, place=f"{place}.{party}")
        if type(weight) is not int or weight < 0:
            raise WrongInput(f"{place}.{party}", "a whole number of 0 or more")
    return by


def _split(document: object, ground: Ground, *, place: str) -> Split:
    parts = _rows(fields_of(document, place=place, needed=("kind", "parts")), "parts", place=place)
    quotas = []
    for number, row in enumerate(parts):
        at = f"{place}.parts[{number}]"
        fields = fields_of(row, place=at, needed=("fraction", "rule"))
        fraction = parse_fraction(fields["fraction"], place=f"{at}.fraction")
        quotas.append(
            Quota(fraction=fraction, rule=read_rule(fields["rule"], ground, place=f"{at}.rule"))
        )
    whole = sum(quota.fraction for quota in quotas)
    if whole != 1:
        raise WrongInput(f"{place}.parts", f"fractions that sum to exactly 1, not {whole}")
    return Split(parts=tuple(quotas))


def _layers(document: object, ground: Ground, *, place: str) -> Layers:
    rows = _rows(fields_of(document, place=place, needed=("kind", "layers")), "layers", place=place)
    layers, below = [], 0
    for number, row in enumerate(rows):
        at = f"{place}.layers[{number}]"
        upto: int | None = None
        if number < len(rows) - 1:
            fields = fields_of(row, place=at, needed=("upto", "rule"))
            upto = parse_amount(fields["upto"], currency=ground.currency, place=f"{at}.upto")
            if upto <= below:
                raise WrongInput(f"{at}.upto", "a bound above 0 and above the layer before")
            below = upto
        else:
            fields = fields_of(row, place=at, needed=("rule",))
        rule = read_rule(fields["rule"], ground, place=f"{at}.rule")
        layers.append(Layer(upto_minor=upto, rule=rule))
    return Layers(layers=tuple(layers))


def parse_fraction(text: object, *, place: str) -> Fraction:
    """The exact value of a positive fraction such as "0.4" or "1/3"."""
    if not isinstance(text, str) or _FRACTION.fullmatch(text) is None or not Fraction(text):
        raise WrongInput(place, 'a positive fraction as text, as "0.4" or "1/3"')
    return Fraction(text)


def _rows(fields: dict[str, Any], name: str, *, place: str) -> list[Any]:
    rows = fields[name]
    if not isinstance(rows, list) or not rows:
        raise WrongInput(f"{place}.{name}", "a list of at least one")
    return rows


def _seat(party: object, ground: Ground, *, place: str) -> str:
    if not isinstance(party, str) or party not in ground.seats:
        raise WrongInput(place, "a party of the seats")
    return party
