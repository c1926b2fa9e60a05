"""What is kept and shown to others, to be checked offline with `liandai proof`."""

from datetime import date

from litestar import get
from litestar.params import FromPath, FromQuery

from api.database import SERVICE
from api.desk import AtDesk
from api.identity import may
from ledger import evidence, notes
from ledger import service as ledger
from ledger.entries import Account
from ledger.errors import Absent, WrongInput
from ledger.proven import BalanceProof
from ledger.receipts import Receipt

TAGS = ["ledger"]


def witnessing(witnessed: int | None, witnesses: str | None) -> evidence.Witnessing | None:
    """What a query asks of the last head's cosignatures; None where it asks nothing."""
    if witnesses is not None and witnessed is None:
        raise WrongInput("witnesses", "how many of them must have cosigned, in `witnessed`")
    if witnessed is None:
        return None
    if not 1 <= witnessed <= notes.MAX_SIGNATURES:
        raise WrongInput("witnessed", f"1 to {notes.MAX_SIGNATURES} witnesses")
    return evidence.Witnessing(
        at_least=witnessed, witnesses=tuple(witnesses.split(",")) if witnesses else None
    )


@get("/v1/books/{book:str}/records/{record:str}/receipt", guards=[may("read-records")], tags=TAGS)
async def receipt(
    desk: AtDesk,
    book: FromPath[str],
    record: FromPath[str],
    witnessed: FromQuery[int | None] = None,
    witnesses: FromQuery[str | None] = None,
) -> Receipt:
    """The receipt of one record: keep it, and check it offline with `liandai proof`.

    It is there within a second of the record, and with `witnessed` once so many have cosigned.
    """
    asked = witnessing(witnessed, witnesses)
    return await desk.ask(
        lambda conn: evidence.receipt(conn, book=book, leaf_id=record, witnessing=asked)
    )


@get("/v1/books/{book:str}/balance-proof", guards=[may("read-ledger")], tags=TAGS)
async def balance_proof(
    desk: AtDesk,
    book: FromPath[str],
    party: FromQuery[str],
    code: FromQuery[str],
    currency: FromQuery[str],
    day: FromQuery[date],
    counterparty: FromQuery[str] = "",
    ref: FromQuery[str] = "",
    witnessed: FromQuery[int | None] = None,
    witnesses: FromQuery[str | None] = None,
) -> BalanceProof:
    """The proof of one account's balance at the close of a day, without showing any other.

    It holds the balance under the last seal by that day, and the receipt of that seal; check it
    offline with `liandai proof`. Your own accounts; any, for an auditor.
    """
    asked = witnessing(witnessed, witnesses)
    account = Account(party, code, counterparty, ref, currency)
    await desk.ask(lambda conn: ledger.book(conn, book=book))
    if desk.asker.kind != "auditor" and party != desk.asker.institution:
        raise Absent(f"no such account in book {book}")
    return await desk.ask(
        lambda conn: evidence.balance_proof(
            conn, book=book, day=day, account=account, witnessing=asked
        ),
        standing=SERVICE,
    )


HANDLERS = (receipt, balance_proof)
