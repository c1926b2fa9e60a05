"""How a log binds itself to a value that it must not hold: a salted commitment. It keeps no salt.

Borrower data never enters a leaf. The leaf has the commitment, the value and its salt stand in a
private table; when both are erased the commitment says nothing any more, and until then whoever
holds them can show that nothing was changed.
"""

import hashlib
import hmac
from typing import Any, Final

from ledger.documents import canonical
from ledger.errors import WrongInput

SALT_BYTES: Final = 32


def commitment(value: Any, *, salt: bytes) -> str:
    """SHA-256 in hex over a label, the salt and the canonical bytes (RFC 8785) of the value.

    salt  SALT_BYTES random bytes, one salt a value; without it a short value could be guessed
    """
    if len(salt) != SALT_BYTES:
        raise WrongInput("salt", f"{SALT_BYTES} random bytes")
    return hashlib.sha256(b"liandai/v1/commitment\n" + salt + canonical(value)).hexdigest()


def opens(committed: str, value: Any, *, salt: bytes) -> bool:
    """Whether this value with this salt is what was committed to."""
    return hmac.compare_digest(committed, commitment(value, salt=salt))
