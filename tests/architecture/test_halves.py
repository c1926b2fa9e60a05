"""`make test` leaves no test out: its two halves are all folders that have tests."""

from tests.__main__ import MEASURED, TESTS, halves


def test_every_folder_with_tests_is_in_one_half() -> None:
    first, second = halves()
    assert not set(first) & set(second)
    assert {*first, *second} == {
        path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")
    }
    assert not list((TESTS / MEASURED).rglob("test_*.py"))


def test_no_test_stands_outside_a_folder() -> None:
    assert not list(TESTS.glob("test_*.py"))
