"""Proofs of single answers, to be checked offline with `liandai proof`: a balance, a record."""

from collections.abc import Awaitable, Callable
from datetime import date

from litestar import get
from litestar.params import FromPath, FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api.database import SERVICE
from api.desk import AtDesk, Desk
from api.identity import may
from api.routes.log_proofs import witnessing
from ledger import evidence, notes, proving
from ledger import service as ledger
from ledger.entries import Account
from ledger.errors import Absent, WrongInput
from ledger.proven import Proof

TAGS = ["ledger"]


def _log_key(desk: Desk) -> notes.VerifierKey:
    installation = desk.installation
    return notes.VerifierKey(installation.name, notes.ED25519, installation.signer.public)


def _under(
    top_size: int | None, witnessed: int | None, witnesses: str | None
) -> Callable[[AsyncConnection], Awaitable[int | None]]:
    """Which head of the top log a proof ends at: None for the earliest over the record's."""
    asked = witnessing(witnessed, witnesses)
    if asked is not None and top_size is not None:
        raise WrongInput("top_size", "either top_size or witnessed, not both")

    async def size(conn: AsyncConnection) -> int | None:
        return top_size if asked is None else await evidence.witnessed_top(conn, asked)

    return size


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
    top_size: FromQuery[int | None] = None,
    witnessed: FromQuery[int | None] = None,
    witnesses: FromQuery[str | None] = None,
) -> Proof:
    """The proof of one account's balance at the close of a day, without showing any other.

    It is made under the last seal by that day. Your own accounts; any, for an auditor. With
    `witnessed` it ends at the last head of the top log that so many have cosigned.
    """
    under = _under(top_size, witnessed, witnesses)
    account = Account(party, code, counterparty, ref, currency)

    async def question(conn: AsyncConnection) -> Proof:
        return await proving.prove_balance(
            conn,
            book=book,
            day=day,
            account=account,
            log=_log_key(desk),
            top_size=await under(conn),
        )

    await desk.ask(lambda conn: ledger.book(conn, book=book))
    if desk.asker.kind != "auditor" and party != desk.asker.institution:
        raise Absent(f"no such account in book {book}")
    return await desk.ask(question, standing=SERVICE)


@get("/v1/books/{book:str}/records/{record:str}/proof", guards=[may("read-records")], tags=TAGS)
async def record_proof(
    desk: AtDesk,
    book: FromPath[str],
    record: FromPath[str],
    top_size: FromQuery[int | None] = None,
    witnessed: FromQuery[int | None] = None,
    witnesses: FromQuery[str | None] = None,
) -> Proof:
    """The proof that a record stands in its book's log; with its bytes for an auditor.

    With `witnessed` it ends at the last head of the top log that so many have cosigned. To keep:
    a receipt, which has no bytes and shows nothing of the entries.
    """
    under = _under(top_size, witnessed, witnesses)
    auditor = desk.asker.kind == "auditor"

    async def question(conn: AsyncConnection) -> Proof:
        return await proving.prove_record(
            conn,
            book=book,
            record=record,
            log=_log_key(desk),
            whole=auditor,
            top_size=await under(conn),
        )

    await desk.ask(lambda conn: ledger.fact(conn, book=book, leaf_id=record))
    return await desk.ask(question, standing=SERVICE)


HANDLERS = (balance_proof, record_proof)
