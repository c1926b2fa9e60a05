"""Random risk-share agreements for tests: RULE documents of any nesting, from a seeded source."""

import random
from collections.abc import Callable
from typing import Any

SEATS = ("pool", "guarantor", "hzbank", "cib", "czbank", "fund")


def agreement_at_random(rng: random.Random, *, endless: bool) -> dict[str, Any]:
    """A RULE document; with `endless` no loss can ever be refused for full caps."""
    banks = rng.sample(SEATS, rng.randint(1, 4))
    return {
        "currency": "CNY",
        "seats": rng.sample(SEATS, len(SEATS)),
        "commitments": {bank: yuan(rng, 5_000_000) for bank in banks},
        "outstanding": {bank: yuan(rng, 1_000) for bank in banks},
        "rule": node_at_random(rng, depth=rng.randint(0, 4), endless=endless),
    }


def node_at_random(rng: random.Random, *, depth: int, endless: bool) -> dict[str, Any]:
    def party() -> dict[str, Any]:
        return {"kind": "party", "party": rng.choice(SEATS)}

    def inner(*, may_end: bool = False) -> dict[str, Any]:
        return node_at_random(rng, depth=depth - 1, endless=endless and not may_end)

    def pro_rata() -> dict[str, Any]:
        by = weights_at_random(rng)
        node: dict[str, Any] = {"kind": "pro_rata", "by": by}
        if isinstance(by, dict) and rng.random() < 0.6:
            capped = rng.sample(list(by), rng.randint(0, len(by)))
            node["caps"] = {seat: yuan(rng, 30, least=0) for seat in capped}
            if endless or rng.random() < 0.8:
                node["excess"] = inner() if depth else party()
        return node

    def split() -> dict[str, Any]:
        pieces = [rng.randint(1, 9) for _ in range(rng.randint(1, 4))]
        return {
            "kind": "split",
            "parts": [{"fraction": f"{n}/{sum(pieces)}", "rule": inner()} for n in pieces],
        }

    def layers() -> dict[str, Any]:
        bounds = sorted({rng.choice([rng.randint(1, 40), rng.randint(1, 9_000)]) for _ in range(3)})
        rows = [{"upto": fen(bound), "rule": inner()} for bound in bounds]
        return {"kind": "layers", "layers": [*rows, {"rule": inner()}]}

    def capped() -> dict[str, Any]:
        return {
            "kind": "capped",
            "limit": yuan(rng, 50, least=0),
            "rule": inner(),
            "excess": inner(),
        }

    kinds: list[Callable[[], dict[str, Any]]] = [party, pro_rata]
    if depth:
        kinds = [pro_rata, split, layers, capped]
    return rng.choice(kinds)()


def weights_at_random(rng: random.Random) -> Any:
    kind = rng.choice(["commitment", "outstanding", "given", "given"])
    if kind != "given":
        return kind
    parties = rng.sample(SEATS, rng.randint(1, len(SEATS)))
    weights = {seat: rng.choice([0, 1, 1, 2, 3, 7, 30, 1_000_003]) for seat in parties}
    weights[parties[0]] += 1
    return weights


def yuan(rng: random.Random, most: int, *, least: int = 1) -> str:
    return fen(rng.randint(least, rng.choice([30, most * 100])))


def fen(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"
