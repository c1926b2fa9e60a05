"""Why a facility says no, drawn as a tree. Every refusal has a code that stays for ever.

Absent      NoSuch               no draw, loan, payment or claim of that name
NotAllowed  SameHands            maker and checker are one person
            NotAParty            the payer, payee or bank has no such part in the facility
Conflict    AlreadyRecorded      the name, the reference or the step was used before
            NotReady             something that must come first is missing
            NotNow               the state of the payment, claim or draw rules it out
            AboveUndrawn         a draw beyond what is left of the commitments
            AboveShare           a claim, an advance or a settlement beyond what is owed
            AboveOutstanding     a loss beyond the principal that stands
            AmountDiffers        cash of another amount than was instructed
            OverPayment          a repayment beyond what is due: prepayment is not agreed
            BackValued           a value date before the signing or before the draw asked for
            KnownSince           what counts from a later day is recorded on the loan already
            NotRetraced          the days run again do not come to what stands
            FutureValued         a value date after the open business day
            NotABusinessDay      money cannot move on that day
            DayNotClosed         the day before has not been closed in this facility
            DayNotOpened         interest has not been accrued to the open business day
            FixingUnknown        the loan prime rate of that day is not in the table
            RateNotPositive      base and spread together leave no rate
            TooEarly             a claim before the days overdue that were agreed
            NoSuchClause         an event the agreement's upside clauses do not name
"""

from datetime import date
from typing import ClassVar

from ledger.errors import Absent, Conflict, NotAllowed


class NoSuch(Absent):
    """Nothing of that name in this facility. Fields: what, name."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"no {what} {name} in this facility", what=what, name=name)


class SameHands(NotAllowed):
    """Whoever makes a release may not check it (I16). Fields: person."""

    code: ClassVar[str] = "same-hands"

    def __init__(self, person: str) -> None:
        super().__init__(f"{person} made the release and may not check it too", person=person)


class NotAParty(NotAllowed):
    """The party has no such part in the facility. Fields: party, needed."""

    code: ClassVar[str] = "not-a-party"

    def __init__(self, party: str, *, needed: str) -> None:
        super().__init__(f"{party} is not {needed}", party=party, needed=needed)


class AlreadyRecorded(Conflict):
    """The name was used before, for ever. Fields: what, name."""

    code: ClassVar[str] = "already-recorded"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"{what} {name} is recorded already", what=what, name=name)


class NotReady(Conflict):
    """A step that must come first is missing. Fields: missing."""

    code: ClassVar[str] = "not-ready"

    def __init__(self, missing: str) -> None:
        super().__init__(f"first: {missing}", missing=missing)


class NotNow(Conflict):
    """What stands rules the step out. Fields: what, stands."""

    code: ClassVar[str] = "not-now"

    def __init__(self, what: str, *, stands: str) -> None:
        super().__init__(f"{what} is {stands}", what=what, stands=stands)


class AboveUndrawn(Conflict):
    """More than is left of the commitments. Fields: asked_minor, undrawn_minor."""

    code: ClassVar[str] = "above-undrawn"

    def __init__(self, *, asked_minor: int, undrawn_minor: int) -> None:
        super().__init__(
            f"{asked_minor} asked, {undrawn_minor} undrawn",
            asked_minor=asked_minor,
            undrawn_minor=undrawn_minor,
        )


class AboveShare(Conflict):
    """More than the party owes or may be asked for. Fields: what, asked_minor, left_minor."""

    code: ClassVar[str] = "above-share"

    def __init__(self, what: str, *, asked_minor: int, left_minor: int) -> None:
        super().__init__(
            f"{what}: {asked_minor} asked, {left_minor} left",
            what=what,
            asked_minor=asked_minor,
            left_minor=left_minor,
        )


class AboveOutstanding(Conflict):
    """A loss beyond the principal that stands. Fields: asked_minor, outstanding_minor."""

    code: ClassVar[str] = "above-outstanding"

    def __init__(self, *, asked_minor: int, outstanding_minor: int) -> None:
        super().__init__(
            f"a loss of {asked_minor}, with {outstanding_minor} outstanding",
            asked_minor=asked_minor,
            outstanding_minor=outstanding_minor,
        )


class AmountDiffers(Conflict):
    """The cash is not what was instructed. Fields: instructed_minor, confirmed_minor."""

    code: ClassVar[str] = "amount-differs"

    def __init__(self, *, instructed_minor: int, confirmed_minor: int) -> None:
        super().__init__(
            f"{instructed_minor} was instructed, {confirmed_minor} confirmed",
            instructed_minor=instructed_minor,
            confirmed_minor=confirmed_minor,
        )


class OverPayment(Conflict):
    """A repayment beyond what is due. Fields: paid_minor, due_minor, surplus_minor."""

    code: ClassVar[str] = "over-payment"

    def __init__(self, *, paid_minor: int, due_minor: int) -> None:
        super().__init__(
            f"{paid_minor} paid, {due_minor} due: prepayment is not agreed",
            paid_minor=paid_minor,
            due_minor=due_minor,
            surplus_minor=paid_minor - due_minor,
        )


class BackValued(Conflict):
    """The value date is before the first day it may be. Fields: value_date, earliest."""

    code: ClassVar[str] = "back-valued"

    def __init__(self, *, value_date: date, earliest: date) -> None:
        super().__init__(
            f"value {value_date} is before {earliest}, the first day there may be",
            value_date=value_date,
            earliest=earliest,
        )


class KnownSince(Conflict):
    """A later act on the loan was decided without this payment. Fields: what, name, on."""

    code: ClassVar[str] = "known-since"

    def __init__(self, what: str, name: str, *, on: date) -> None:
        super().__init__(
            f"{what} {name} counts from {on}, after this value date, and is decided already",
            what=what,
            name=name,
            on=on,
        )


class NotRetraced(Conflict):
    """Run again from the first day, the facility is not what stands. Fields: what."""

    code: ClassVar[str] = "not-retraced"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} cannot be run again exactly: nothing is corrected", what=what)


class FutureValued(Conflict):
    """The value date is after the open business day. Fields: value_date, open_day."""

    code: ClassVar[str] = "future-valued"

    def __init__(self, *, value_date: date, open_day: date) -> None:
        super().__init__(
            f"value {value_date} is after the open day {open_day}",
            value_date=value_date,
            open_day=open_day,
        )


class NotABusinessDay(Conflict):
    """Banks do not work on the day. Fields: day."""

    code: ClassVar[str] = "not-a-business-day"

    def __init__(self, day: date) -> None:
        super().__init__(f"{day} is not a business day", day=day)


class DayNotClosed(Conflict):
    """What fell due on the day has not been judged yet. Fields: day."""

    code: ClassVar[str] = "day-not-closed"

    def __init__(self, day: date) -> None:
        super().__init__(f"{day} has not been closed in this facility", day=day)


class DayNotOpened(Conflict):
    """Interest does not stand at the open business day. Fields: accrued_to, open_day."""

    code: ClassVar[str] = "day-not-opened"

    def __init__(self, *, accrued_to: date, open_day: date) -> None:
        super().__init__(
            f"interest is accrued to {accrued_to}, the open day is {open_day}",
            accrued_to=accrued_to,
            open_day=open_day,
        )


class FixingUnknown(Conflict):
    """The table of loan prime rates may be behind on the day. Fields: on, known_to."""

    code: ClassVar[str] = "fixing-unknown"

    def __init__(self, *, on: date, known_to: date) -> None:
        super().__init__(
            f"the LPR of {on} is not in the table, which is sure to {known_to}",
            on=on,
            known_to=known_to,
        )


class RateNotPositive(Conflict):
    """Base and spread leave nothing. Fields: rate."""

    code: ClassVar[str] = "rate-not-positive"

    def __init__(self, rate: str) -> None:
        super().__init__(f"base and spread make {rate}", rate=rate)


class TooEarly(Conflict):
    """Fewer days overdue than agreed for a claim. Fields: days_overdue, needed."""

    code: ClassVar[str] = "too-early"

    def __init__(self, *, days_overdue: int, needed: int) -> None:
        super().__init__(
            f"{days_overdue} days overdue, a claim needs {needed}",
            days_overdue=days_overdue,
            needed=needed,
        )


class NoSuchClause(Conflict):
    """No upside clause of the agreement reads so. Fields: clause."""

    code: ClassVar[str] = "no-such-clause"

    def __init__(self, clause: str) -> None:
        super().__init__(f"no upside clause reads: {clause}", clause=clause)
