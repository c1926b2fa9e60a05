"""How postings to house books share transactions while each is answered by itself.

While one transaction of an institution is under way its further postings wait, and together they
are the next one: the more is asked at once, the fewer commits it takes. A transaction speaks for
one institution, as every other does, so sharing it shows nobody anything.

Only what nothing stands in the way of is done here. A key known or in flight, a refusal, a lost
connection: the postings of that transaction go back to the desk, which answers each alone under its
own key. So every answer is the desk's, and an error is met where it can be told.

    phase                       round trips, however many postings
    begin, speak for            1
    claim the keys              1
    hold, append                2      see `ledger.house`
    keep the answers, commit    2
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from api import store
from api.database import Database, Standing
from ledger import house
from ledger.errors import Refused, WrongInput
from ledger.house import Posted, PostOwn

MOST = 128
"""How many postings one transaction takes: those after them must not wait long."""


LINGER_SECONDS = 0.02
"""The longest that a transaction waits for those answered by the one before: they are about to ask
again together. It never waits longer than that one took, and whoever posts alone never waits."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A posting that waits for its transaction.

    answer   the bytes its poster is answered
    settled  becomes those bytes once they are committed, or None where it was not done here
    """

    key: str
    request_hash: bytes
    asked: PostOwn
    answer: Callable[[Posted], bytes]
    settled: asyncio.Future[bytes | None]


class Lingering(msgspec.Struct, frozen=True):
    """A transaction that waits for so many postings; they are there once `gathered` is set."""

    postings: int
    gathered: asyncio.Event


class Grouping:
    """The waiting postings of one process, by the standing they are asked under."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: defaultdict[Standing, list[Waiting]] = defaultdict(list)
        self._serving: dict[Standing, asyncio.Task[None]] = {}
        self._lingering: dict[Standing, Lingering] = {}

    async def post(
        self,
        standing: Standing,
        *,
        key: str,
        request_hash: bytes,
        asked: PostOwn,
        answer: Callable[[Posted], bytes],
    ) -> bytes | None:
        """The answer, committed under the key with what it answers; None: nothing was done here.

        None may follow a commit whose acknowledgement was lost. Whoever asks again under the same
        key is given that commit's answer.
        """
        try:
            house.check_own(asked)
        except (Refused, WrongInput):
            return None
        one = Waiting(
            key=key,
            request_hash=request_hash,
            asked=asked,
            answer=answer,
            settled=asyncio.get_running_loop().create_future(),
        )
        waiting = self._waiting[standing]
        waiting.append(one)
        if standing not in self._serving:
            self._serving[standing] = asyncio.create_task(self._serve(standing))
        lingering = self._lingering.get(standing)
        if lingering is not None and len(waiting) >= lingering.postings:
            lingering.gathered.set()
        return await one.settled

    async def _serve(self, standing: Standing) -> None:
        """Transaction after transaction until none of the standing's postings waits."""
        try:
            while waiting := self._waiting.pop(standing, None):
                if len(waiting) > MOST:
                    self._waiting[standing] = waiting[MOST:]
                begun = time.monotonic()
                await self._settle(standing, waiting[:MOST])
                took = time.monotonic() - begun
                await self._linger(standing, answered=min(len(waiting), MOST), at_most=took)
        finally:
            del self._serving[standing]

    async def _linger(self, standing: Standing, *, answered: int, at_most: float) -> None:
        """Those who wait by now wait together with those just answered, should they ask again."""
        waiting = len(self._waiting.get(standing, ()))
        if answered + waiting == 1 or waiting >= MOST:
            return
        lingering = Lingering(min(answered + waiting, MOST), asyncio.Event())
        self._lingering[standing] = lingering
        try:
            async with asyncio.timeout(min(at_most, LINGER_SECONDS)):
                await lingering.gathered.wait()
        except TimeoutError:
            pass
        finally:
            del self._lingering[standing]

    async def _settle(self, standing: Standing, group: Sequence[Waiting]) -> None:
        answers: dict[Waiting, bytes] = {}
        try:
            answers = await self._commit(standing, group)
        except Exception:  # noqa: S110  the desk asks again, alone, and meets the error there
            pass
        finally:
            for one in group:
                if not one.settled.done():
                    one.settled.set_result(answers.get(one))

    async def _commit(self, standing: Standing, group: Sequence[Waiting]) -> dict[Waiting, bytes]:
        """The answers of those whose keys were free, by posting; all of them are committed."""
        first_of = {one.key: one for one in reversed(group)}
        async with self._database.driver_transaction(standing) as driver:
            claims = await store.claim(
                driver, institution=standing.institution, keys=sorted(first_of)
            )
            done = [first_of[claim.key] for claim in claims if claim.free and claim.status is None]
            if not done:
                return {}
            places = await house.post_own(driver, [one.asked for one in done])
            answers = {one: one.answer(posted) for one, posted in zip(done, places, strict=True)}
            await store.add_answers(
                driver,
                [
                    store.Answer(
                        institution=standing.institution,
                        key=one.key,
                        request_hash=one.request_hash,
                        status=201,
                        media_type="application/json",
                        body=body,
                        answered_at=one.asked.now,
                        promise=None,
                    )
                    for one, body in answers.items()
                ],
            )
        return answers
