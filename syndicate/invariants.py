"""Do the syndicate's invariants hold on this database, now? Each is one named check.

    I12  participants' shares sum to the facility amount to the fen
    I15  nobody reads borrower data without a live consent

A check judges what is on record again, by the other records, and believes no outcome written down.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.holding import MOST_NAMED, Check, Seen
from syndicate import store_audit
from syndicate.disclosure.room_service import reads_without_consent
from syndicate.facility import invariants as facilities


async def _consented(conn: AsyncConnection, seen: Seen) -> None:
    seen.looked_at = await store_audit.allowed_reads(conn)
    unlawful = await reads_without_consent(conn)
    for read in await store_audit.reads(conn, ids=unlawful[:MOST_NAMED]):
        seen.offence(
            f"{read.access}: {read.reader} read {', '.join(read.classes)} of {read.borrower} on "
            f"{read.business_day} for {read.purpose}, and no live consent it names covers that"
        )


CHECKS: Final = (
    *facilities.CHECKS,
    Check(
        "I15",
        "allowed reads of borrower data by others: for each class, and each fact shown, a consent "
        "for this reader and purpose was live when it was read",
        _consented,
    ),
)
