"""Saved queries over HTTP: an institution's own, by name and version, run at one moment."""

from tests.api.populated import FACILITY, populate
from tests.house import House

PATH = "/v1/saved-queries"


async def test_a_query_is_saved_listed_run_changed_and_taken_away(house: House) -> None:
    await populate(house)
    auditor = house["auditor-auditor"]
    body = {
        "name": "cash-of-hzbank",
        "books": [FACILITY.facility],
        "filters": {"party": "hzbank", "code": "cash"},
    }
    saved = await auditor.post(PATH, body)
    assert (saved["version"], saved["person"]) == (1, "auditor-auditor")
    assert [one["name"] for one in await auditor.get(PATH)] == ["cash-of-hzbank", "my-cash"]
    found = await auditor.get(f"{PATH}/cash-of-hzbank/entries")
    (line,) = found["entries"]
    assert (line["party"], line["code"], line["book"]) == ("hzbank", "cash", FACILITY.facility)
    assert found["sums"][0]["net_minor"] == line["amount_minor"] < 0
    changed = await auditor.post(PATH, {**body, "filters": {"party": "cib"}})
    assert changed["version"] == 2
    everything = await auditor.get(f"{PATH}/cash-of-hzbank/entries")
    assert {line["party"] for line in everything["entries"]} == {"cib"}
    before = await auditor.get(
        f"{PATH}/cash-of-hzbank/entries", version=1, known_top=found["known_top"]
    )
    assert before == found, "the earlier version at the earlier moment: the same answer"
    await auditor.send("DELETE", f"{PATH}/cash-of-hzbank", key=None, expect=200)
    await auditor.get(f"{PATH}/cash-of-hzbank", expect=404)
    await auditor.get(f"{PATH}/cash-of-hzbank/entries", expect=404)
    again = await auditor.send("DELETE", f"{PATH}/cash-of-hzbank", key=None, expect=404)
    assert again["code"] == "not-found"
    assert (await auditor.post(PATH, body))["version"] == 4


async def test_queries_are_their_institutions_own(house: House) -> None:
    body = {"name": "mine", "books": [], "filters": {}}
    await house["hzbank-officer"].post(PATH, body)
    assert [one["name"] for one in await house["hzbank-risk"].get(PATH)] == ["mine"]
    for other in ("cib-officer", "auditor-auditor", "yunshen-borrower"):
        assert await house[other].get(PATH) == []
        await house[other].get(f"{PATH}/mine", expect=404)
        await house[other].send("DELETE", f"{PATH}/mine", key=None, expect=404)
    assert (await house["cib-officer"].post(PATH, body))["version"] == 1


async def test_what_a_query_cannot_say_is_refused_when_it_is_saved(house: House) -> None:
    auditor = house["auditor-auditor"]
    good = {"name": "mine", "books": [], "filters": {}}
    for body, place in (
        ({**good, "name": "No name"}, "$.name"),
        ({**good, "books": ["no book"]}, "$.books"),
        ({**good, "filters": {"colour": "red"}}, "$.filters"),
        ({**good, "filters": {"kind": "colour"}}, "$.filters.kind"),
        ({**good, "filters": {"amount_from": -1}}, "$.filters.amount_from"),
        ({**good, "filters": {"party": "a\x01b"}}, "$.filters.party"),
        ({**good, "filters": {"fact": "PaymentConfirm"}}, "$.filters.fact"),
        ({**good, "filters": {"amount_from": 2, "amount_until": 1}}, "$.filters.amount_until"),
    ):
        refused = await auditor.post(PATH, body, expect=422)
        assert refused["place"].startswith(place), refused
    assert await auditor.get(PATH) == []
