"""The tables and rule packs of this program that go into every bundle, to compute again by them."""

from typing import Any

from ledger.documents import canonical
from syndicate.reference import published
from syndicate.rules.engine import show
from syndicate.rules.packs import PACKS

RULES = "rules.json"


def reference() -> dict[str, bytes]:
    """They as a bundle's attachments, by name."""
    return {**published.documents(), RULES: canonical({"packs": packs()})}


def packs() -> list[dict[str, Any]]:
    return [
        {"pack": pack, "versions": document["versions"], "sha256": published.digest(document)}
        for pack, document in ((pack, show(pack)) for pack in PACKS)
    ]
