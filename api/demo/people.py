"""Who takes part in the demonstration: institutions, people, tokens, keys.

All people and keys are made here and stand in the demo's own folder, so that a reader can act as
any of them afterwards. One place holding every key is no independence: the demo says so.
"""

import secrets
from pathlib import Path
from typing import Any

import msgspec

from api.client import Client
from api.keys import write_private
from ledger.errors import WrongInput
from ledger.notes import COSIGNATURE_V1, VerifierKey
from ledger.signatures import KeyInMemory, encode_base64, sign_statement

INSTITUTIONS = (
    # id, kind, Chinese, English, USCC, is the code public?
    ("hzbank", "bank", "杭州银行", "Bank of Hangzhou", None),
    ("cib", "bank", "兴业银行", "Industrial Bank", "91350000158142711F"),
    ("czbank", "bank", "浙商银行", "China Zheshang Bank", None),
    ("guarantor", "guarantor", "示例融资担保公司", "Guarantee company (example)", None),
    ("pool", "pool", "示例风险补偿资金池", "Compensation pool (example)", None),
    ("expert", "expert", "示例尽调专家", "Due-diligence expert (example)", None),
    ("auditor", "auditor", "示例审计机构", "Auditor (example)", None),
    ("yunshen", "borrower", "云深处科技（代码为示例）", "Deep Robotics (example code)", "USCC"),
    ("qinghe", "borrower", "青禾智造（示例）", "Qinghe Intelligent (invented)", "USCC"),
)
ROLES: dict[str, tuple[str, ...]] = {
    "bank": ("officer", "approver", "risk", "operations"),
    "guarantor": ("officer", "approver", "operations"),
    "pool": ("officer", "approver", "operations"),
    "expert": ("officer",),
    "auditor": ("auditor",),
    "borrower": ("borrower-representative",),
}
BANKS = ("hzbank", "cib", "czbank")
EXAMPLE_CODES = {"yunshen": "9133010600000001", "qinghe": "9133010600000002"}


class DemoUser(msgspec.Struct, frozen=True, kw_only=True):
    """One demo user, as `make serve` prints it."""

    person: str
    institution: str
    name: str
    roles: list[str]
    token: str


def example_uscc(stem: str) -> str:
    """A code with right check digits over an invented stem of 16 digits (示例)."""
    from syndicate.reference.ids import check_uscc

    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    for ninth in alphabet:
        for last in alphabet:
            code = f"{stem}{ninth}{last}"
            if check_uscc(code).valid:
                return code
    raise WrongInput("USCC", "a stem that some check digits complete")


class Cast:
    """Everybody, with a client each."""

    def __init__(self, root: str, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.users: dict[str, DemoUser] = {}
        self.keys: dict[str, KeyInMemory] = {}
        self._clients: dict[str, Client] = {}

    def board(self, operator_token: str) -> None:
        """Every institution, person, token and key is registered through the API and kept."""
        (self.folder / "keys").mkdir(parents=True, exist_ok=True)
        self.users["operator"] = DemoUser(
            person="operator-1",
            institution="operator",
            name="运营 operator",
            roles=["operator"],
            token=operator_token,
        )
        for institution, kind, name, name_en, uscc in INSTITUTIONS:
            code = example_uscc(EXAMPLE_CODES[institution]) if uscc == "USCC" else uscc
            self["operator"].post(
                "/v1/institutions",
                {
                    "institution": institution,
                    "kind": kind,
                    "name": name,
                    "name_en": name_en,
                    "uscc": code,
                    "illustrative": institution not in BANKS,
                },
            )
            self._give_key(institution)
            for role in ROLES[kind]:
                self._admit(institution, name, role)
        write_private(
            self.folder / "users.json",
            msgspec.json.format(msgspec.json.encode(self.users)).decode() + "\n",
        )

    def _give_key(self, institution: str) -> None:
        private = secrets.token_bytes(32)
        key = KeyInMemory(private)
        write_private(self.folder / "keys" / f"{institution}.key", private.hex() + "\n")
        self.keys[institution] = key
        self["operator"].post(
            f"/v1/institutions/{institution}/keys", {"public_key": encode_base64(key.public)}
        )

    def _admit(self, institution: str, name: str, role: str) -> None:
        person = f"{institution}-{role.split('-', maxsplit=1)[0]}"
        self["operator"].post(
            f"/v1/institutions/{institution}/people",
            {"person": person, "name": f"{name} {role}（示例）", "roles": [role]},
        )
        issued = self["operator"].post(f"/v1/people/{person}/tokens", {"days": 366})
        self.users[person] = DemoUser(
            person=person,
            institution=institution,
            name=f"{name} {role}",
            roles=[role],
            token=issued["token"],
        )

    def __getitem__(self, person: str) -> Client:
        if person not in self._clients:
            self._clients[person] = Client(self.root, self.users[person].token)
        return self._clients[person]

    def sign(self, institution: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A statement signed with the institution's own key, as a request takes it."""
        signed: dict[str, Any] = msgspec.to_builtins(
            sign_statement(kind=kind, body=body, by=institution, signer=self.keys[institution])
        )
        return signed

    def witness_keys(self) -> tuple[VerifierKey, ...]:
        """The banks' keys as witnesses of the top log."""
        return tuple(VerifierKey(bank, COSIGNATURE_V1, self.keys[bank].public) for bank in BANKS)

    def close(self) -> None:
        """No connection is open any more."""
        for client in self._clients.values():
            client.close()


def read_users(folder: Path) -> dict[str, DemoUser]:
    """The users an earlier run left, by person."""
    return msgspec.json.decode((folder / "users.json").read_bytes(), type=dict[str, DemoUser])
