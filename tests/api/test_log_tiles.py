"""The logs over HTTP as files: a reader that fetches nothing but tiles derives the signed roots."""

import asyncio

import pytest

from ledger import merkle, notes, tiles
from ledger.tiles import Tile
from tests.house import NAME, House, key_of

LOG = notes.VerifierKey(NAME, notes.ED25519, key_of("log").public)


async def fetched(house: House, prefix: str, size: int, headers=None) -> dict[Tile, bytes]:
    """Every tile of a tree of that size, as the service serves it."""
    found = {}
    for tile in tiles.tiles_of(size):
        answer = await house.http.get(f"{prefix}/tile/{tile.path}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/octet-stream"
        assert "immutable" in answer.headers["cache-control"]
        found[tile] = answer.content
    return found


async def head_of(house: House, prefix: str, book: str, headers=None) -> notes.Checkpoint:
    answer = await house.http.get(f"{prefix}/checkpoint", headers=headers)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    opened = notes.open_checkpoint(answer.content, origin=f"{NAME}/{book}", log=LOG, witnesses=[])
    return opened.checkpoint


async def test_anyone_derives_the_top_logs_root_from_its_tiles(house: House) -> None:
    await house.publish()
    first = await head_of(house, "/v1/log", "top")
    await house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-tiles"})
    await post(house, 300)
    await house.publish()
    head = await head_of(house, "/v1/log", "top")
    served = await fetched(house, "/v1/log", head.size)
    assert tiles.derive_root(head.size, served.__getitem__) == head.root
    node = tiles.lookup(head.size, served.__getitem__)
    proof = merkle.consistency_proof(old_size=first.size, new_size=head.size, node=node)
    assert merkle.verify_consistency(
        old_size=first.size,
        old_root=first.root,
        new_size=head.size,
        new_root=head.root,
        proof=proof,
    )


async def post(house: House, count: int) -> None:
    """That many transactions stand in hzbank's book of its own."""
    for start in range(0, count, 100):
        body = [
            {
                "value_date": "2024-03-01",
                "reference": f"t-{start + number}",
                "entries": [
                    {"code": "cash", "ref": "", "currency": "CNY", "amount_minor": 5},
                    {"code": "suspense", "ref": "", "currency": "CNY", "amount_minor": -5},
                ],
            }
            for number in range(min(100, count - start))
        ]
        await house["hzbank-operations"].post("/v1/books/own-hzbank-tiles/transactions/batch", body)


async def test_a_member_derives_its_books_root_and_an_auditor_its_leaves(house: House) -> None:
    await house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-tiles"})
    await post(house, 300)
    await house.publish()
    prefix = "/v1/books/own-hzbank-tiles/log"
    member, auditor = house["hzbank-officer"].headers, house["auditor-auditor"].headers
    head = await head_of(house, prefix, "own-hzbank-tiles", member)
    assert head.size == 300
    served = await fetched(house, prefix, head.size, member)
    assert [tile.path for tile in served] == ["0/000", "0/001.p/44", "1/000.p/1"]
    assert tiles.derive_root(head.size, served.__getitem__) == head.root
    leaves = []
    for bundle in tiles.bundles_of(head.size):
        answer = await house.http.get(f"{prefix}/tile/entries/{bundle.path}", headers=auditor)
        assert answer.status_code == 200, answer.text
        leaves += tiles.entries_of(answer.content)
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in leaves]) == head.root
    entries = f"{prefix}/tile/entries/000"
    assert (await house.http.get(entries, headers=member)).status_code == 403
    stranger = house["cib-officer"].headers
    for path in (f"{prefix}/checkpoint", f"{prefix}/tile/0/000"):
        assert (await house.http.get(path, headers=stranger)).status_code == 404


async def test_leaves_of_the_top_log_name_books_and_are_for_auditors(house: House) -> None:
    await house.publish()
    head = await head_of(house, "/v1/log", "top")
    (bundle,) = tiles.bundles_of(head.size)
    path = f"/v1/log/tile/entries/{bundle.path}"
    assert (await house.http.get(path)).status_code == 401
    assert (await house.http.get(path, headers=house["cib-officer"].headers)).status_code == 403
    answer = await house.http.get(path, headers=house["auditor-auditor"].headers)
    leaves = tiles.entries_of(answer.content)
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in leaves]) == head.root


@pytest.mark.parametrize(
    "path",
    ["0/000", "0/000.p/255", "1/000.p/1", "0/001", "0/x001/000", "nowhere", "0/0", "63/000.p/1"],
)
async def test_a_tile_beyond_the_published_tree_is_absent_and_not_kept(
    shared_house: House, path: str
) -> None:
    await shared_house.publish()
    answer = await shared_house.http.get(f"/v1/log/tile/{path}")
    assert answer.status_code == 404, path
    assert answer.json()["code"] == "no-such-tile"
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_not_published_yet_is_in_no_tile(house: House) -> None:
    await house["hzbank-operations"].post("/v1/books", {"book": "own-hzbank-tiles"})
    await post(house, 5)
    headers = house["auditor-auditor"].headers
    prefix = "/v1/books/own-hzbank-tiles/log/tile"
    for path in ("0/000.p/5", "entries/000.p/5"):
        answer = await house.http.get(f"{prefix}/{path}", headers=headers)
        assert answer.status_code == 404
    await house.publish()
    answers = await asyncio.gather(
        *(
            house.http.get(f"{prefix}/{path}", headers=headers)
            for path in ("0/000.p/5", "0/000.p/3", "entries/000.p/5")
        )
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].content.startswith(answers[1].content)
