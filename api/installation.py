"""What makes one running service: its name, its database, the key that signs its logs."""

import msgspec

from api.database import Database
from ledger.signatures import Signer


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything with state that the app is given.

    name                   the installation's name, also of its log key and in every log's origin
    bulk_body_limit_bytes  longest body on bulk routes
    """

    name: str
    database: Database
    signer: Signer
    body_limit_bytes: int
    bulk_body_limit_bytes: int
