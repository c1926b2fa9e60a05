"""Input that cannot be read is refused by its name, for every operation, and leaves nothing.

Every request here comes from a person who may ask, so that it is the input that is judged.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.surface import (
    COMMANDS,
    OPERATIONS,
    SCHEMAS,
    WITH_BODY,
    Operation,
    changed,
    counts,
    each,
    objects,
    resolved,
)
from tests.house import House

JSON = {"content-type": "application/json"}
numbers = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
async def nothing_is_stored(shared_house: House) -> Any:
    """No table has a row more after the whole file than before it."""
    before = await counts(shared_house)
    yield
    after = await counts(shared_house)
    print(f"\n{next(numbers) - 1} requests, {len(before)} tables, {sum(before.values())} rows")
    assert after == before


async def send(
    house: House,
    operation: Operation,
    content: bytes,
    *,
    headers: dict[str, str] | None = None,
    key: str | None = "",
    query: str = "",
) -> Any:
    """The answer. key: None sends none, "" one of its own."""
    number = next(numbers)
    sent: dict[str, Any] = house[operation.somebody].headers | (
        JSON if headers is None else headers
    )
    if operation.takes_key and key is not None:
        sent["idempotency-key"] = (key or f"bad-input-{number}").encode()
    url = operation.url()
    if query:
        url += ("&" if "?" in url else "?") + query
    return await house.http.request(operation.method, url, headers=sent, content=content)


def refused(answer: Any, status: int, *, naming: str = "", code: str | None = None) -> None:
    """The answer is a problem of that status, and says what was wrong."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert naming in problem["detail"] + problem.get("place", ""), problem
    assert code is None or problem["code"] == code, problem


def raw(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def first_word(value: Any) -> str:
    """Some text in the body as JSON writes it, to be replaced by worse; "" where there is none."""
    if isinstance(value, str):
        return json.dumps(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((word for word in map(first_word, inner) if word), "")


def first_integer(value: Any, place: tuple[Any, ...] = ()) -> tuple[Any, ...] | None:
    """Where a number stands in the body; None where there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return place
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    found = (first_integer(child, (*place, step)) for step, child in inner)
    return next((where for where in found if where is not None), None)


# ---- JSON that is none (400)


def malformed(operation: Operation) -> Iterator[tuple[str, bytes, str]]:
    """(what, bytes, what the answer must name)."""
    body = operation.well_formed()
    good = raw(body)
    yield "empty", b"", ""
    yield "blank", b"  \n", ""
    yield "cut off", good[:-1], ""
    yield "two documents", good + good, ""
    yield "trailing comma", good[:-1] + b"," + good[-1:], ""
    yield "a comment", b"/* */" + good, ""
    yield "not UTF-8", good[:-1] + b"\xff" + good[-1:], "UTF-8"
    yield "UTF-16", good.decode().encode("utf-16"), "UTF-8"
    yield "byte order mark", b"\xef\xbb\xbf" + good, ""
    yield "nested 100 deep", b"[" * 100 + b"]" * 100, "nesting"
    yield "nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000, "nesting"
    inside = body[0] if isinstance(body, list) else body
    name = next(iter(inside))
    twice = raw(inside)[:-1] + f", {json.dumps(name)}: null}}".encode()
    yield "a key twice", b"[" + twice + b"]" if isinstance(body, list) else twice, name
    for constant in ("NaN", "Infinity", "-Infinity"):
        yield (
            constant,
            raw(changed(body, (), name, "@")).replace(b'"@"', constant.encode())
            if (isinstance(body, dict))
            else f"[{constant}]".encode(),
            constant,
        )
    yield "1e999", b'{"a": 1e999}', "finite"
    for number in (2**53, -(2**53), 10**20, 10**400):
        yield f"{str(number)[:9]}…", f'{{"a": {number}}}'.encode(), "2^53-1"
    word = first_word(body) or json.dumps(name)
    for what, text in (
        ("NUL", '"a\\u0000b"'),
        ("half a surrogate pair", '"\\ud83d"'),
        ("the other half", '"a\\udc00b"'),
    ):
        yield what, good.replace(word.encode(), text.encode(), 1), "NUL or lone surrogates"


@each(WITH_BODY)
async def test_what_is_not_json_is_refused(operation: Operation, shared_house: House) -> None:
    for what, content, naming in malformed(operation):
        answer = await send(shared_house, operation, content)
        try:
            refused(answer, 400, naming=naming, code="malformed-json")
        except AssertionError as error:
            raise AssertionError(f"{what}: {content[:200]!r}: {error}") from error


# ---- JSON of another shape (422)


@each(WITH_BODY)
async def test_an_unknown_field_is_refused_by_its_name_however_deep(
    operation: Operation, shared_house: House
) -> None:
    assert operation.body is not None
    body = operation.well_formed()
    places = list(objects(operation.body, body))
    assert places
    for place in places:
        content = raw(changed(body, place, "colour_of_the_day", 1))
        answer = await send(shared_house, operation, content)
        refused(answer, 422, naming="colour_of_the_day", code="wrong-input")


@each(WITH_BODY)
async def test_a_missing_field_is_refused_by_its_name(
    operation: Operation, shared_house: House
) -> None:
    body = operation.well_formed()
    assert operation.body is not None
    for place in objects(operation.body, body):
        inside = body
        for step in place:
            inside = inside[step]
        for name in inside:
            rest = {key: value for key, value in inside.items() if key != name}
            whole: Any = rest
            if place:
                whole = changed(body, place[:-1], place[-1], rest)
            answer = await send(shared_house, operation, raw(whole))
            refused(answer, 422, naming=name, code="wrong-input")


@each(WITH_BODY)
async def test_a_value_of_another_type_is_never_taken_for_the_right_one(
    operation: Operation, shared_house: House
) -> None:
    body = operation.well_formed()
    whole: tuple[Any, ...] = (
        (None, [], {}, "abc", 7, True) if isinstance(body, dict) else (None, {}, "abc", 7, True)
    )
    for value in whole[:1] + whole[3:]:
        refused(await send(shared_house, operation, raw(value)), 422, code="wrong-input")
    place = first_integer(body)
    if place is not None:
        for value in ("1", 1.0, 1.5, True, None, [1], "1e3"):
            content = raw(changed(body, place[:-1], place[-1], value))
            refused(await send(shared_house, operation, content), 422, code="wrong-input")


def fields_of_answers(operation: Operation) -> set[str]:
    """Fields of what is answered here, one step up and one step down, that its body has not."""
    near = [
        other
        for other in OPERATIONS
        if other.path == operation.path
        or other.path.rpartition("/")[0] == operation.path
        or operation.path.rpartition("/")[0] == other.path
    ]
    answered = {
        name
        for other in near
        for status, answer in other.answers.items()
        if status.startswith("2")
        for content in answer.get("content", {}).values()
        for name in _fields(content["schema"])
    }
    assert operation.body is not None
    return answered - _fields(operation.body)


def _fields(schema: dict[str, Any]) -> set[str]:
    schema = resolved(schema)
    if schema.get("type") == "array":
        return _fields(schema["items"])
    return set(schema.get("properties", {}))


@each(WITH_BODY)
async def test_fields_of_answers_are_no_fields_of_requests(
    operation: Operation, shared_house: House
) -> None:
    body = operation.well_formed()
    place = (0,) if isinstance(body, list) else ()
    for name in sorted(fields_of_answers(operation)):
        answer = await send(shared_house, operation, raw(changed(body, place, name, "x")))
        refused(answer, 422, naming=name, code="wrong-input")


def test_the_document_says_that_no_body_has_other_fields() -> None:
    for name, schema in SCHEMAS.items():
        if schema.get("type") == "object" and "properties" in schema:
            assert schema["additionalProperties"] is False, name


# ---- headers and lengths


@each(WITH_BODY)
async def test_another_media_type_is_refused(operation: Operation, shared_house: House) -> None:
    good = raw(operation.well_formed())
    for media_type in (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/x-msgpack",
        "application/problem+json",
        "application/jsonx",
    ):
        answer = await send(shared_house, operation, good, headers={"content-type": media_type})
        refused(answer, 415, code="json-expected")
    refused(await send(shared_house, operation, good, headers={}), 415, code="json-expected")


@each(WITH_BODY)
async def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(
    operation: Operation, shared_house: House
) -> None:
    assert operation.body_limit in (1 << 20, 10 << 20)
    over = await send(shared_house, operation, b" " * (operation.body_limit + 1))
    refused(over, 413, code="body-too-large")
    at = await send(shared_house, operation, b" " * operation.body_limit)
    refused(at, 400, code="malformed-json")


async def test_a_body_without_a_length_is_cut_off_at_the_limit(shared_house: House) -> None:
    operation = WITH_BODY[0]

    async def endless() -> Any:
        for _ in range(40):
            yield b" " * (1 << 15)

    headers = shared_house[operation.somebody].headers | JSON | {"idempotency-key": "bad-input-x"}
    answer = await shared_house.http.request(
        operation.method, operation.url(), headers=headers, content=endless()
    )
    refused(answer, 413, code="body-too-large")


@each(COMMANDS)
async def test_a_command_without_a_good_key_is_refused(
    operation: Operation, shared_house: House
) -> None:
    content = raw(operation.well_formed()) if operation.body is not None else b""
    missing = await send(shared_house, operation, content, key=None)
    refused(missing, 400, naming="Idempotency-Key", code="wrong-parameter")
    for key in ("short-7", "x" * 129, "with blank 1", "quer'; --1", "sch/räg-1", "line\tbreak"):
        answer = await send(shared_house, operation, content, key=key)
        refused(answer, 400, naming="Idempotency-Key", code="wrong-parameter")


@each(tuple(op for op in COMMANDS if op.body is None and not op.files))
async def test_a_command_that_takes_no_fields_takes_none(
    operation: Operation, shared_house: House
) -> None:
    answer = await send(shared_house, operation, b'{"colour": 1}')
    refused(answer, 422, code="no-body-expected")
    answer = await send(shared_house, operation, b" " * ((1 << 20) + 1))
    refused(answer, 413, code="body-too-large")


# ---- parameters (400)


@each(OPERATIONS)
async def test_unknown_and_repeated_parameters_are_refused_by_name(
    operation: Operation, shared_house: House
) -> None:
    house = shared_house
    known = [found["name"] for found in operation.parameters if found["in"] == "query"]
    headers = {} if operation.public else house[operation.somebody].headers
    url = operation.url()
    join = "&" if "?" in url else "?"
    for name in ("colour", "limit_", "LIMIT", "order_by", "1; DROP TABLE ledger.leaf", ""):
        next(numbers)
        answer = (
            await house.http.request(operation.method, url, params={name: "1"}, headers=headers)
            if "?" not in url
            else await house.http.request(
                operation.method, f"{url}{join}{name.replace(' ', '+')}=1", headers=headers
            )
        )
        refused(answer, 400, naming=name, code="unknown-parameter")
    for name in known:
        next(numbers)
        once = url if f"{name}=" in url else f"{url}{join}{name}=1"
        answer = await house.http.request(operation.method, f"{once}&{name}=1", headers=headers)
        refused(answer, 400, naming=name)
        assert answer.json()["code"] in ("repeated-parameter", "wrong-parameter")


def wrong_values(schema: dict[str, Any]) -> tuple[str, ...]:
    """What can be written in a URL where the schema expects something else."""
    kinds = [resolved(found) for found in schema.get("oneOf", [schema])]
    types = {str(found.get("type")) for found in kinds}
    formats = {found.get("format") for found in kinds}
    if "integer" in types:
        return ("", "null", "one", "1.0", "1e3", "+1", "01", "0x1", "٣", "9" * 16, "9" * 5000)
    if "date" in formats:
        return ("", "null", "today", "2024-13-01", "2023-02-29", "20240301", "1709251200", "0")
    if "boolean" in types:
        return ("", "null", "yes", "1", "True")
    if any("enum" in found for found in kinds):
        return ("", "null", "colour")
    return ()


def readable(schema: dict[str, Any]) -> str:
    """What can be written in a URL and read there."""
    if "enum" in schema:
        return str(schema["enum"][0])
    return "1" if schema.get("type") == "integer" else "2024-03-01"


@each(tuple(op for op in OPERATIONS if any(p["in"] == "query" for p in op.parameters)))
async def test_a_filter_that_cannot_be_read_is_never_left_out(
    operation: Operation, shared_house: House
) -> None:
    headers = {} if operation.public else shared_house[operation.somebody].headers
    if operation.takes_key:
        headers = {**headers, "idempotency-key": f"bad-input-{next(numbers)}"}
    needed = {
        found["name"]: readable(resolved(found["schema"]))
        for found in operation.parameters
        if found["in"] == "query" and found["required"]
    }
    path = operation.url().partition("?")[0]
    for found in operation.parameters:
        if found["in"] != "query":
            continue
        for value in wrong_values(found["schema"]):
            next(numbers)
            answer = await shared_house.http.request(
                operation.method, path, params=needed | {found["name"]: value}, headers=headers
            )
            try:
                refused(answer, 400, naming=found["name"], code="wrong-parameter")
                assert answer.json()["place"] == found["name"]
            except AssertionError as error:
                raise AssertionError(f"{found['name']}={value[:30]}: {error}") from error
    for name in needed:
        rest = {key: value for key, value in needed.items() if key != name}
        answer = await shared_house.http.request(
            operation.method, path, params=rest, headers=headers
        )
        refused(answer, 400, naming=name, code="wrong-parameter")


def of_the_right_type(schema: dict[str, Any]) -> tuple[str, ...]:
    """What the schema allows and no question can mean; () where it says itself what can be."""
    if wrong_values(schema):
        kinds = [resolved(found) for found in schema.get("oneOf", [schema])]
        return ("-1",) if any(found.get("type") == "integer" for found in kinds) else ()
    return ("\x01", "x" * 300)


@each(
    tuple(
        op
        for op in OPERATIONS
        if not op.takes_key and any(p["in"] == "query" for p in op.parameters)
    )
)
async def test_what_only_the_service_can_judge_is_no_unreadable_request(
    operation: Operation, shared_house: House
) -> None:
    """400 is for what the document already excludes; a 422 names the parameter."""
    headers = {} if operation.public else shared_house[operation.somebody].headers
    path, _, query = operation.url().partition("?")
    needed = dict(pair.split("=") for pair in query.split("&") if pair)
    for found in operation.parameters:
        if found["in"] != "query":
            continue
        for value in of_the_right_type(found["schema"]):
            next(numbers)
            answer = await shared_house.http.request(
                operation.method, path, params=needed | {found["name"]: value}, headers=headers
            )
            said = f"{found['name']}={value[:9]!r}: {answer.status_code} {answer.text[:200]}"
            assert answer.status_code in (200, 404, 409, 422), said
            if answer.status_code == 422:
                problem = answer.json()
                assert (problem["code"], problem["place"]) == ("wrong-input", found["name"]), said


@each(tuple(op for op in OPERATIONS if not op.takes_key and "{" in op.path))
async def test_a_number_in_a_path_that_is_none_is_no_path(
    operation: Operation, shared_house: House
) -> None:
    headers = {} if operation.public else shared_house[operation.somebody].headers
    for found in operation.parameters:
        if found["in"] == "path" and found["schema"].get("type") == "integer":
            for value in ("one", "1.0", "1e3", "0x1"):
                next(numbers)
                url = operation.path.replace(f"{{{found['name']}}}", value)
                answer = await shared_house.http.request(operation.method, url, headers=headers)
                refused(answer, 404, code="not-found")


def has_word_in_path(operation: Operation) -> bool:
    return any(
        found["in"] == "path" and found["schema"].get("type") != "integer"
        for found in operation.parameters
    )


@each(tuple(op for op in OPERATIONS if has_word_in_path(op)))
async def test_a_path_that_is_no_text_is_refused(operation: Operation, shared_house: House) -> None:
    for what in ("%00", "a%00b", "%ff", "%ed%a0%80"):
        next(numbers)
        path = operation.path
        for found in operation.parameters:
            if found["in"] == "path":
                number = found["schema"].get("type") == "integer"
                path = path.replace(f"{{{found['name']}}}", "1" if number else what)
        headers = {} if operation.public else shared_house[operation.somebody].headers
        answer = await shared_house.http.request(operation.method, path, headers=headers)
        refused(answer, 400, code="unreadable")


@pytest.mark.parametrize(
    ("path", "place", "said"),
    [
        (
            "/v1/books/fac-1/statement-files?since=2024-03-01&on=2024-03-01&format=xml",
            "format",
            "format: expected one of camt053, csv, xlsx",
        ),
        (
            "/v1/books/fac-1/statement-files?on=2024-03-01&format=csv",
            "since",
            "since: expected a value: it is needed here",
        ),
        (
            "/v1/books/fac-1/entries?limit=x",
            "limit",
            "limit: expected an integer between -(2^53-1) and 2^53-1",
        ),
        ("/v1/books/fac-1/entries?side=dr", "side", "side: expected one of credit, debit"),
        ("/v1/books/fac-1/entries?colour=1", "colour", "colour: no such query parameter"),
    ],
)
async def test_a_wrong_parameter_is_the_place_and_what_may_stand_there_is_said(
    path: str, place: str, said: str, shared_house: House
) -> None:
    next(numbers)
    headers = shared_house["hzbank-officer"].headers
    answer = (await shared_house.http.get(path, headers=headers)).json()
    assert (answer["place"], answer["detail"]) == (place, said)


INTERVALS = {"first_day": "last_day"} | {
    f"{what}_from": f"{what}_until" for what in ("amount", "value", "booking")
}
"""Query parameters that are the inclusive bounds of an interval, by the first one."""


def bounds(operation: Operation) -> list[tuple[str, str]]:
    there = {found["name"] for found in operation.parameters if found["in"] == "query"}
    return [pair for pair in INTERVALS.items() if set(pair) <= there]


def test_every_interval_has_both_bounds_here() -> None:
    """A bound of a new name belongs into INTERVALS."""
    names = {
        found["name"] for op in OPERATIONS for found in op.parameters if found["in"] == "query"
    }
    assert {name for name in names if name.endswith(("_from", "_until", "_day"))} == {
        *INTERVALS,
        *INTERVALS.values(),
    }


@each(tuple(op for op in OPERATIONS if bounds(op)))
async def test_an_interval_that_ends_before_it_begins_is_refused_by_both_names(
    operation: Operation, shared_house: House
) -> None:
    headers = shared_house[operation.somebody].headers
    for begins, ends in bounds(operation):
        first, last = ("2", "1") if begins.startswith("amount") else ("2024-03-02", "2024-03-01")
        next(numbers)
        answer = await shared_house.http.get(
            operation.url(), params={begins: first, ends: last}, headers=headers
        )
        refused(answer, 422, naming=begins, code="wrong-input")
        assert answer.json()["place"] == ends


def test_schemas_are_named_in_words() -> None:
    """A name with a module in it (two Structs of one name) belongs into `api.openapi.NAMES`."""
    assert [name for name in SCHEMAS if "_" in name] == []
