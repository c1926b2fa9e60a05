"""The ledger on PostgreSQL and an auditor's own book agree on every question."""

from collections import Counter
from datetime import timedelta

from api.database import Database
from tests.campaign.recorded import Recording, onlooker, prepare, record
from tests.campaign.size import first_seed, size, tell
from tests.invariants import assert_invariants
from tests.ledger.recorded_story import LOG


async def test_the_database_answers_as_an_auditors_own_book_answers(database: Database) -> None:
    steps, first = size(test=2_000, full=100_000), first_seed()
    await prepare(database)
    figures: Counter[str] = Counter()
    seen_by, seed = onlooker(database), first
    while figures["steps"] < steps:
        figures += await record(database, seen_by, seed=seed)
        seed += 1
    await seen_by.dispose()
    await assert_invariants(database, log=LOG)
    tell(f"PostgreSQL and the model, {seed - first} books, 0 differ", dict(figures.most_common()))
    for due in ("ok", "limit-exceeded", "already-resolved", "pending-expired", "reads", "swept"):
        assert figures[due] > steps // 500, f"too few of {due} to say anything"


async def test_an_episode_slower_than_its_own_clock_ends_no_pending_early(
    database: Database,
) -> None:
    await prepare(database)
    seen_by = onlooker(database)
    for seed in range(1, 13):
        late = Recording(database, seen_by, book=f"own-alfa-late{seed}", seed=seed)
        late.begun -= timedelta(seconds=100)
        await late.run()
    await seen_by.dispose()
