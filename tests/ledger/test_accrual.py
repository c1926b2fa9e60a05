"""Standing accruals: the pure rule, and the database's set-based run equal to it."""

import secrets
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from api import auditing
from api.database import SERVICE, Database, Standing
from ledger import accrual, accrual_service, leaves, merkle, store, store_audit_accruals
from ledger import service as ledger
from ledger.accrual import AccrualConflict, Accrued, NoSuchAccrual, Terms
from ledger.entries import Account, Entry
from ledger.errors import NotAllowed, WrongInput
from ledger.journal import AccountTerms
from ledger.leaves import Actor, Leaf
from tests.invariants import fresh_guards
from tests.ledger.recorded_story import LOG, altered

DAY = date(2024, 3, 1)
OWNER = "bank-a"
BOOK = "own-bank-a-loans"
ME = Standing("liandai_app", OWNER)
ACTOR = Actor(institution=OWNER, user="someone")


LOAN = ("loan.principal", "loan.interest")


def own(code: str, ref: str = "") -> Account:
    return Account(OWNER, code, "", ref, "CNY")


def terms(name: str = "loan-1", *, rate_ppm: int = 34_500, year_days: int = 360) -> Terms:
    return Terms(
        accrual=name,
        base=own("loan.principal", name),
        debit=own("loan.interest", name),
        credit=own("income"),
        rate_ppm=rate_ppm,
        year_days=year_days,
    )


BEGUN = Accrued(number=0, units=0, posted_minor=0, through=DAY)


@pytest.mark.parametrize(
    ("balance_minor", "rate_ppm", "year_days", "nights", "posted_minor"),
    [
        # balance      rate     year  nights  posted
        (1_000_000_00, 34_500, 360, 1, 9583),  # 9583.33 fen
        (1_000_000_00, 34_500, 360, 3, 28750),  # exactly
        (1_000_000_00, 34_500, 365, 1, 9452),  # 9452.05
        (360, 500_000, 360, 1, 1),  # a half goes up
        (-360, 500_000, 360, 1, -1),  # and a half of a debt away from zero
        (359, 500_000, 360, 1, 0),
        (0, 34_500, 360, 30, 0),
        (360, -500_000, 360, 1, -1),
    ],
)
def test_a_night_is_rounded_half_up(
    balance_minor: int, rate_ppm: int, year_days: int, nights: int, posted_minor: int
) -> None:
    state = accrual.accrue(
        terms(rate_ppm=rate_ppm, year_days=year_days),
        BEGUN,
        balance_minor=balance_minor,
        day=DAY + timedelta(days=nights),
    )
    assert state.posted_minor == posted_minor


@given(
    st.lists(st.tuples(st.integers(-(10**13), 10**13), st.integers(0, 9)), max_size=40),
    st.sampled_from(accrual.YEAR_DAYS),
)
def test_no_nights_rounding_is_lost(nights: list[tuple[int, int]], year_days: int) -> None:
    due, state = Fraction(0), BEGUN
    for balance_minor, days in nights:
        day = state.through + timedelta(days=days)
        state = accrual.accrue(
            terms(year_days=year_days), state, balance_minor=balance_minor, day=day
        )
        due += Fraction(balance_minor * 34_500 * days, 10**6 * year_days)
        assert abs(due - state.posted_minor) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"accrual": "No"}, "$.accrual"),
        ({"rate_ppm": 0}, "$.rate_ppm"),
        ({"rate_ppm": 10**7 + 1}, "$.rate_ppm"),
        ({"year_days": 364}, "$.year_days"),
        ({"debit": own("income")}, "$.credit"),
        ({"debit": own("Income")}, "$.debit.code"),
        ({"base": own("due.principal")}, "$.base.code"),
    ],
)
def test_terms_that_mean_nothing_are_refused_by_place(changed: dict, place: str) -> None:
    from msgspec.structs import replace

    with pytest.raises(WrongInput) as refused:
        accrual_service.check_terms(replace(terms(), **changed), owner=OWNER)
    assert refused.value.place == place


def test_another_partys_accounts_accrue_nothing() -> None:
    with pytest.raises(NotAllowed):
        accrual_service.check_terms(terms(), owner="bank-b")


# ---- on the database


@pytest.fixture
async def house_book(database: Database) -> Database:
    async with database.transaction(SERVICE) as conn:
        await ledger.open_business_day(conn, day=DAY)
    async with database.transaction(ME) as conn:
        await ledger.open_book(
            conn, book=BOOK, purpose="house", lead=OWNER, members=(), salt=secrets.token_bytes(32)
        )
    return database


async def post(database: Database, entries: tuple[Entry, ...], *, day: date) -> None:
    async with database.transaction(ME) as conn:
        await ledger.append(
            conn,
            [
                Leaf(
                    book=BOOK,
                    kind="transaction",
                    leaf_id=f"posted:{secrets.token_hex(4)}",
                    subject={"type": "OwnPosting", "reference": "n"},
                    entries=entries,
                    value_date=day,
                    booking_date=day,
                    recorded_at=datetime.now(UTC),
                    actor=ACTOR,
                    corrects=None,
                )
            ],
        )


async def set_to(database: Database, asked: Terms, *, name: str) -> int:
    async with database.transaction(ME) as conn:
        return await accrual_service.set_accrual(
            conn, book=BOOK, terms=asked, command=name, actor=ACTOR, now=datetime.now(UTC)
        )


async def next_morning(database: Database, day: date, *, command: str) -> int:
    async with database.transaction(SERVICE) as conn:
        if (await ledger.hold(conn, book=BOOK)).open_day < day:
            await ledger.close_day(conn, book=BOOK, next_day=day, recorded_at=datetime.now(UTC))
        held = await ledger.hold(conn, book=BOOK)
        return await accrual_service.accrue(conn, held=held, command=command, now=datetime.now(UTC))


async def stored(database: Database) -> dict[Account, int]:
    async with database.transaction(SERVICE) as conn:
        rows = await store.accounts(conn, book=BOOK)
    return {
        Account(row.party, row.code, row.counterparty, row.ref, row.currency): row.balance_minor
        for row in rows
    }


async def limited(database: Database, account: Account) -> None:
    terms_of = AccountTerms(account=account, side=None, least_minor=None, most_minor=10**15)
    async with database.transaction(ME) as conn:
        await ledger.append(
            conn,
            [
                Leaf(
                    book=BOOK,
                    kind="account",
                    leaf_id=f"terms:{secrets.token_hex(4)}",
                    subject=msgspec.to_builtins(terms_of),
                    entries=(),
                    value_date=DAY,
                    booking_date=DAY,
                    recorded_at=datetime.now(UTC),
                    actor=ACTOR,
                    corrects=None,
                )
            ],
        )


@pytest.mark.parametrize("seed", range(3))
async def test_the_set_based_run_equals_the_pure_rule_fen_for_fen_and_byte_for_byte(
    house_book: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, day = Random(seed), DAY
    standing: dict[str, tuple[Terms, Accrued]] = {}
    bases = [own("loan.principal", f"l{n}") for n in range(6)]
    moved = [own("loan.interest", f"l{n}") for n in range(4)]
    credits = [own("income"), own("income.other", "x")]
    opening = [Entry(account, random.randrange(1, 10**11)) for account in (*bases, *moved)]
    total = sum(entry.amount_minor for entry in opening)
    tails = (Entry(credits[0], -total + 7), Entry(credits[1], -7))
    await post(house_book, (*opening, *tails), day=day)
    for turn in range(8):
        for number in range(random.randrange(3)):
            asked = Terms(
                accrual=f"a{turn}-{number}",
                base=random.choice(bases),
                debit=random.choice(moved),
                credit=random.choice([*credits, own("loan.principal", "l0")]),
                rate_ppm=random.choice((1, 34_500, 999_999, -20_000)),
                year_days=random.choice(accrual.YEAR_DAYS),
            )
            if len({asked.base, asked.debit, asked.credit}) < 3:
                continue
            await set_to(house_book, asked, name=f"set:{turn}:{number}")
            state = Accrued(number=len(standing), units=0, posted_minor=0, through=day)
            standing[asked.accrual] = (asked, state)
        amount = random.randrange(1, 10**10) * random.choice((1, -1))
        paid = (Entry(random.choice(bases), amount), Entry(credits[0], -amount))
        await post(house_book, paid, day=day)
        day += timedelta(days=random.choice((1, 1, 3)))
        before = await stored(house_book)
        order = {account: number for number, account in enumerate(before)}
        after = {
            name: accrual.accrue(asked, state, balance_minor=before[asked.base], day=day)
            for name, (asked, state) in standing.items()
        }
        due = accrual.postings(
            [
                (state.number, asked, after[name].posted_minor - state.posted_minor)
                for name, (asked, state) in standing.items()
            ],
            order=order,
        )
        written = await next_morning(house_book, day, command=f"accrual:{day}")
        standing = {name: (asked, after[name]) for name, (asked, _) in standing.items()}
        async with house_book.transaction(SERVICE) as conn:
            size = (await ledger.book(conn, book=BOOK)).size
            rows = await store.leaf_bytes(
                conn, book=BOOK, from_position=size - written, to_position=size
            )
            found = await accrual_service.accruals(conn, book=BOOK)
        said = [leaves.decode(row.bytes) for row in rows]
        assert [leaf.entries for leaf in said] == due
        assert [leaves.encode(leaf) for leaf in said] == [row.bytes for row in rows]
        assert [merkle.leaf_hash(row.bytes) for row in rows] == [row.hash for row in rows]
        assert {one.terms.accrual: (one.terms, one.state) for one in found} == standing
        for entries in due:
            for entry in entries:
                before[entry.account] += entry.amount_minor
        assert await stored(house_book) == before
    await holds(house_book)


async def holds(database: Database, *, follows: bool = True) -> None:
    """Running balances, and every row of leaves and entries, say what the bytes say.

    follows  whether the accruals were set by leaves
    """
    async with database.transaction(SERVICE) as conn:
        await conn.execute(text("SELECT set_config('role', 'liandai_auditor', true)"))
        from ledger import store_audit

        assert not await store_audit.wrong_running_balances(conn)
        assert not await store_audit.wrong_balances(conn)
        assert not await store_audit.unbalanced(conn)
        if follows:
            assert not await store_audit_accruals.accruals_unlike_leaves(conn)
            assert not await store_audit_accruals.accrued_unlike_accruals(conn)


async def test_many_accruals_take_as_many_leaves_as_they_need(house_book: Database) -> None:
    """A leaf holds a block of accruals; the shared income account has one entry in each."""
    count = 2_300
    entries = [Entry(own("loan.principal", f"l{n}"), 10**8) for n in range(count)]
    for start in range(0, count, 1_000):
        part = entries[start : start + 1_000]
        await post(house_book, (*part, Entry(own("income"), -len(part) * 10**8)), day=DAY)
    async with house_book.transaction(SERVICE) as conn:
        await conn.execute(
            text("SELECT set_config('role', 'liandai_ledger', true)"),
        )
        await conn.execute(
            text(
                "INSERT INTO ledger.accrual (book_id, accrual_no, accrual, base_no, debit_no, "
                "credit_no, rate_ppm, year_days, through) "
                "SELECT a.book_id, row_number() OVER (ORDER BY a.account_no) - 1, 'x' || a.ref, "
                "a.account_no, d.account_no, c.account_no, 34500, 360, :day "
                "FROM ledger.account a JOIN ledger.account d ON d.book_id = a.book_id "
                "AND d.code = a.code AND d.ref = 'l0' JOIN ledger.account c "
                "ON c.book_id = a.book_id AND c.code = 'income' "
                "WHERE a.code = 'loan.principal' AND a.ref <> 'l0'"
            ),
            {"day": DAY},
        )
    assert await next_morning(house_book, DAY + timedelta(days=1), command="accrual:x") == 3
    assert await next_morning(house_book, DAY + timedelta(days=1), command="accrual:y") == 0
    await holds(house_book, follows=False)


async def test_a_day_that_moves_every_account_writes_to_no_index_of_accounts(
    house_book: Database,
) -> None:
    """A page has room for the new balances beside the old ones (heap-only tuples)."""
    names = [f"l{n}" for n in range(300)]
    entries = [Entry(own(code, n), 10**8) for n in names for code in LOAN]
    await post(house_book, (*entries, Entry(own("income"), -len(entries) * 10**8)), day=DAY)
    for name in names:
        await set_to(house_book, terms(name), name=f"set:{name}")
    day = DAY + timedelta(days=1)
    async with house_book.transaction(SERVICE) as conn:
        await ledger.close_day(conn, book=BOOK, next_day=day, recorded_at=datetime.now(UTC))
    async with house_book.transaction(SERVICE) as conn:
        held = await ledger.hold(conn, book=BOOK)
        await accrual_service.accrue(conn, held=held, command="a:1", now=datetime.now(UTC))
        moved = await conn.execute(
            text(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables "
                "WHERE relid = 'ledger.account'::regclass"
            )
        )
    assert moved.one() == (301, 301)


async def test_a_rate_alters_from_the_open_day_on_and_nothing_else_does(
    house_book: Database,
) -> None:
    entries = [
        Entry(own("loan.principal", "loan-1"), 3600),
        Entry(own("loan.interest", "loan-1"), 1),
    ]
    await post(house_book, (*entries, Entry(own("income"), -3601)), day=DAY)
    with pytest.raises(AccrualConflict, match="not there, or limited"):
        await set_to(house_book, terms("unknown"), name="set:0")
    await set_to(house_book, terms(rate_ppm=500_000), name="set:1")
    assert await next_morning(house_book, DAY + timedelta(days=1), command="a:1") == 1
    await set_to(house_book, terms(rate_ppm=1_000_000), name="set:2")
    assert await next_morning(house_book, DAY + timedelta(days=2), command="a:2") == 1
    assert (await stored(house_book))[own("loan.interest", "loan-1")] == 1 + 5 + 10
    with pytest.raises(AccrualConflict, match="has ended, or"):
        await set_to(house_book, terms(year_days=365), name="set:3")
    async with house_book.transaction(ME) as conn:
        await accrual_service.end_accrual(
            conn, book=BOOK, accrual="loan-1", command="end", actor=ACTOR, now=datetime.now(UTC)
        )
    assert await next_morning(house_book, DAY + timedelta(days=3), command="a:3") == 0
    with pytest.raises(AccrualConflict, match="has ended, or"):
        await set_to(house_book, terms(), name="set:4")
    with pytest.raises(NoSuchAccrual, match="loan-1"):
        async with house_book.transaction(ME) as conn:
            await accrual_service.end_accrual(
                conn, book=BOOK, accrual="loan-1", command="e", actor=ACTOR, now=datetime.now(UTC)
            )
    await holds(house_book)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE ledger.accrual SET units = units + 1", "loan-1: units comes to"),
        ("UPDATE ledger.accrual SET posted_minor = posted_minor + 1", "posted_minor comes to 5,"),
        ("UPDATE ledger.accrual SET through = through + 1", "through comes to 2024-03-02"),
        ("UPDATE ledger.accrual SET rate_ppm = 1", "rate_ppm comes to 500000, not 1"),
        ("UPDATE ledger.accrual SET year_days = 365", "year_days comes to 360, not 365"),
        ("UPDATE ledger.accrual SET base_no = debit_no", "base_no comes to"),
        ("UPDATE ledger.accrual SET is_ended = true", "is_ended comes to False, not True"),
        ("UPDATE ledger.accrual SET accrual_no = 7", "accrual_no comes to 0, not 7"),
        ("UPDATE ledger.accrual SET accrual = 'other'", "accrual other: no leaf sets it"),
        ("DELETE FROM ledger.accrual", "accruals come to 0, and 5 was posted"),
        ("DELETE FROM ledger.accrual", "loan-1: a leaf sets it, and it is not there"),
    ],
)
async def test_an_accrual_altered_by_hand_is_named_by_the_audit(
    house_book: Database, statement: str, named: str
) -> None:
    entries = [
        Entry(own("loan.principal", "loan-1"), 3600),
        Entry(own("loan.interest", "loan-1"), 1),
    ]
    await post(house_book, (*entries, Entry(own("income"), -3601)), day=DAY)
    await set_to(house_book, terms(rate_ppm=500_000), name="set:1")
    assert await next_morning(house_book, DAY + timedelta(days=1), command="a:1") == 1
    superuser = create_async_engine(house_book._engine.url, poolclass=NullPool)
    async with altered(superuser, statement) as conn:
        guards = await fresh_guards(house_book)
        found = await auditing.holdings(conn, log=LOG, on_record=str(LOG), guards=guards)
    await superuser.dispose()
    (folded,) = [one for one in found if one.name == "I3"]
    assert not folded.holds
    assert any(named in line for line in folded.broken), folded.broken


async def test_an_account_an_accrual_posts_to_has_no_limit(house_book: Database) -> None:
    entries = [Entry(own("loan.principal", "loan-1"), 9), Entry(own("loan.interest", "loan-1"), 1)]
    await post(house_book, (*entries, Entry(own("income"), -10)), day=DAY)
    await set_to(house_book, terms(), name="set:1")
    with pytest.raises(AccrualConflict, match="end it, or set no limit"):
        await limited(house_book, own("income"))
    await limited(house_book, own("loan.principal", "loan-1"))
