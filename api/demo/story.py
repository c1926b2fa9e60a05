"""The demonstration's story, chapter by chapter, told while it happens through the API."""

from datetime import date, timedelta
from typing import Any

from api.demo import deals
from api.demo.deals import BANKS, WAN
from api.demo.life import Life
from api.demo.people import Cast
from api.demo.stage import Stage, yuan
from api.demo.table import Table, who
from ledger.money import format_amount
from syndicate.reference.calendar import add_workdays

FACILITY_1 = "fac-yunshen"
FACILITY_2 = "fac-qinghe"
LONGEST_RUN_DAYS = 100


Told = dict[str, Any]
"""What the story comes to: the figures of the demo's last line, by name."""


class Story:
    """One telling. `tell` runs it from the first consent to the last recovery."""

    def __init__(self, cast: Cast, stage: Stage) -> None:
        self.cast = cast
        self.stage = stage
        self.figures: Told = {}

    def tell(self) -> Told:
        """The story, to its end on 2026-08-31; returns its figures."""
        self._prologue()
        second = self._deal_2_agreed()
        self._deal_2_performs(second)
        first = self._deal_1_agreed()
        self._deal_2_in_trouble(second, first)
        self._to("2026-09-01")
        return self.figures

    # ---- days

    def _to(self, day: str) -> None:
        """Business days are closed, one after the other, until `day` is open."""
        operator = self.cast["operator"]
        last = date.fromisoformat(day) - timedelta(days=1)
        while True:
            opened = date.fromisoformat(operator.get("/v1/business-days")["open_day"])
            if opened > last:
                break
            step = min(last, add_workdays(opened, LONGEST_RUN_DAYS // 2))
            operator.post("/v1/business-days", {"through": step.isoformat()})
        self.stage.day(last.isoformat())

    # ---- before any deal

    def _prologue(self) -> None:
        self.stage.chapter("参与机构", "who takes part")
        self.stage.fact("杭州银行、兴业银行、浙商银行 are real banks of 浙科联合贷")
        self.stage.illustrative("users, keys, capital figures, guarantor, pool, auditor, 青禾智造")
        self.stage.illustrative("云深处科技's identity code is a valid example, not its own")
        self.stage.line(
            "所有密钥在同一处：独立性是模拟的 all keys stand in one place: simulated independence"
        )
        for bank in BANKS:
            self.cast[f"{bank}-risk"].post(
                "/v1/capital",
                {
                    "as_of": "2023-12-31",
                    "net_capital_minor": 5_000_000 * WAN,
                    "tier1_minor": 4_500_000 * WAN,
                    "illustrative": True,
                },
            )
        self.stage.step(
            "三家银行 all banks", "各自登记资本（保密） record capital, private to each"
        )

    # ---- deal 2: 青禾智造, agreed in March 2024

    def _deal_2_agreed(self) -> Life:
        self.stage.chapter("第二笔：青禾智造（示例）", "deal 2, signed first, in March 2024")
        table = Table(self.cast, self.stage, name="neg-qinghe", borrower="qinghe", lead="cib")
        for bank in BANKS:
            table.consent(bank, ["financials", "orders"], since="2024-03-01", until="2027-03-31")
        self.stage.step(who("qinghe"), "授权三家银行 consents to each bank, until 2027-03-31")
        table.mandate(project="smart-line", since="2024-03-01", until="2024-06-28")
        table.seat()
        proposed = table.officer(
            "cib", "proposals", {"terms": deals.TERMS_2, "answer_within_workdays": 3}
        )
        self.stage.step(
            who("cib"), "提议条款，利差由报价决定 proposes; the spread is left to the book"
        )
        table.accept_all(proposed["standing"], author="cib")
        table.quote(deals.QUOTES_2)
        table.refused("cib-officer", f"{table.root}/clearing", None, "clearing before the deadline")
        self._to("2024-03-05")
        cleared = table.clear()
        self.figures["allocation_2"] = cleared["allocation"]
        table.decide()
        self._to("2024-03-15")
        formed = table.sign(facility=FACILITY_2, signed_on="2024-03-15")
        life = Life(self.cast, self.stage, facility=FACILITY_2, formed=formed)
        self.figures["risk_share"] = formed["risk_share"]
        life.contracts()
        self._to("2024-03-18")
        life.draw("d1", 3_000 * WAN, on="2024-03-18")
        return life

    def _deal_2_performs(self, life: Life) -> None:
        self.stage.chapter("按期还款", "it pays, quarter by quarter, until June 2025")
        for due in ("2024-06-20", "2024-09-20", "2024-12-20"):
            self._to(due)
            life.pay_what_is_due(on=due)
        self.stage.fact("LPR1Y fell from 3.45 % (2024-02) to 3.10 % (2024-10): reset on 2025-03-18")
        for due in ("2025-03-20", "2025-06-20"):
            self._to(due)
            life.pay_what_is_due(on=due)
        rates = self.cast["cib-officer"].get(f"{life.root}/draws/d1")["rates"]
        self.stage.table(
            "利率 rates of the draw",
            ("自 from", "LPR 定盘 fixing", "年利率 rate"),
            [(rate["from_date"], rate["fixed_on"], rate["rate"]) for rate in rates],
        )

    # ---- deal 1: 云深处科技, agreed in September 2025

    def _deal_1_agreed(self) -> Life:
        self.stage.chapter("第一笔：云深处科技", "deal 1, the second half of 2025")
        self.stage.fact("2022-03 杭州银行 lent it 500 万 on credit alone")
        self.stage.fact(
            "2025 H2 浙科领航联合贷 with 兴业银行 and 浙商银行; 杭州银行's line 8,000 万"
        )
        self._to("2025-09-01")
        table = Table(self.cast, self.stage, name="neg-yunshen", borrower="yunshen", lead="hzbank")
        self._information_room(table)
        table.mandate(project="embodied-robots", since="2025-09-01", until="2025-12-31")
        table.seat()
        self._rounds(table)
        table.quote(deals.QUOTES_1)
        self._to("2025-09-17")
        cleared = table.clear()
        self.figures["clearing_spread_bp"] = cleared["clearing_spread_bp"]
        self.figures["allocation"] = _decimals(cleared["allocation"])
        table.decide()
        self._to("2025-09-25")
        formed = table.sign(facility=FACILITY_1, signed_on="2025-09-25")
        self.figures["facility"] = FACILITY_1
        life = Life(self.cast, self.stage, facility=FACILITY_1, formed=formed)
        life.contracts()
        return life

    def _information_room(self, table: Table) -> None:
        """Consent opens the room; team data needs the person's own."""
        classes = ["financials", "intellectual_property", "orders"]
        for bank in BANKS:
            table.consent(bank, classes, since="2025-09-01", until="2026-12-31")
        self.stage.step(who("yunshen"), "授权三家银行 consents to financials, IP, orders")
        room = table.name
        offered = (
            ("hzbank-officer", "loan.2022_03", "financials", 500, "万元"),
            ("yunshen-borrower", "patents.granted", "intellectual_property", 120, "件"),
            ("yunshen-borrower", "orders.open", "orders", 9_000, "万元"),
        )
        for person, item, kind, value, unit in offered:
            self.cast[person].post(
                "/v1/borrowers/yunshen/facts", _room_fact(room, item, kind, value, unit)
            )
        team = {**_room_fact(room, "team.core", "team", 18, "人"), "person": "p-yunshen-1"}
        self.cast["yunshen-borrower"].post("/v1/borrowers/yunshen/facts", team)
        purpose = f"{table.name}:assessment"
        asked = {"purpose": purpose, "classes": classes}
        shown = self.cast["czbank-officer"].post("/v1/borrowers/yunshen/readings", asked)
        self.stage.step(
            who("czbank"), f"查阅资料室 reads {len(shown['facts'])} facts under its consent"
        )
        wants_team = {"purpose": purpose, "classes": ["team"]}
        table.refused(
            "czbank-officer", "/v1/borrowers/yunshen/readings", wants_team, "团队信息 team data"
        )
        table.consent(
            "czbank", ["team"], since="2025-09-01", until="2026-12-31", person="p-yunshen-1"
        )
        self.stage.step(who("yunshen"), "本人单独同意 the person consents for 浙商银行 (PIPL 23)")
        self.cast["czbank-officer"].post("/v1/borrowers/yunshen/readings", wants_team)
        self.stage.step(who("czbank"), "现可查阅 reads team data now")
        seen = self.cast["yunshen-borrower"].get("/v1/borrowers/yunshen/readings")
        outcomes = [reading["outcome"] for reading in seen["readings"]]
        self.stage.step(
            who("yunshen"),
            f"看到每次查阅 sees every read: {outcomes.count('allowed')} allowed, "
            f"{outcomes.count('refused')} refused",
        )

    def _rounds(self, table: Table) -> None:
        """Proposal, counter, and agreement to let the book decide."""
        terms = deals.TERMS_1
        self.stage.illustrative("the rounds, quotes and every amount but 杭州银行's line")
        first = table.officer(
            "hzbank",
            "proposals",
            {"terms": deals.priced(terms, -5), "answer_within_workdays": 3},
        )
        self.stage.step(who("hzbank"), "提议 proposes LPR-5bp")
        countered = table.officer(
            "cib",
            "counters",
            {
                "answers": first["standing"],
                "terms": deals.with_fee(deals.priced(terms, -20), 10),
                "answer_within_workdays": 3,
            },
        )
        self.stage.step(who("cib"), "还价 counters LPR-20bp with a quarterly fee on the undrawn")
        table.refused(
            "czbank-officer",
            f"{table.root}/counters",
            {"answers": first["standing"], "terms": terms, "answer_within_workdays": 3},
            "a counter to a stale version",
        )
        changed = self.cast["hzbank-officer"].get(
            f"{table.root}/differences", before=first["standing"], after=countered["standing"]
        )
        self.stage.line(f"逐项差异 differs in: {', '.join(d['path'] for d in changed)}")
        open_spread = table.officer(
            "hzbank",
            "counters",
            {"answers": countered["standing"], "terms": terms, "answer_within_workdays": 3},
        )
        self.stage.step(who("hzbank"), "改为报价定价 proposes to let quotes decide the spread")
        table.accept_all(open_spread["standing"], author="hzbank")

    # ---- deal 2 in trouble, deal 1 performing beside it

    def _deal_2_in_trouble(self, second: Life, first: Life) -> None:
        self.stage.chapter("出现风险", "deal 2 in trouble, deal 1 performs")
        self.cast["cib-risk"].post(
            f"{second.root}/alerts",
            {
                "alert": "alert-1",
                "kind": "lawsuit",
                "noted_on": "2025-09-18",
                "source": "public-court-notice",
            },
        )
        self.stage.step(
            who("cib"), "预警：涉诉 raises an alert: a lawsuit against 青禾智造（示例）"
        )
        self.stage.illustrative("青禾智造 misses the instalment of 2025-09-22; it is invented")
        self._to("2025-09-26")
        first.draw("d1", 8_000 * WAN, on="2025-09-26", misdirected="cib")
        self._to("2025-12-22")
        first.pay_what_is_due(on="2025-12-22")
        self._event_and_claims(second, first)
        self._losses(second, first)

    def _standing(self, life: Life) -> None:
        positions = self.cast["auditor-auditor"].get(f"{life.root}/positions")
        self.stage.table(
            f"逾期情况 overdue on {positions['on']}",
            (
                "银行 bank",
                "逾期本金 overdue",
                "利息",
                "罚息 penalty",
                "复利",
                "天数 days",
                "分类 class",
            ),
            [
                (
                    who(loan["bank"]),
                    yuan(loan["overdue_minor"]),
                    yuan(loan["interest_minor"]),
                    yuan(loan["penalty_minor"]),
                    yuan(loan["compound_minor"]),
                    loan["days_overdue"],
                    loan["risk_class"],
                )
                for loan in positions["loans"]
            ],
        )

    def _event_and_claims(self, second: Life, first: Life) -> None:
        self._to("2025-12-23")
        self._standing(second)
        self.cast["hzbank-officer"].post(
            f"{first.root}/events",
            {
                "event": "listing-1",
                "kind": "listing-tutoring",
                "happened_on": "2025-12-23",
                "source": "public-disclosure",
                "clause": "listing-tutoring",
            },
        )
        self.stage.fact("2025-12-23 云深处科技 began listing tutoring (IPO 辅导)")
        self.stage.step(who("hzbank"), "登记上行条款事件 records the event its upside clause names")
        second.claim("pool", 1_500_000_00, on="2025-12-23")
        self._to("2026-01-05")
        # Paid on the last day of the year, known on the first business day of the next.
        second.claim("guarantor", 1_700_000_00, on="2025-12-31")
        self._to("2026-01-23")
        first.draw("d2", 5_000 * WAN, on="2026-01-23")

    def _losses(self, second: Life, first: Life) -> None:
        self._to("2026-03-20")
        first.pay_what_is_due(on="2026-03-20")
        (_, loss_1), (_, loss_2), (_, recovery) = deals.LOSSES
        self._to("2026-04-15")
        second.lose("loss-1", loss_1)
        self._to("2026-05-20")
        second.lose("loss-2", loss_2)
        self._to("2026-06-22")
        first.pay_what_is_due(on="2026-06-22")
        self._to("2026-07-15")
        second.recover(recovery, on="2026-07-15")
        losses = second.losses("auditor-auditor")
        totals = {line["party"]: line["borne_minor"] for line in losses["standings"]}
        self.figures["loss_shares"] = _decimals(totals)
        columns = [event["name"] for event in losses["events"]]
        self.stage.table(
            "损失分担 who bears what",
            ("承担方 party", *columns, "合计 net"),
            [
                (
                    who(party),
                    *(
                        yuan(
                            event["shares"].get(party, 0)
                            * (-1 if event["kind"] == "recovery" else 1)
                        )
                        for event in losses["events"]
                    ),
                    yuan(total_minor),
                )
                for party, total_minor in totals.items()
            ],
        )
        for party in ("pool", "hzbank"):
            self.stage.line(f"{who(party)}：")
            for line in losses["explained"][party]:
                self.stage.line(f"    {line}")


def _room_fact(room: str, item: str, kind: str, value: int, unit: str) -> dict[str, Any]:
    return {
        "room": room,
        "item": item,
        "field_class": kind,
        "data_class": "internal",
        "value": value,
        "unit": unit,
        "legal_basis": "consent",
        "as_of": "2025-08-31",
        "confidence": "reported",
    }


def _decimals(amounts: dict[str, int]) -> dict[str, str]:
    return {party: format_amount(minor, currency="CNY") for party, minor in amounts.items()}
