"""A facility's life in the demonstration: contracts, draws, payments, claims, losses."""

import hashlib
import itertools
from typing import Any

from api.demo.people import Cast
from api.demo.stage import Stage, yuan
from api.demo.table import who

ACCOUNT_BANK = {"yunshen": "hzbank", "qinghe": "cib"}
"""Where each borrower keeps its account."""


class Life:
    """One facility. Every step goes through the API; the stage tells it."""

    def __init__(self, cast: Cast, stage: Stage, *, facility: str, formed: dict[str, Any]) -> None:
        self.cast = cast
        self.stage = stage
        self.facility = facility
        self.borrower = formed["borrower"]
        self.lead = formed["lead"]
        self.seats: list[str] = list(formed["seats"])
        self.root = f"/v1/facilities/{facility}"
        self._payments = itertools.count(1)

    @property
    def customer(self) -> str:
        """The borrower's person."""
        return f"{self.borrower}-borrower"

    def contracts(self) -> None:
        """Each bank records its own contract."""
        for bank in self.seats:
            self.cast[f"{bank}-officer"].post(
                f"{self.root}/contracts",
                {
                    "contract_no": f"{bank}-{self.facility}-001",
                    "document_sha256": digest(f"contract of {bank}"),
                },
            )
        self.stage.step("各行 each bank", "登记各自合同 records its own contract")

    def draw(
        self, name: str, amount_minor: int, *, on: str, misdirected: str | None = None
    ) -> None:
        """A draw: request, release by two persons a bank, instruction, signed confirmation."""
        request = {
            "draw": name,
            "amount_minor": amount_minor,
            "value_date": on,
            "use_of_funds": "research-and-production",
            "payment_mode": "entrusted",
        }
        self.cast[self.customer].post(f"{self.root}/draws", request)
        parts = self.cast[self.customer].get(f"{self.root}/draws/{name}")["funding"]
        self.stage.step(who(self.borrower), f"提款 draws {yuan(amount_minor)} on {on}")
        for part in parts:
            bank = part["bank"]
            self._release(bank, name)
            payment = self.instruct(
                f"{bank}-operations",
                purpose="drawdown",
                payer=bank,
                payee=self.borrower,
                receiving_bank=ACCOUNT_BANK[self.borrower],
                amount_minor=part["part_minor"],
                about=name,
            )
            if bank == misdirected:
                self._returned(payment)
                payment = self.instruct(
                    f"{bank}-operations",
                    purpose="drawdown",
                    payer=bank,
                    payee=self.borrower,
                    receiving_bank=ACCOUNT_BANK[self.borrower],
                    amount_minor=part["part_minor"],
                    about=name,
                )
            self.confirm(payment, part["part_minor"], on=on)
            self.stage.step(who(bank), f"放款 pays out {yuan(part['part_minor'])}, confirmed")

    def _release(self, bank: str, draw: str) -> None:
        path = f"{self.root}/draws/{draw}/releases"
        loan_no = f"{bank}-{self.facility}-{draw}".lower()
        drafted = self.cast[f"{bank}-operations"].post(path, {"loan_no": loan_no})
        checker = self.cast[f"{bank}-approver"]
        to_sign = checker.get(f"{path}/{bank}")["to_sign"]
        signed = self.cast.sign(bank, to_sign["kind"], to_sign["body"])
        checker.post(f"{path}/{bank}/approval", {"draft": drafted["draft"], "signed": signed})

    def _returned(self, payment: dict[str, Any]) -> None:
        bank = payment["receiving_bank"]
        self.cast[f"{bank}-operations"].post(
            f"{self.root}/payments/{payment['payment']}/return", {"reason": "wrong account"}
        )
        self.stage.step(
            who(payment["payer"]), "账号有误，退回重汇 wrong account: returned, sent again"
        )

    def instruct(self, person: str, **order: Any) -> dict[str, Any]:
        """A payment is instructed; returns the order with its name."""
        order = {"payment": f"p{next(self._payments)}", **order}
        self.cast[person].post(f"{self.root}/payments", order)
        return order

    def confirm(self, payment: dict[str, Any], amount_minor: int, *, on: str) -> None:
        """The receiving bank confirms with its own signature: only now is it posted."""
        bank, name = payment["receiving_bank"], payment["payment"]
        words = {
            "facility": self.facility,
            "payment": name,
            "amount_minor": amount_minor,
            "external_reference": f"CNAPS-{self.facility}-{name}",
            "value_date": on,
        }
        signed = self.cast.sign(bank, "cash-confirmation", words)
        said = {key: words[key] for key in ("amount_minor", "external_reference", "value_date")}
        self.cast[f"{bank}-operations"].post(
            f"{self.root}/payments/{name}/confirmation", {**said, "signed": signed}
        )

    def pay_what_is_due(self, *, on: str) -> int:
        """The borrower pays every bank what is due; returns the sum."""
        due = self.cast[self.customer].get(f"{self.root}/amounts-due")
        for line in due["lines"]:
            payment = self.instruct(
                self.customer,
                purpose="repayment",
                payer=self.borrower,
                payee=line["bank"],
                receiving_bank=line["bank"],
                amount_minor=line["total_minor"],
                about=line["draw"],
            )
            self.confirm(payment, line["total_minor"], on=on)
        self.stage.step(who(self.borrower), f"按期还款 pays {yuan(due['total_minor'])} on {on}")
        return int(due["total_minor"])

    def claim(self, protector: str, amount_minor: int, *, on: str) -> None:
        """A claim with evidence is filed, accepted and advanced to each bank."""
        name = f"claim-{protector}"
        self.cast[f"{self.lead}-officer"].post(
            f"{self.root}/claims",
            {
                "claim": name,
                "protector": protector,
                "amount_minor": amount_minor,
                "evidence_sha256": [digest("dunning letters"), digest("court papers")],
            },
        )
        self.cast[f"{protector}-approver"].post(
            f"{self.root}/claims/{name}/acceptance", {"amount_minor": amount_minor}
        )
        claims = self.cast[f"{self.lead}-officer"].get(f"{self.root}/claims")
        granted = next(claim for claim in claims if claim["claim"] == name)["granted"]
        for bank, part_minor in granted.items():
            if part_minor:
                payment = self.instruct(
                    f"{protector}-operations",
                    purpose="advance",
                    payer=protector,
                    payee=bank,
                    receiving_bank=bank,
                    amount_minor=part_minor,
                    about=name,
                )
                self.confirm(payment, part_minor, on=on)
        self.stage.step(
            who(protector), f"代偿 advances {yuan(amount_minor)} on a claim with evidence"
        )

    def lose(self, name: str, amount_minor: int) -> None:
        """The lead fixes a final loss by two persons; the agreed rule shares it."""
        order = {
            "loss": name,
            "amount_minor": amount_minor,
            "evidence_sha256": [digest(f"{name} enforcement report")],
        }
        maker, checker = self.cast[f"{self.lead}-officer"], self.cast[f"{self.lead}-approver"]
        drafted = maker.post(f"{self.root}/losses", order)
        checker.post(f"{self.root}/losses/{name}/approval", {"draft": drafted["draft"]})
        self.stage.step(who(self.lead), f"确认最终损失 fixes a final loss of {yuan(amount_minor)}")

    def recover(self, amount_minor: int, *, on: str) -> None:
        """Cash comes back to the lead, and is passed on to whoever bore the loss."""
        payment = self.instruct(
            f"{self.lead}-operations",
            purpose="recovery",
            payer=self.borrower,
            payee=self.lead,
            receiving_bank=self.lead,
            amount_minor=amount_minor,
            about="",
        )
        self.confirm(payment, amount_minor, on=on)
        self.stage.step(who(self.lead), f"追偿 recovers {yuan(amount_minor)}, shared in reverse")

    def losses(self, person: str) -> dict[str, Any]:
        """Who bears what, as the person may see it, with explanations."""
        found: dict[str, Any] = self.cast[person].get(f"{self.root}/losses")
        return found


def digest(text: str) -> str:
    """SHA-256 in hex: what the log knows of a document."""
    return hashlib.sha256(text.encode()).hexdigest()
