"""The negotiation table of the demonstration: what each person sends, with their token and key."""

import hashlib
from typing import Any

from api.client import Answered
from api.demo.deals import BANKS
from api.demo.people import Cast
from api.demo.stage import Stage, yuan

CHINESE = {
    "hzbank": "杭州银行",
    "cib": "兴业银行",
    "czbank": "浙商银行",
    "guarantor": "担保公司",
    "pool": "资金池",
    "yunshen": "云深处科技",
    "qinghe": "青禾智造（示例）",
    "auditor": "审计",
    "operator": "运营",
}


def who(institution: str) -> str:
    """An institution as the stage names it."""
    return f"{CHINESE.get(institution, institution)} {institution}"


class Table:
    """One negotiation. Every step goes through the API; the stage tells it."""

    def __init__(self, cast: Cast, stage: Stage, *, name: str, borrower: str, lead: str) -> None:
        self.cast = cast
        self.stage = stage
        self.name = name
        self.borrower = borrower
        self.lead = lead
        self.root = f"/v1/negotiations/{name}"

    @property
    def seats(self) -> tuple[str, ...]:
        """The banks, the lead first."""
        return (self.lead, *(bank for bank in BANKS if bank != self.lead))

    def consent(
        self,
        recipient: str,
        classes: list[str],
        *,
        since: str,
        until: str,
        person: str | None = None,
    ) -> None:
        """The borrower (or a person of its team) consents, signed with the borrower's key."""
        body = {
            "consent": f"c-{self.name}-{recipient}" + (f"-{person}" if person else ""),
            "borrower": self.borrower,
            "person": person,
            "recipient": recipient,
            "purpose": f"{self.name}:assessment",
            "classes": classes,
            "valid_from": since,
            "until": until,
            "version": 1,
            "evidence": _digest(f"{person}'s written consent") if person else None,
        }
        signed = self.cast.sign(self.borrower, "consent", body)
        sent = {name: value for name, value in body.items() if name != "borrower"}
        self.cast[f"{self.borrower}-borrower"].post("/v1/consents", {**sent, "signed": signed})

    def mandate(self, *, project: str, since: str, until: str) -> None:
        """The borrower mandates the lead."""
        body = {
            "negotiation": self.name,
            "borrower": self.borrower,
            "project": project,
            "lead": self.lead,
            "form": "JOINT_PARALLEL",
            "purpose": f"{self.name}:assessment",
            "valid_from": since,
            "until": until,
        }
        signed = self.cast.sign(self.borrower, "mandate", body)
        self.cast[f"{self.borrower}-borrower"].post(
            "/v1/negotiations", {"mandate": body, "signed": signed}
        )
        self.stage.step(who(self.borrower), f"委托牵头行 mandates {who(self.lead)}")

    def seat(self) -> None:
        """The lead invites, the others take their seats."""
        others = [bank for bank in self.seats if bank != self.lead]
        self.officer(self.lead, "invitations", {"banks": others})
        for bank in others:
            self.officer(bank, "answer", {"joins": True})
        self.stage.step(who(self.lead), f"邀请参加行 invites {', '.join(others)}; both join")

    def officer(self, bank: str, path: str, body: Any = None) -> Any:
        """One command by a bank's officer."""
        return self.cast[f"{bank}-officer"].post(f"{self.root}/{path}", body)

    def accept_all(self, version: int, *, author: str) -> None:
        """Everybody but the author agrees to the standing version."""
        for bank in self.seats:
            if bank != author:
                self.officer(bank, "acceptances", {"version": version})
        self.stage.step("三家银行 all banks", f"同意条款 agree to version {version}")

    def quote(self, quotes: dict[str, dict[str, Any]]) -> None:
        """The book opens, each bank quotes, signed; nobody but the lead sees another's."""
        body = {"mode": "open", "rules": ["cn-syndicated"], "quotes_within_workdays": 1}
        self.officer(self.lead, "book", body)
        for bank, quoted in quotes.items():
            salted = {**quoted, "salt": _digest(f"{self.name} {bank} salt")}
            to_sign = self.officer(bank, "quotes/body", salted)
            signed = self.cast.sign(bank, "quote", to_sign)
            self.officer(bank, "quotes", {**salted, "signed": signed})
            told = ", ".join(
                f"LPR{step['spread_bp']:+d}bp × {yuan(step['amount_minor'])}"
                for step in quoted["steps"]
            )
            self.stage.step(who(bank), f"报价 quotes {told}")
        other = next(bank for bank in self.seats if bank != self.lead)
        seen = self.cast[f"{other}-officer"].get(f"{self.root}/quotes")
        self.stage.line(f"{who(other)} 只看到自己的报价 sees only: {', '.join(seen['quotes'])}")

    def clear(self) -> Any:
        """The lead clears the book at one spread."""
        cleared = self.officer(self.lead, "clearing")
        self.stage.table(
            f"统一利差 uniform clearing at LPR{cleared['clearing_spread_bp']:+d}bp",
            ("银行 bank", "承贷份额 allocation (CNY)"),
            [(who(bank), yuan(held)) for bank, held in cleared["allocation"].items()],
        )
        return cleared

    def decide(self) -> None:
        """Rule packs are judged; each bank decides by two persons and its own key."""
        state: Any = None
        for bank in self.seats:
            state = self.cast[f"{bank}-risk"].post(f"{self.root}/rule-checks")
        agreement = state["agreement"]
        for bank in self.seats:
            self.officer(bank, "decisions/draft", {"outcome": "approve", "agreement": agreement})
            checker = self.cast[f"{bank}-approver"]
            body = checker.get(f"{self.root}/decisions/body")
            signed = self.cast.sign(bank, "decision", body)
            checker.post(f"{self.root}/decisions", {"agreement": agreement, "signed": signed})
            self.stage.step(
                who(bank), f"独立审批 own decision: {body['maker']} 经办, {body['checker']} 复核"
            )

    def sign(self, *, facility: str, signed_on: str) -> Any:
        """The sheet is drawn and signed by every party; the lead forms the facility."""
        self.officer(
            self.lead,
            "term-sheet",
            {
                "facility": facility,
                "signed_on": signed_on,
                "cooperation_agreement": _digest(f"{self.name} 合作协议"),
            },
        )
        sheet = self.cast[f"{self.lead}-officer"].get(f"{self.root}/term-sheet")
        for party in sheet["missing"]:
            person = f"{party}-{'borrower' if party == self.borrower else 'approver'}"
            signed = self.cast.sign(party, "term-sheet", sheet["body"])
            self.cast[person].post(f"{self.root}/signatures", {"signed": signed})
        name, parties = sheet["term_sheet_hash"][:16], ", ".join(sheet["missing"])
        self.stage.step("各方 every party", f"签署条款书 sign sheet {name}…: {parties}")
        formed = self.cast[f"{self.lead}-approver"].post(f"{self.root}/facility")
        self.stage.step(who(self.lead), f"联合授信成立 facility {facility} is formed")
        return formed

    def refused(self, person: str, path: str, body: Any, told: str) -> None:
        """A try that the service must refuse, and does."""
        try:
            self.cast[person].post(path, body)
        except Answered as answered:
            self.stage.refused(person, told, answered.code)
            return
        raise AssertionError(f"{told}: was not refused")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
