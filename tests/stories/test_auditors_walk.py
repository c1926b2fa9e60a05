"""The auditor's walk: a balance of the past as known later, what is behind it, the proof, offline.

A loan is agreed at the table, paid out, and its first interest paid: the money arrived on the 19th
of June and the bank said so on the 20th. An auditor who was not there asks afterwards.
"""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.cli import run
from ledger import merkle, notes
from ledger.documents import convert
from ledger.notes import COSIGNATURE_V1, ED25519, Policy, VerifierKey
from ledger.signatures import Statement, verify_statement
from syndicate.facility.terms import FacilityTerms
from tests.facility_house import Deal
from tests.house import NAME, House, key_of
from tests.stories import table
from tests.stories.test_negotiation import DEAL, ROOT, TERMS, open_table

BOOK = "fac-2"
BANK = "hzbank"
CASH = {"party": BANK, "code": "cash"}


async def test_an_auditor_walks_from_a_balance_to_its_proof(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deal = await agreed_and_drawn(house)
    paid = await interest_paid_a_day_before_it_was_known(deal)
    await witnessed(house)
    walk = Walk(house)
    await walk.the_balance_then_and_as_known_later(paid)
    record = await walk.the_entry_between(paid)
    await walk.the_chain_behind_it(record)
    await walk.the_loan_as_of_each_moment(paid)
    await walk.the_proof_offline(tmp_path, capsys)
    before = await walk.every_answer_so_far()
    await deal.close_through("2024-06-24")
    await deal.pay_what_is_due()
    await witnessed(house)
    assert await walk.every_answer_so_far() == before, "byte for byte, whatever happened since"


async def agreed_and_drawn(house: House) -> Deal:
    await table.capital(house)
    await open_table(house)
    await table.agree(house, lead="cib", negotiation=DEAL, terms=TERMS)
    await table.quote(house, lead="cib", negotiation=DEAL)
    await house["operator"].post("/v1/business-days", {"through": "2024-03-14"})
    await house["cib-officer"].post(f"{ROOT}/clearing")
    await table.decide(house, lead="cib", negotiation=DEAL)
    terms = await table.sign(
        house, lead="cib", negotiation=DEAL, facility=BOOK, signed_on="2024-03-15"
    )
    deal = Deal(house, convert(terms, FacilityTerms))
    await deal.record_contracts()
    await deal.fund("d1", deal.terms.total_minor)
    return deal


async def interest_paid_a_day_before_it_was_known(deal: Deal) -> int:
    """How much 杭州银行 got, value 2024-06-19, confirmed and booked on 2024-06-20."""
    await deal.close_through("2024-06-19")
    due = await deal.get("qinghe-borrower", "/amounts-due")
    (line,) = [line for line in due["lines"] if line["bank"] == BANK]
    interest = int(line["interest_minor"])
    payment = await deal.instruct("repayment", "qinghe", BANK, interest, about="d1")
    await deal.confirm(payment, value_date="2024-06-19")
    await deal.close_through("2024-06-20")
    return interest


async def witnessed(house: House) -> None:
    """Everything is published, and two banks have cosigned the top log's head."""
    await house.publish()
    note = (await house.http.get("/v1/log/checkpoint")).content
    size = notes.read_checkpoint_text(notes.read_note(note).text).size
    for bank in ("cib", "czbank"):
        line = notes.cosign(note, name=bank, signer=house.keys[bank], time=int(time.time()))
        await house[f"{bank}-operations"].post(
            "/v1/log/cosignatures", {"size": size, "line": line.decode()}
        )


class Walk:
    """What the auditor asks, and what came of each question."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def ask(self, path: str, **query: Any) -> Any:
        """The answer; the question is kept to be asked again."""
        self.asked.append((path, query))
        return await self.house["auditor-auditor"].get(path, **query)

    async def every_answer_so_far(self) -> list[bytes]:
        auditor = self.house["auditor-auditor"]
        answers = []
        for path, query in self.asked:
            answer = await self.house.http.get(path, params=query, headers=auditor.headers)
            assert answer.status_code == 200, answer.text
            answers.append(answer.content)
        assert len(answers) > 10
        return answers

    async def the_balance_then_and_as_known_later(self, paid: int) -> None:
        """As of 19 June: as known at that day's close, and as known when the next was closed."""
        path = f"/v1/books/{BOOK}/balances"
        then = await self.ask(path, **CASH, value_until="2024-06-19", known_on="2024-06-19")
        later = await self.ask(path, **CASH, value_until="2024-06-19", known_on="2024-06-20")
        assert later["sums_minor"]["CNY"] - then["sums_minor"]["CNY"] == paid > 0
        assert then["known_size"] < later["known_size"] <= later["checkpoint"]["size"]
        trial = await self.ask(
            f"/v1/books/{BOOK}/trial-balance", value_until="2024-06-19", known_on="2024-06-20"
        )
        assert [line["net_minor"] for line in trial["sums"]] == [0]
        self.later = later["known_size"]

    async def the_entry_between(self, paid: int) -> str:
        """The one entry valued by the 19th and booked after it; the statement shows it too."""
        asked = {**CASH, "value_until": "2024-06-19", "booking_from": "2024-06-20"}
        found = await self.ask(
            f"/v1/books/{BOOK}/entries", **asked, known_size=self.later, proof="true"
        )
        (line,) = found["entries"]
        assert line["amount_minor"] == paid
        assert (line["value_date"], line["booking_date"]) == ("2024-06-19", "2024-06-20")
        assert found["sums"] == [
            {
                "currency": "CNY",
                "entries": 1,
                "debits_minor": paid,
                "credits_minor": 0,
                "net_minor": paid,
            }
        ]
        by_reference = await self.ask(
            f"/v1/books/{BOOK}/entries", source="REF-pay-4", **CASH, known_size=self.later
        )
        assert [one["record"] for one in by_reference["entries"]] == [line["record"]]
        assert merkle.verify_inclusion(
            leaf=bytes.fromhex(line["proof"]["leaf_hash"]),
            index=line["position"],
            size=line["proof"]["size"],
            proof=[bytes.fromhex(one) for one in line["proof"]["hashes"]],
            root=bytes.fromhex(found["checkpoint"]["root"]),
        )
        statement = await self.ask(
            f"/v1/books/{BOOK}/statement",
            **CASH,
            by="value",
            first_day="2024-06-01",
            last_day="2024-06-19",
            known_on="2024-06-20",
        )
        (account,) = statement["accounts"]
        assert account["closing_minor"] - account["opening_minor"] == paid
        assert [one["record"] for one in statement["lines"]] == [line["record"]]
        self.asked.append((f"/v1/books/{BOOK}/entries/export", {**asked, "format": "xlsx"}))
        self.asked[-1][1]["known_size"] = self.later
        return str(line["record"])

    async def the_chain_behind_it(self, record: str) -> None:
        """From the cash to confirmation, instruction, approvals, decisions, sheet and mandate."""
        path = f"/v1/facilities/{BOOK}/chain"
        chain = await self.ask(path, record=record, known_size=self.later)
        assert await self.ask(path, payment="pay-4", known_size=self.later) == chain
        links: dict[str, list[Any]] = {}
        for link in chain["links"]:
            links.setdefault(link["what"], []).append(link)
        (confirmed,) = (one for one in links["PaymentConfirmed"] if one["record"] == record)
        assert confirmed["signed_by"] == [BANK]
        assert links["PaymentInstructed"][0]["actor"]["institution"] == "qinghe"
        for what in ("ReleaseApproved", "BankDecided"):
            for link in links[what]:
                assert link["maker"] != link["checker"], what
                assert link["maker"], what
        assert {link["signed_by"][0] for link in links["BankDecided"]} == {*table.BANKS}
        assert {link["signed_by"][0] for link in links["TermSheetSigned"]} == {
            *("qinghe", "pool", "guarantor"),
            *table.BANKS,
        }
        assert {"InstalmentDue", "DrawRequested", "ContractRecorded", "FacilityFormed"} <= set(
            links
        )
        assert {"FacilityAgreed", "BookCleared", "TermsAgreed", "MandateGiven"} <= set(links)
        named = {(one["field"], one["value"]) for one in chain["documents"]}
        assert {
            ("external_reference", "REF-pay-4"),
            ("contract_no", f"JK-2024-{BANK}"),
            ("loan_no", f"JJ-d1-{BANK}"),
        } <= named
        self.every_signature_holds(chain)
        await self.every_link_is_in_its_log(chain)

    def every_signature_holds(self, chain: Any) -> None:
        checked = 0
        for link in chain["links"]:
            signed = [link["says"].get("signed"), *link["says"].get("signatures", ())]
            for one in filter(None, signed):
                statement = convert(one, Statement)
                key = self.house.keys[statement.by].public
                assert verify_statement(statement, public=key)
                checked += 1
        assert checked > 12

    async def every_link_is_in_its_log(self, chain: Any) -> None:
        auditor = self.house["auditor-auditor"]
        heads = {one["book"]: one["checkpoint"] for one in chain["books"]}
        assert set(heads) == {BOOK, DEAL}
        for link in chain["links"]:
            head = heads[link["book"]]
            proof = await auditor.get(
                f"/v1/books/{link['book']}/proofs/inclusion",
                position=link["position"],
                size=head["size"],
            )
            assert merkle.verify_inclusion(
                leaf=bytes.fromhex(link["leaf_hash"]),
                index=link["position"],
                size=head["size"],
                proof=[bytes.fromhex(one) for one in proof["hashes"]],
                root=bytes.fromhex(head["root"]),
            )

    async def the_loan_as_of_each_moment(self, paid: int) -> None:
        """The 借据's interest as of the 19th, as known then and later; the same as its accounts."""
        path = f"/v1/facilities/{BOOK}/loan-positions"
        then, later = [
            self.loan(await self.ask(path, as_of="2024-06-19", known_on=day))
            for day in ("2024-06-19", "2024-06-20")
        ]
        assert then["interest_minor"] - later["interest_minor"] == paid
        assert then["principal_minor"] == later["principal_minor"] == then["amount_minor"]
        folded = self.loan(await self.ask(path, known_on="2024-06-20"))
        summed = self.loan(await self.ask(path, as_of="2030-01-01", known_on="2024-06-20"))
        for name in ("principal", "overdue", "interest", "penalty", "compound"):
            assert folded[f"{name}_minor"] == summed[f"{name}_minor"], "the fold and its accounts"
        assert folded["overdue_minor"] > 0, "the principal of the 20th was not paid"
        before = await self.ask(path, known_on="2024-03-01")
        assert before["loans"] == []

    @staticmethod
    def loan(found: Any) -> dict[str, Any]:
        (loan,) = [loan for loan in found["loans"] if loan["bank"] == BANK]
        return dict(loan)

    async def the_proof_offline(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The balance at the close of 20 June, up to a head that two banks have cosigned."""
        auditor = self.house["auditor-auditor"]
        document = await auditor.get(
            f"/v1/books/{BOOK}/balance-proof",
            **CASH,
            currency="CNY",
            day="2024-06-20",
            witnessed=2,
        )
        now = await self.ask(f"/v1/books/{BOOK}/balances", **CASH, known_on="2024-06-20")
        policy = Policy(
            log=VerifierKey(NAME, ED25519, key_of("log").public),
            witnesses=tuple(
                VerifierKey(bank, COSIGNATURE_V1, key_of(bank).public) for bank in table.BANKS
            ),
            threshold=2,
        )
        (folder / "policy.json").write_bytes(notes.write_policy(policy))
        (folder / "proof.json").write_bytes(msgspec.json.encode(document))
        words = ["proof", str(folder / "proof.json"), "--policy", str(folder / "policy.json")]
        assert run(words) == 0
        verdict = json.loads(capsys.readouterr().out)
        assert verdict["verified"] is True
        assert verdict["witnesses"] == ["cib", "czbank"]
        assert verdict["balance"]["balance_minor"] == now["sums_minor"]["CNY"]
        joined = await self.ask(
            "/v1/entries", source="REF-pay-4", known_top=verdict["top_size"], proof="true"
        )
        assert {line["party"] for line in joined["entries"]} == {BANK, "qinghe"}
