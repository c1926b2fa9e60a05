"""A bearer token becomes a person: looked up once however many ask, and anew once forgotten."""

import asyncio

import pytest

from api.identity import Asker, Askers
from api.problems import HttpRefusal
from tests.house import House


class Counted(Askers):
    """How often the database was asked."""

    reads = 0

    async def _read(self, digest: bytes) -> Asker:
        self.reads += 1
        return await super()._read(digest)


async def test_a_token_borne_by_many_requests_at_once_is_looked_up_once(house: House) -> None:
    askers = Counted(house.installation.database)
    bearer = house["hzbank-officer"].headers["Authorization"]
    found = await asyncio.gather(*(askers.find(bearer) for _ in range(50)))
    assert {asker.person for asker in found} == {"hzbank-officer"}
    assert askers.reads == 1
    await askers.find(bearer)
    assert askers.reads == 1


async def test_what_was_asked_before_it_was_forgotten_answers_nobody_after(house: House) -> None:
    askers = Counted(house.installation.database)
    bearer = house["hzbank-officer"].headers["Authorization"]
    before = asyncio.create_task(askers.find(bearer))
    await asyncio.sleep(0)
    askers.forget()
    await asyncio.gather(before, askers.find(bearer))
    await askers.find(bearer)
    assert askers.reads == 2


async def test_a_wrong_token_is_refused_to_everyone_who_bears_it(house: House) -> None:
    askers = Counted(house.installation.database)
    found = await asyncio.gather(
        *(askers.find(f"Bearer ldt_{'x' * 43}") for _ in range(5)), return_exceptions=True
    )
    assert all(isinstance(refused, HttpRefusal) for refused in found)
    with pytest.raises(HttpRefusal):
        await askers.find(None)


async def test_who_waits_no_longer_takes_the_look_up_from_nobody(house: House) -> None:
    askers = Counted(house.installation.database)
    bearer = house["hzbank-officer"].headers["Authorization"]
    one, other = (asyncio.create_task(askers.find(bearer)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    assert (await other).person == "hzbank-officer"
