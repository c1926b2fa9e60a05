"""The register of rule packs: which there are, by id. A pack not here does not exist."""

from typing import Any, Final

from ledger.errors import WrongInput
from syndicate.rules import (
    cn_joint_credit,
    cn_large_exposure,
    cn_merger_loan,
    cn_online_joint,
    cn_risk_class,
    cn_syndicated,
    cn_tech_guarantee,
)
from syndicate.rules.pack import Pack

PACKS: Final[dict[str, Pack[Any]]] = {
    pack.id: pack
    for pack in (
        cn_syndicated.PACK,
        cn_large_exposure.PACK,
        cn_joint_credit.PACK,
        cn_online_joint.PACK,
        cn_risk_class.PACK,
        cn_tech_guarantee.PACK,
        cn_merger_loan.PACK,
    )
}


def pack_named(name: str, *, place: str = "--pack") -> Pack[Any]:
    """The pack of that id; WrongInput that lists them all for any other name."""
    if name not in PACKS:
        raise WrongInput(place, f"a pack of {', '.join(PACKS)}")
    return PACKS[name]
