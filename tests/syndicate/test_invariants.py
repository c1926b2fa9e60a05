"""I15 on a real database: a read on record that no live consent allowed is named, whoever wrote it.

The reads are made over HTTP; each case then alters the records behind the service's back and rolls
back again.
"""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from api.auditing import audit_database
from api.settings import Settings
from ledger.holding import look
from ledger.store_audit import speak_as
from syndicate.invariants import CHECKS
from tests.api.test_disclosure import fact, give, offer, read, words
from tests.house import House
from tests.invariants import assert_invariants

I15 = CHECKS[-1]
READ = "WHERE reader = 'hzbank' AND outcome = 'allowed'"
EARLIER = "(SELECT recorded_at - interval '1 hour' FROM syndicate.room_access " + READ + ")"

ALTERED = (
    # what the records say now                how
    ("the consent is not there", "DELETE FROM syndicate.consent"),
    ("it was for another reader", "UPDATE syndicate.consent SET recipient = 'cib'"),
    ("it was for another purpose", "UPDATE syndicate.consent SET purpose = 'neg-other:sales'"),
    ("it covered other classes", "UPDATE syndicate.consent SET classes = '{orders}'"),
    ("it covered one class of two", "UPDATE syndicate.consent SET classes = '{financials}'"),
    (
        "it ended the day before",
        "UPDATE syndicate.consent SET valid_until = '2024-02-29', valid_from = '2024-02-01'",
    ),
    ("it began the day after", "UPDATE syndicate.consent SET valid_from = '2024-03-02'"),
    (
        "it was given an hour later",
        "UPDATE syndicate.consent SET given_at = given_at + interval '1 hour'",
    ),
    (
        "it had been withdrawn",
        "INSERT INTO syndicate.consent_withdrawal "
        f"SELECT borrower, consent, signed, {EARLIER} FROM syndicate.consent",
    ),
    (
        "a later version stood",
        "INSERT INTO syndicate.consent SELECT borrower, consent || '-2', "
        "person, recipient, purpose, '{orders}', valid_from, valid_until, version + 1, evidence, "
        f"signed, {EARLIER} FROM syndicate.consent",
    ),
    ("the read names no consent", f"UPDATE syndicate.room_access SET consents = '{{}}' {READ}"),
    ("the read names another one", f"UPDATE syndicate.room_access SET consents = '{{x}}' {READ}"),
    (
        "the read was of one class more",
        f"UPDATE syndicate.room_access SET classes = classes || 'tax'::text {READ}",
    ),
    ("it showed a fact of no such room", "UPDATE syndicate.room_fact SET room = 'neg-other'"),
    (
        "a refusal was a read after all",
        "UPDATE syndicate.room_access SET outcome = 'allowed', "
        "consents = '{c-hzbank}' WHERE reader = 'czbank'",
    ),
)


async def test_every_allowed_read_had_a_live_consent(house: House, tmp_path: Path) -> None:
    await give(house, words("c-hzbank", "hzbank", classes=["financials", "orders"]))
    await offer(house, "yunshen-borrower", fact("revenue.2023", 12_000_000_00))
    await read(house, "hzbank-officer", ["financials", "orders"])
    await read(house, "czbank-officer", ["financials"], expect=403)
    await read(house, "yunshen-borrower", ["financials"])
    await house.publish()
    await assert_invariants(house.installation.database)
    answer = await audit_database(house.database_url, Settings(home=tmp_path))
    (figure,) = [check for check in answer["checks"] if check["name"] == "I15"]
    assert figure["looked_at"] == 1  # neither the refusal nor the borrower's own read

    engine = create_async_engine(house.database_url, poolclass=NullPool)
    for what, how in ALTERED:
        async with engine.connect() as conn:
            await conn.execute(text("SET LOCAL session_replication_role = replica"))
            await conn.execute(
                text("ALTER TABLE syndicate.room_access DROP CONSTRAINT room_access_check")
            )
            await conn.execute(
                text("ALTER TABLE syndicate.room_access DROP CONSTRAINT room_access_check1")
            )
            await conn.execute(text(how.replace(":", r"\:")))
            await speak_as(conn, role="liandai_service")
            holding = await look(conn, I15)
            await conn.rollback()
        reader = "czbank" if "refusal" in what else "hzbank"
        assert len(holding.broken) == 1, (what, holding)
        assert f": {reader} read financials" in holding.broken[0], (what, holding)
        assert not holding.holds
    await engine.dispose()
