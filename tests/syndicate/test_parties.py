"""Who takes part: ids, roles, the table of hands, firms and their codes, signed statements."""

import csv
from datetime import date
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import WrongInput
from ledger.signatures import Statement
from syndicate.parties.borrowers import Borrower, BorrowerKnown, register_borrower
from syndicate.parties.commitments import SALT_BYTES, commitment, opens
from syndicate.parties.institutions import (
    MAY,
    ROLES_OF,
    Action,
    AlreadyRegistered,
    InstitutionKind,
    InstitutionRegistered,
    Role,
    RoleNotHeld,
    admit_user,
    check_id,
    check_may,
    may,
    register_institution,
)
from syndicate.parties.statements import NotTheirs, SaysOtherwise, check_statement
from tests.given import data_folder

ON = date(2025, 8, 1)
SALT = bytes(range(SALT_BYTES))
CIB_CODE = "91350000158142711F"
BANK = InstitutionRegistered(
    institution="hzbank",
    kind="bank",
    name="杭州银行",
    name_en="Bank of Hangzhou",
    uscc=None,
    illustrative=False,
)


def registered(known: dict[str, Borrower] | None = None, **changes: object) -> Borrower:
    words: dict[str, object] = {
        "borrower": "qinghe",
        "name": "青禾智造（示例）",
        "name_en": "Qinghe (illustrative)",
        "uscc": CIB_CODE,
        "illustrative": True,
    }
    words.update(changes)
    record, _ = register_borrower(known or {}, on=ON, salt=SALT, **words)  # type: ignore[arg-type]
    return record


@pytest.mark.parametrize("name", ["hzbank", "fac-2025-1", "a1", "a" * 40])
def test_an_id_is_lower_case_letters_digits_and_hyphens(name: str) -> None:
    assert check_id(name, place="$.id") == name


@pytest.mark.parametrize(
    "name", ["", "a", "Hzbank", "1bank", "-bank", "hz bank", "hz_bank", "银行", "a" * 41, "hz\n"]
)
def test_any_other_id_is_wrong_input(name: str) -> None:
    with pytest.raises(WrongInput):
        check_id(name, place="$.id")


def test_every_action_has_roles_and_every_role_has_an_action() -> None:
    assert set(MAY) == set(get_args(Action))
    assert {role for roles in MAY.values() for role in roles} == set(get_args(Role))
    assert set(ROLES_OF) == set(get_args(InstitutionKind))


def test_an_auditor_reads_and_writes_nothing_but_names_its_own_queries() -> None:
    assert {action for action in MAY if may("auditor", action)} == {
        "see-reads",
        "read-negotiation",
        "read-ledger",
        "read-records",
        "export-bundle",
        "read-reconciliation",
        "save-query",
    }


def test_no_role_both_makes_and_checks_a_decision_an_override_or_a_release() -> None:
    for make, check in (
        ("draft-decision", "check-decision"),
        ("ask-override", "grant-override"),
        ("draft-release", "check-release"),
    ):
        assert not set(MAY[make]) & set(MAY[check])  # type: ignore[index]


def test_only_the_borrower_gives_and_withdraws_consent() -> None:
    assert MAY["give-consent"] == MAY["withdraw-consent"] == ("borrower-representative",)


def test_an_action_outside_the_persons_roles_is_refused_by_name() -> None:
    check_may(("operations", "officer"), "propose")
    with pytest.raises(RoleNotHeld) as refusal:
        check_may(("operations", "risk"), "propose")
    assert refusal.value.fields["action"] == "propose"


def on_board(known: dict[str, InstitutionRegistered], **changes: object) -> InstitutionRegistered:
    words: dict[str, object] = {
        "institution": "hzbank",
        "kind": "bank",
        "name": "杭州银行",
        "name_en": "Bank of Hangzhou",
        "uscc": None,
        "illustrative": False,
    }
    words.update(changes)
    return register_institution(known, **words)  # type: ignore[arg-type]


def test_an_institution_is_registered_once_for_ever() -> None:
    assert on_board({}) == BANK
    with pytest.raises(AlreadyRegistered):
        on_board({"hzbank": BANK}, kind="fund", name="x")


BAD_INSTITUTIONS = [
    # what is wrong                            where
    ({"name": ""}, "name"),
    ({"name": " 杭州银行"}, "name"),
    ({"name": "杭州\n银行"}, "name"),
    ({"name_en": "B" * 101}, "name_en"),
    ({"kind": "borrower"}, "kind"),
    ({"kind": "bakery"}, "kind"),
    ({"institution": "HZ"}, "institution"),
    ({"uscc": "91350000158142711G"}, "uscc"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_INSTITUTIONS)
def test_an_institution_that_is_badly_named_is_not_registered(
    changes: dict[str, object], field: str
) -> None:
    with pytest.raises(WrongInput, match=rf"\$\.{field}:"):
        on_board({}, **changes)


ROLE_SETS = [
    # roles                        admitted to a bank
    (("officer",), True),
    (("risk", "operations"), True),
    ((), True),
    (("officer", "approver"), False),  # 审贷分离
    (("auditor", "operations"), False),
    (("operator",), False),
    (("borrower-representative",), False),
    (("officer", "officer"), False),
]


@pytest.mark.parametrize(("roles", "admitted"), ROLE_SETS)
def test_a_person_holds_only_roles_that_go_together(
    roles: tuple[Role, ...], admitted: bool
) -> None:
    if admitted:
        assert set(admit_user(BANK, user="hz-01", roles=roles).roles) == set(roles)
        return
    with pytest.raises(WrongInput):
        admit_user(BANK, user="hz-01", roles=roles)


def test_a_borrower_is_registered_with_its_code_as_written() -> None:
    record = registered()
    assert (record.uscc, record.illustrative, record.registered_on) == (CIB_CODE, True, ON)


@pytest.mark.parametrize(
    "code", ["", CIB_CODE.lower(), CIB_CODE[:-1] + "E", CIB_CODE + " ", "１" + CIB_CODE[1:]]
)
def test_a_malformed_code_registers_nobody(code: str) -> None:
    with pytest.raises(WrongInput, match=r"\$\.uscc"):
        registered(uscc=code)


@pytest.mark.parametrize(
    ("field", "value"), [("borrower", "QH"), ("name", ""), ("name_en", " Qinghe")]
)
def test_a_badly_named_firm_is_not_registered(field: str, value: str) -> None:
    with pytest.raises(WrongInput, match=rf"\$\.{field}:"):
        registered({}, **{field: value})


def test_a_person_is_known_by_an_opaque_id_only() -> None:
    with pytest.raises(WrongInput, match=r"\$\.user"):
        admit_user(BANK, user="张三", roles=("officer",))


def test_codes_of_real_firms_register_and_spoilt_ones_do_not() -> None:
    with (data_folder() / "ids" / "uscc.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    for row in rows:
        if row["expected"] == "valid":
            assert registered(uscc=row["code"]).uscc == row["code"]
        else:
            with pytest.raises(WrongInput):
                registered(uscc=row["code"])


def test_one_firm_is_one_party() -> None:
    known = {"qinghe": registered()}
    with pytest.raises(BorrowerKnown):
        registered(known, uscc="911000001000013428")
    with pytest.raises(BorrowerKnown):
        registered(known, borrower="another")


def test_the_log_learns_neither_the_name_nor_the_code_of_a_borrower() -> None:
    record, fact = register_borrower(
        {},
        borrower="qinghe",
        name="青禾智造（示例）",
        name_en="Qinghe (illustrative)",
        uscc=CIB_CODE,
        illustrative=True,
        on=ON,
        salt=SALT,
    )
    assert CIB_CODE not in repr(fact)
    assert "青禾" not in repr(fact)
    assert opens(fact.commitment, record, salt=SALT)


@given(value=st.text(max_size=20), other=st.text(max_size=20), salt=st.binary(min_size=32))
def test_a_commitment_opens_with_its_own_value_and_salt_only(
    value: str, other: str, salt: bytes
) -> None:
    salt = salt[:SALT_BYTES]
    sealed = commitment({"v": value}, salt=salt)
    assert opens(sealed, {"v": value}, salt=salt)
    assert opens(sealed, {"v": other}, salt=salt) == (value == other)
    assert not opens(sealed, {"v": value}, salt=bytes(b ^ 1 for b in salt))


def test_a_short_salt_is_wrong_input() -> None:
    with pytest.raises(WrongInput):
        commitment("1", salt=b"pepper")


SAID = Statement(kind="decision", body={"a": 1, "b": [2]}, by="cib", key="00" * 8, signature="")


def test_a_statement_counts_only_for_the_kind_the_party_and_the_words_it_was_signed_for() -> None:
    check_statement(SAID, kind="decision", by="cib", body={"b": [2], "a": 1})
    with pytest.raises(NotTheirs):
        check_statement(SAID, kind="decision", by="hzbank", body=SAID.body)
    with pytest.raises(SaysOtherwise):
        check_statement(SAID, kind="term-sheet", by="cib", body=SAID.body)
    with pytest.raises(SaysOtherwise):
        check_statement(SAID, kind="decision", by="cib", body={"a": True, "b": [2]})
    with pytest.raises(SaysOtherwise):
        check_statement(SAID, kind="decision", by="cib", body={"a": 1})
