"""What happens when the borrower does not pay: claim, advance, final loss, recovery, and who bears.

    overdue -> claim (代偿申请) -> accepted -> advances (payments) -> final loss -> recovery
                               -> rejected
A claim is not a loss. A protector's advance is cash a bank holds on `due.protection` until the loss
is fixed; the agreed rule then says who bears what, the advances net against it, and what is left
between two parties is paid by a distribution. A recovery moves back along the same rule, in
reverse, so a full recovery leaves nobody with anything.

Claims and losses here are of principal. Interest on lost principal that was accrued stays a claim
of the bank. The ceiling of a claim is what the protector would bear if all overdue principal were
lost, less what it was claimed on before.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from ledger.allotment import allot
from syndicate.facility.checks import check_amount, check_name, check_sha256, check_text
from syndicate.facility.errors import (
    AboveOutstanding,
    AboveShare,
    AlreadyRecorded,
    NotAParty,
    NoSuch,
    NotNow,
    NotReady,
    TooEarly,
)
