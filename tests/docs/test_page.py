"""The page at /v1/docs: it needs nothing from outside, and it shows the service's own document."""

import json
import re
from typing import Any

from ledger.documents import MAX_SAFE_INTEGER
from tests.house import House

LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']([^"']+)["']""")


async def test_the_page_needs_no_internet(house: House) -> None:
    page = await house.http.get("/v1/docs")
    assert page.status_code == 200
    loaded = LOADED.findall(page.text.partition("<body>")[0])
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("/v1/static/"), address
        assert (await house.http.get(address)).status_code == 200, address


async def test_no_style_of_the_page_loads_anything_from_outside(house: House) -> None:
    style = (await house.http.get("/v1/static/swagger-ui/swagger-ui.css")).text
    addresses = re.findall(r"url\(\s*[\"']?([^\"')]+)", style)
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert "@import" not in style


async def test_the_page_shows_the_document_with_its_words_and_roles(house: House) -> None:
    page = (await house.http.get("/v1/docs")).text
    start = page.index("spec: ") + len("spec: ")
    shown, _ = json.JSONDecoder().raw_decode(page, start)
    document = (await house.http.get("/v1/openapi.json")).json()
    assert shown["paths"].keys() == document["paths"].keys()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            seen = shown["paths"][path][method]
            assert seen["summary"] == operation["summary"]
            assert seen["description"] == operation["description"]
            assert seen["responses"].keys() == operation["responses"].keys()
    assert not any(schema.get("minimum") == -MAX_SAFE_INTEGER for schema in objects(shown))


def objects(value: Any) -> list[dict[str, Any]]:
    """Every object in a JSON value."""
    match value:
        case dict():
            return [value, *(inner for child in value.values() for inner in objects(child))]
        case list():
            return [inner for child in value for inner in objects(child)]
        case _:
            return []
