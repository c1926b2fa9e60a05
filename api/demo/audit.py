"""The auditor's part of the demonstration: questions, witnesses, the bundle, the verdict."""

import io
import time
import zipfile
from pathlib import Path
from typing import Any

from api import bundles
from api.client import Answered, Client
from api.demo.deals import BANKS, LOSSES
from api.demo.people import Cast
from api.demo.stage import Stage, yuan
from api.demo.story import FACILITY_2, Told
from api.demo.table import who
from api.keys import write_private
from api.reperformance import judged
from ledger import merkle, notes
from ledger.money import format_amount
from syndicate.risk.share import answer

PATIENCE_SECONDS = 30.0


class Audit:
    """What the auditor does with its own token, and then without any."""

    def __init__(self, cast: Cast, stage: Stage, *, installation: str, log_key: str) -> None:
        self.cast = cast
        self.stage = stage
        self.installation = installation
        self.log_key = notes.read_verifier_key(log_key, place="log key")

    @property
    def auditor(self) -> Client:
        """The auditor's client."""
        return self.cast["auditor-auditor"]

    def questions(self) -> None:
        """A balance of the past as known then and as known now, and what is behind an entry."""
        self.stage.chapter("审计", "the auditor asks")
        path = f"/v1/books/{FACILITY_2}/balances"
        asked = {"party": "hzbank", "value_until": "2025-12-31"}
        then = self.auditor.get(path, **asked, known_on="2025-12-31")
        now = self.auditor.get(path, **asked)
        known_then, known_now = _by_account(then), _by_account(now)
        self.stage.table(
            "杭州银行在第二笔的余额 hzbank in deal 2 as of 2025-12-31",
            ("科目 account", "当日所知 known that day", "现在所知 known at the end"),
            [
                (name, yuan(known_then.get(name, 0)), yuan(known_now.get(name, 0)))
                for name in known_now
                if known_then.get(name, 0) or known_now[name]
            ],
        )
        self.stage.line(
            f"其时日志 {then['known_size']} 条，现 {now['known_size']} 条 leaves then and now: the "
            "guarantor's advance is valued 2025-12-31 and became known in January"
        )
        self._behind_an_entry()

    def _behind_an_entry(self) -> None:
        entries = self.auditor.get(
            f"/v1/books/{FACILITY_2}/entries", party="hzbank", fact="PaymentConfirmed", limit=1
        )["entries"]
        record = entries[0]["record"]
        trace = self.auditor.get(f"/v1/facilities/{FACILITY_2}/trace", record=record)
        self.stage.table(
            f"追溯 behind entry {entries[0]['position']}.{entries[0]['line']}",
            ("事项 fact", "签名 signed by", "记账日 booked"),
            [
                (
                    step["fact"]["type"],
                    ", ".join(step["signed_by"]) or step["actor"]["user"],
                    step["booking_date"],
                )
                for step in trace
            ],
        )

    def trial_balance(self) -> str:
        """The sum of every balance of every book: "0.00"."""
        total = 0
        for book in self.auditor.get("/v1/books"):
            sums = self.auditor.get(f"/v1/books/{book['book']}/balances")["sums_minor"]
            if any(sums.values()):
                raise AssertionError(f"{book['book']} does not balance: {sums}")
            total += sum(sums.values())
        return format_amount(total, currency="CNY")

    def check_shares(self, figures: Told) -> None:
        """The ledger's loss shares equal the calculator's on the same rule and events."""
        events = [
            {"kind": kind, "amount": format_amount(minor, currency="CNY")} for kind, minor in LOSSES
        ]
        calculated = answer(figures["risk_share"], events)["totals"]
        if calculated != figures["loss_shares"]:
            raise AssertionError(f"{calculated} is not {figures['loss_shares']}")
        self.stage.line("与 liandai share 逐分一致 the same to the fen as `liandai share`")

    def witness(self) -> None:
        """Each bank checks that the log only grew, and cosigns its head."""
        self._wait_until_published()
        note = self.auditor.get_bytes("/v1/log/checkpoint")
        opened = notes.open_checkpoint(
            note, origin=f"{self.installation}/top", log=self.log_key, witnesses=[]
        )
        head = opened.checkpoint
        for bank in BANKS:
            line = notes.cosign(note, name=bank, signer=self.cast.keys[bank], time=int(time.time()))
            self.cast[f"{bank}-operations"].post(
                "/v1/log/cosignatures", {"size": head.size, "line": line.decode()}
            )
        self._one_proof()
        self.stage.step(
            "三家银行 all banks", f"联署日志头 cosign the log's head at size {head.size}"
        )

    def _one_proof(self) -> None:
        """A bank checks one leaf of its own book for itself."""
        bank = self.cast["hzbank-officer"]
        head = bank.get(f"/v1/books/{FACILITY_2}/checkpoint")
        record = bank.get(f"/v1/books/{FACILITY_2}/records", after=9, limit=1)["records"][0]
        proof = bank.get(
            f"/v1/books/{FACILITY_2}/proofs/inclusion",
            position=record["position"],
            size=head["size"],
        )
        if not merkle.verify_inclusion(
            leaf=bytes.fromhex(record["leaf_hash"]),
            index=record["position"],
            size=head["size"],
            proof=[bytes.fromhex(digest) for digest in proof["hashes"]],
            root=bytes.fromhex(head["root"]),
        ):
            raise AssertionError("the inclusion proof does not hold")
        self.stage.step(
            who("hzbank"),
            f"自行验证第 {record['position']} 条 verifies leaf {record['position']} by "
            f"{len(proof['hashes'])} hashes",
        )

    def _wait_until_published(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            books = self.auditor.get("/v1/books")
            if all(book["published"] == book["size"] for book in books):
                return
            time.sleep(0.1)
        raise AssertionError("the log is not published in time")

    def take_home(self, folder: Path) -> tuple[dict[str, Any], Path]:
        """(verdict, policy file): the bundle stands in the folder and was verified offline."""
        self.stage.chapter("离线验证", "offline verification")
        for _ in range(50):
            try:
                packed = self.auditor.get_bytes("/v1/bundle")
                break
            except Answered as answered:
                if answered.code != "not-yet-published":
                    raise
                time.sleep(0.1)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        bundles.write_folder(files, folder)
        policy = notes.Policy(log=self.log_key, witnesses=self.cast.witness_keys(), threshold=2)
        policy_file = folder.with_name(folder.name + ".policy.json")
        write_private(policy_file, notes.write_policy(policy).decode())
        verdict = judged(bundles.read_folder(str(folder)), policy)
        size = sum(len(content) for content in files.values())
        self.stage.line(f"审计包 bundle: {folder} ({len(files)} files, {size:,} bytes)")
        self.stage.line(f"自行验证 try: liandai verify {folder} --policy {policy_file}")
        for checked in verdict["checked"]:
            self.stage.line(f"  ✓ {checked}")
        for book, again in verdict["reperformed"].items():
            count = sum(again["facts"].values())
            self.stage.line(f"  ✓ 重算 computed again: {book}, {count} facts")
        for missing in verdict["expected_but_missing"]:
            self.stage.line(f"  缺 missing: {missing}")
        self.stage.line("不能证明的 what this does not prove:")
        for limit in verdict["not_proved"]:
            self.stage.line(f"  · {limit}")
        return verdict, policy_file


def _by_account(found: dict[str, Any]) -> dict[str, int]:
    return {
        " ".join(part for part in (line["code"], line["counterparty"], line["ref"]) if part): (
            line["balance_minor"]
        )
        for line in found["balances"]
    }
