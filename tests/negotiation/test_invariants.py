"""I12, I15, I16 and I17 on a real database: what was altered behind the service's back is named."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from ledger.holding import Holding, look, together
from ledger.store_audit import speak_as
from negotiation import invariants as of_negotiations
from syndicate.facility import invariants as of_facilities
from tests.house import House
from tests.stories import table
from tests.stories.table import WAN

EVERY = (*of_facilities.CHECKS, *of_negotiations.CHECKS)
CHECKS = {
    name: together([check for check in EVERY if check.name == name])
    for name in {check.name for check in EVERY}
}
DEAL, FACILITY = "neg-9", "fac-9"

LET_IN = "INSERT INTO ledger.participation (book_id, party, part, from_position) VALUES "
PART = "UPDATE ledger.participation SET "

ALTERED = (
    # what the records say now                 which breaks   how
    ("a stranger reads the negotiation", "I15", f"{LET_IN} ('neg-9', 'boc', 'member', 0)"),
    ("a stranger reads the facility", "I15", f"{LET_IN} ('fac-9', 'boc', 'member', 0)"),
    (
        "a bank is out of the negotiation",
        "I15",
        f"{PART} until_position = 4 WHERE book_id = 'neg-9' AND party = 'hzbank'",
    ),
    (
        "the borrower is out of the facility",
        "I15",
        f"{PART} until_position = 4 WHERE book_id = 'fac-9' AND party = 'qinghe'",
    ),
    (
        "another bank leads the negotiation",
        "I15",
        f"{PART} part = 'lead' WHERE book_id = 'neg-9' AND party = 'hzbank'",
    ),
    (
        "a bank was called before it was",
        "I15",
        f"{PART} from_position = 0 WHERE book_id = 'neg-9' AND party = 'hzbank'",
    ),
    (
        "a party of the facility has no part in it",
        "I15",
        "DELETE FROM ledger.participation WHERE book_id = 'fac-9' AND party = 'hzbank'",
    ),
    (
        "the terms name another borrower",
        "I15",
        "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{terms,borrower}', '\"boc\"') "
        "WHERE subject->>'type' = 'FacilityFormed'",
    ),
    (
        "the negotiation begins with something else",
        "I15",
        "DELETE FROM ledger.leaf WHERE book_id = 'neg-9' AND position = 0",
    ),
    (
        "the facility is a fen larger",
        "I12",
        "UPDATE syndicate.facility SET total_minor = total_minor + 1",
    ),
    (
        "a bank committed a fen more",
        "I12",
        "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{terms,commitments,cib}', "
        "to_jsonb((subject#>>'{terms,commitments,cib}')::bigint + 1)) "
        "WHERE subject->>'type' = 'FacilityFormed'",
    ),
    (
        "one person made and checked a decision",
        "I16",
        "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{maker}', subject->'checker') "
        "WHERE subject->>'type' = 'BankDecided'",
    ),
    (
        "the facility bears another spread than was signed",
        "I17",
        "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{terms,rate,spread_bp}', '29') "
        "WHERE subject->>'type' = 'FacilityFormed'",
    ),
    (
        "a signature is gone",
        "I17",
        "UPDATE ledger.leaf SET subject = jsonb_set(subject, '{signatures}', "
        "(subject->'signatures') - 0) WHERE subject->>'type' = 'FacilityFormed'",
    ),
    (
        "a decision is gone",
        "I17",
        "DELETE FROM ledger.leaf WHERE subject->>'type' = 'BankDecided' "
        "AND subject->>'bank' = 'cib'",
    ),
)


async def formed(house: House) -> None:
    await table.capital(house)
    await table.consents(house, borrower="qinghe", negotiation=DEAL)
    await table.mandate(house, borrower="qinghe", lead="cib", negotiation=DEAL)
    await table.seat(house, lead="cib", negotiation=DEAL)
    terms = table.terms_of(target_minor=3_000 * WAN, lot_minor=10 * WAN)
    await table.agree(house, lead="cib", negotiation=DEAL, terms=terms)
    await table.quote(house, lead="cib", negotiation=DEAL)
    await house["operator"].post("/v1/business-days", {"through": "2024-03-04"})
    await house["cib-officer"].post(f"/v1/negotiations/{DEAL}/clearing")
    await table.decide(house, lead="cib", negotiation=DEAL)
    await table.sign(house, lead="cib", negotiation=DEAL, facility=FACILITY, signed_on="2024-03-05")


async def looked(url: str, name: str, alteration: str | None) -> Holding:
    """How one invariant stands after an alteration that is rolled back again."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as conn, conn.begin() as transaction:
            if alteration is not None:
                await conn.execute(text("SET LOCAL session_replication_role = replica"))
                assert (await conn.execute(text(alteration))).rowcount
            await speak_as(conn, role="liandai_auditor")
            found = await look(conn, CHECKS[name])
            await transaction.rollback()
            return found
    finally:
        await engine.dispose()


async def test_what_was_altered_behind_the_services_back_is_named(
    house: House, database_url: str
) -> None:
    await formed(house)
    for name in CHECKS:
        holding = await looked(database_url, name, None)
        assert holding.holds, holding
        assert holding.looked_at > 0
    for what, name, alteration in ALTERED:
        holding = await looked(database_url, name, alteration)
        assert not holding.holds, what
        assert DEAL in holding.broken[0] or FACILITY in holding.broken[0], (what, holding.broken)


def test_every_check_has_an_alteration_that_breaks_it() -> None:
    assert {name for _, name, _ in ALTERED} == set(CHECKS)
