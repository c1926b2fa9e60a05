"""Every way a move in a negotiation is refused; the codes are stable for ever.

Conflict      the state does not allow it now
├── WrongPhase          wrong-phase
├── NoMandate           no-mandate
├── StaleVersion        stale-version
├── DeadlinePassed      deadline-passed
├── DeadlineNotPassed   deadline-not-passed
├── NothingToAnswer     nothing-to-answer   (NothingToAccept: nothing-to-accept)
├── AlreadyDone         already-done
├── SameTerms           same-terms
├── AllocationBroken    allocation-broken
├── RulesUnchecked      rules-unchecked
├── RuleBlocks          rule-blocks
├── OverrideMissing     override-missing
├── NothingToOverride   nothing-to-override
├── NothingToCheck      nothing-to-check
├── StaleAgreement      stale-agreement
└── TermsDiffer         terms-differ
NotAllowed    the asker may not, whatever the state
├── NoSeat              no-seat
├── NotTheLead          not-the-lead
├── NotTheAuthor        not-the-author
├── NoBorrowerConsent   no-borrower-consent
└── MakerIsChecker      maker-is-checker
"""

from ledger.errors import Conflict, NotAllowed


class WrongPhase(Conflict):
    """The negotiation does not stand where this move fits. Fields: phase, needed."""

    code = "wrong-phase"


class NoMandate(Conflict):
    """No mandate is valid on the day: no price may be written."""

    code = "no-mandate"


class StaleVersion(Conflict):
    """Another version stands than the one named. Fields: named, standing."""

    code = "stale-version"


class DeadlinePassed(Conflict):
    """The last day for this was before today. Fields: deadline, on."""

    code = "deadline-passed"


class DeadlineNotPassed(Conflict):
    """The deadline's day is not over yet. Fields: deadline, on."""

    code = "deadline-not-passed"


class NothingToAnswer(Conflict):
    """No proposal, invitation or quote stands that this could answer."""

    code = "nothing-to-answer"


class NothingToAccept(NothingToAnswer):
    """No proposal stands."""

    code = "nothing-to-accept"


class AlreadyDone(Conflict):
    """This party did it before; a second time would change nothing."""

    code = "already-done"


class SameTerms(Conflict):
    """The counter says what stands already: that is an acceptance."""

    code = "same-terms"


class AllocationBroken(Conflict):
    """The allocation cannot be agreed: it breaks the book's own terms. Fields: why."""

    code = "allocation-broken"


class RulesUnchecked(Conflict):
    """The allocation was not judged by rule packs yet."""

    code = "rules-unchecked"


class RuleBlocks(Conflict):
    """Hard rules are broken: nothing may go on. Fields: rules."""

    code = "rule-blocks"


class OverrideMissing(Conflict):
    """Rules that hold in principle are broken without a reason and a second approver."""

    code = "override-missing"


class NothingToOverride(Conflict):
    """No warning of this rule stands that this bank may override."""

    code = "nothing-to-override"


class NothingToCheck(Conflict):
    """Nothing of this bank waits for a second person."""

    code = "nothing-to-check"


class StaleAgreement(Conflict):
    """The hash named is not that of the quotes, or of the allocation and terms, as they stand."""

    code = "stale-agreement"


class TermsDiffer(Conflict):
    """The facility's terms are not the ones that were signed (I17)."""

    code = "terms-differ"


class NoSeat(NotAllowed):
    """Not a bank at the table, or not a party of the deal."""

    code = "no-seat"


class NotTheLead(NotAllowed):
    """Only the lead may do this."""

    code = "not-the-lead"


class NotTheAuthor(NotAllowed):
    """Only the bank that wrote the version may do this."""

    code = "not-the-author"


class NoBorrowerConsent(NotAllowed):
    """The borrower has not consented that this bank takes part, or no longer does."""

    code = "no-borrower-consent"


class MakerIsChecker(NotAllowed):
    """One person may not both make and check (I16)."""

    code = "maker-is-checker"
