"""The walk of docs/guide/lead.md and docs/guide/bank.md, taken word for word, but for the dates."""

import json
from typing import Any

import msgspec

from tests.docs.guide import Request, steps, walk
from tests.house import House

DAYS = {
    # in the guide   in the tests' house, whose first business day is a Friday
    "2026-09-01": "2024-03-01",
    "2026-09-02": "2024-03-04",
    "2026-09-03": "2024-03-05",
    "2026-12-31": "2024-12-31",
}


def moved(value: Any) -> Any:
    """The same with the days of the tests' house."""
    text = json.dumps(value)
    for there, here in DAYS.items():
        text = text.replace(there, here)
    return json.loads(text)


async def test_the_walk_of_the_guides_ends_with_a_facility_and_its_published_leaf(
    house: House,
) -> None:
    for bank in ("hzbank", "cib"):
        await house[f"{bank}-risk"].post(
            "/v1/capital",
            {
                "as_of": "2023-12-31",
                "net_capital_minor": 5_000_000_000_000,
                "tier1_minor": 4_500_000_000_000,
                "illustrative": True,
            },
        )

    async def send(request: Request, body: Any) -> Any:
        request.says = moved(request.says)
        caller = house["operator" if request.person == "operator-1" else request.person]
        headers = {**caller.headers, "Content-Type": "application/json"}
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        await house.publish()
        answer = await house.http.request(
            request.method,
            request.path,
            content=b"" if body is None else msgspec.json.encode(body),
            headers=headers,
        )
        assert answer.status_code in (200, 201), f"{request.path}: {answer.text}"
        return msgspec.json.decode(answer.content)

    def sign(institution: str, kind: str, body: Any) -> Any:
        return house.sign(institution, kind, moved(body))

    taken = [step for page in ("lead.md", "bank.md") for step in steps(page)]
    for step in taken:
        if isinstance(step, Request):
            step.body = moved(step.body)
    head = await walk(taken, sign=sign, send=send)
    assert head["book"] == "fac-guide"
    facility = await house["auditor-auditor"].get("/v1/facilities/fac-guide")
    assert facility["totals"]["total_minor"] == 1_000_000_000
