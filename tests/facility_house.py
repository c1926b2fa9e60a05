"""A facility in a served house: formed on signed terms, then spoken to over HTTP alone.

The negotiation that leads to it has tests of its own; here the parties sign the term sheet and the
service forms the facility, as the end of a negotiation does.
"""

import itertools
import secrets
from datetime import UTC, datetime
from typing import Any

from api.database import SERVICE
from ledger.documents import convert
from ledger.leaves import Actor
from ledger.signatures import Statement
from syndicate.facility import service
from syndicate.facility.service import Carried, Work
from syndicate.facility.terms import FacilityTerms, terms_hash
from tests.house import House

EVIDENCE = "e" * 64


def signed_by(house: House, terms: FacilityTerms, *parties: str) -> list[Statement]:
    """The term sheet's signatures of these parties, over exactly these terms."""
    body = {
        "negotiation": "neg-before",
        "facility": terms.facility,
        "term_sheet": "0" * 64,
        "terms_hash": terms_hash(terms),
    }
    return [
        convert(house.sign(party, "term-sheet", body), Statement, place="$") for party in parties
    ]


async def form(
    house: House, terms: FacilityTerms, *, signatures: list[Statement] | None = None
) -> Carried:
    """The facility is formed, signed by everyone unless other signatures are given."""
    async with house.installation.database.transaction(SERVICE) as conn:
        return await service.form(
            Work(
                conn=conn,
                actor=Actor(institution=terms.lead, user=f"{terms.lead}-officer"),
                now=datetime.now(UTC),
                command=f"form:{terms.facility}",
            ),
            terms=terms,
            signatures=signed_by(house, terms, *terms.parties)
            if signatures is None
            else signatures,
            negotiation=None,
            salt=secrets.token_bytes(32),
        )


class Deal:
    """One facility and its people, each step by the person whose step it is."""

    def __init__(self, house: House, terms: FacilityTerms) -> None:
        self.house = house
        self.terms = terms
        self.path = f"/v1/facilities/{terms.facility}"
        self._numbers = itertools.count(1)

    async def post(self, person: str, path: str, body: Any, *, expect: int = 201) -> Any:
        return await self.house[person].post(self.path + path, body, expect=expect)

    async def get(self, person: str, path: str = "", *, expect: int = 200, **query: Any) -> Any:
        return await self.house[person].get(self.path + path, expect=expect, **query)

    async def get_book(self, person: str, path: str, **query: Any) -> Any:
        """An answer of the ledger about the facility's book."""
        return await self.house[person].get(f"/v1/books/{self.terms.facility}/{path}", **query)

    async def close_through(self, day: str, *, expect: int = 201) -> Any:
        """Business days are closed until that day is over."""
        body = {"through": day}
        return await self.house["operator"].post("/v1/business-days", body, expect=expect)

    async def open_day(self) -> str:
        return str((await self.house["operator"].get("/v1/business-days"))["open_day"])

    # -- the loan -----------------------------------------------------------------------------

    async def record_contracts(self) -> None:
        for bank in self.terms.seats:
            body = {"contract_no": f"JK-2024-{bank}", "document_sha256": "a" * 64}
            await self.post(f"{bank}-officer", "/contracts", body)

    async def request_draw(
        self, draw: str, amount_minor: int, *, expect: int = 201, **other: Any
    ) -> Any:
        body = {
            "draw": draw,
            "amount_minor": amount_minor,
            "value_date": await self.open_day(),
            "use_of_funds": "working-capital",
            "payment_mode": "entrusted",
            **other,
        }
        return await self.post(f"{self.terms.borrower}-borrower", "/draws", body, expect=expect)

    async def release(self, draw: str, bank: str) -> Any:
        """Drafted by operations, looked at and approved by the approver, signed with the key."""
        path = f"/draws/{draw}/releases"
        await self.post(f"{bank}-operations", path, {"loan_no": f"JJ-{draw}-{bank}"})
        seen = await self.get(f"{bank}-approver", f"{path}/{bank}")
        signed = self.house.sign(bank, seen["to_sign"]["kind"], seen["to_sign"]["body"])
        body = {"draft": seen["draft"], "signed": signed}
        return await self.post(f"{bank}-approver", f"{path}/{bank}/approval", body)

    # -- cash ---------------------------------------------------------------------------------

    def _instructs(self, institution: str) -> str:
        role = "borrower" if institution == self.terms.borrower else "operations"
        return f"{institution}-{role}"

    async def instruct(
        self,
        purpose: str,
        payer: str,
        payee: str,
        amount_minor: int,
        *,
        about: str = "",
        by: str | None = None,
        expect: int = 201,
        **other: Any,
    ) -> str:
        """The payment's name; the receiving bank is the payee's own, or the lead."""
        name = f"pay-{next(self._numbers)}"
        body = {
            "payment": name,
            "purpose": purpose,
            "payer": payer,
            "payee": payee,
            "receiving_bank": payee if payee in self.terms.seats else self.terms.lead,
            "amount_minor": amount_minor,
            "about": about,
            **other,
        }
        giver = payee if purpose == "recovery" else payer
        person = by or self._instructs(giver)
        await self.post(person, "/payments", body, expect=expect)
        return name

    def confirmation(self, bank: str, payment: str, **said: Any) -> dict[str, Any]:
        """The body of a confirmation, signed by that bank's key."""
        words = {"external_reference": f"REF-{payment}", **said}
        body = {"facility": self.terms.facility, "payment": payment, **words}
        return {**words, "signed": self.house.sign(bank, "cash-confirmation", body)}

    async def confirm(self, payment: str, *, expect: int = 201, **said: Any) -> Any:
        """The receiving bank confirms the payment: as instructed and today unless said."""
        found = await self.get("auditor-auditor", f"/payments/{payment}")
        words = {
            "amount_minor": found["amount_minor"],
            "value_date": await self.open_day(),
            **said,
        }
        bank = found["receiving_bank"]
        body = self.confirmation(bank, payment, **words)
        path = f"/payments/{payment}/confirmation"
        return await self.post(f"{bank}-operations", path, body, expect=expect)

    async def pay(
        self, purpose: str, payer: str, payee: str, amount_minor: int, *, about: str = ""
    ) -> str:
        """Instructed and confirmed on the open day; returns the payment's name."""
        name = await self.instruct(purpose, payer, payee, amount_minor, about=about)
        await self.confirm(name)
        return name

    async def fund(self, draw: str, amount_minor: int) -> None:
        """A draw of today, released and paid out by every bank."""
        await self.request_draw(draw, amount_minor)
        for bank in self.terms.seats:
            await self.release(draw, bank)
        for part in (await self.get("auditor-auditor", f"/draws/{draw}"))["funding"]:
            await self.pay(
                "drawdown", part["bank"], self.terms.borrower, part["part_minor"], about=draw
            )

    async def pay_what_is_due(self) -> int:
        """The borrower pays everything due today; returns how much."""
        due = await self.get(f"{self.terms.borrower}-borrower", "/amounts-due")
        for line in due["lines"]:
            await self.pay(
                "repayment",
                self.terms.borrower,
                line["bank"],
                line["total_minor"],
                about=line["draw"],
            )
        return int(due["total_minor"])


async def formed(house: House, terms: FacilityTerms) -> Deal:
    """The facility formed on the terms, with every contract on record."""
    await form(house, terms)
    deal = Deal(house, terms)
    await deal.record_contracts()
    return deal
