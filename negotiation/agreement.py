"""From a cleared book to a facility: rules judged, decisions checked, the term sheet signed.

Each bank decides alone (独立审批、自主决策) on one exact allocation and terms, named by their
hash. A broken hard rule stops everything; a rule that holds "in principle" (原则上) stops until a
reason was given and a second person of the bank agreed. What is signed is what was decided on, and
what is formed is what was signed.
"""

from collections.abc import Iterator
from typing import Any

from ledger.errors import WrongInput
from negotiation.facts import (
    BankDecided,
    Decision,
    DecisionDrafted,
    FacilityAgreed,
    Fact,
    Override,
    OverrideAsked,
    RuleFinding,
    RulesChecked,
    TermSheetDrawn,
    TermSheetSigned,
)
from negotiation.guards import check_lead, check_phase, check_reason
from negotiation.moves import (
    AskOverride,
    CheckDecision,
    CheckRules,
    DraftDecision,
    DrawTermSheet,
    GrantOverride,
    Ground,
    RecordFacility,
    SignTermSheet,
)
from negotiation.placing import check_sha256
from negotiation.refusals import (
    AlreadyDone,
    MakerIsChecker,
    NoSeat,
    NothingToCheck,
    NothingToOverride,
    OverrideMissing,
    RuleBlocks,
    RulesUnchecked,
    StaleAgreement,
    WrongPhase,
)
from negotiation.state import Clearing, Negotiation, Phase, agreement_hash, signatories
from negotiation.termsheet import (
    check_posted,
    facility_terms,
    signature_body,
    term_sheet_hash,
    write,
)
from syndicate.facility.terms import check_terms, terms_hash
from syndicate.parties.institutions import check_id
from syndicate.parties.statements import check_statement

AgreementMove = (
    CheckRules
    | AskOverride
    | GrantOverride
    | DraftDecision
    | CheckDecision
    | DrawTermSheet
    | SignTermSheet
    | RecordFacility
)


def decide(state: Negotiation, move: AgreementMove, ground: Ground) -> tuple[Fact, ...]:
    """The facts that follow from a move after the clearing; see `rounds.decide`."""
    match move:
        case CheckRules() | AskOverride() | GrantOverride():
            check_phase(state, Phase.CLEARED, Phase.DECIDED)
            _holder(state, move.by)
            if state.sheet is not None:
                raise WrongPhase(
                    "the term sheet is drawn on the rules as judged", phase=state.phase
                )
            return _judge(state, move)
        case DraftDecision():
            return _draft(state, move)
        case CheckDecision():
            return _check(state, move)
        case DrawTermSheet():
            return _draw(state, move, ground)
        case SignTermSheet():
            return _sign(state, move)
        case RecordFacility():
            check_phase(state, Phase.SIGNED)
            check_posted(state, move.terms)
            return (
                FacilityAgreed(facility=move.terms.facility, terms_hash=terms_hash(move.terms)),
            )


def decision_body(
    state: Negotiation, *, bank: str, outcome: Decision, maker: str, checker: str
) -> dict[str, Any]:
    """What a bank signs under the kind "decision". Only once the book cleared."""
    return {
        "negotiation": state.name,
        "agreement": agreement_hash(state),
        "bank": bank,
        "outcome": outcome,
        "amount_minor": _cleared(state).allocation[bank],
        "maker": maker,
        "checker": checker,
    }


def check_rules_allow(state: Negotiation, bank: str) -> None:
    """Nothing: the deal as the lead judged it, and the bank's own holding, break no rule.

    Warnings that were overridden do not count.

    Raises RulesUnchecked, RuleBlocks, OverrideMissing.
    """
    if state.mandate.lead not in state.checks:
        raise RulesUnchecked("the lead has not judged the allocation by rule packs")
    judged = dict.fromkeys((state.mandate.lead, bank))
    blocking = [f.rule for by in judged for f in _findings(state, by, "fail")]
    if blocking:
        raise RuleBlocks(f"broken: {', '.join(blocking)}", rules=blocking)
    answered = {(given.by, given.pack, given.rule) for given in state.overrides}
    open_ones = [
        finding.rule
        for by in judged
        for finding in _findings(state, by, "warn")
        if (by, finding.pack, finding.rule) not in answered
    ]
    if open_ones:
        raise OverrideMissing(
            f"needs a reason and a second approver: {', '.join(open_ones)}", rules=open_ones
        )


# ---- rules and overrides


def _judge(state: Negotiation, move: CheckRules | AskOverride | GrantOverride) -> tuple[Fact, ...]:
    match move:
        case CheckRules():
            return (_checked(state, move),)
        case AskOverride():
            check_reason(move.reason, place="$.reason")
            check_id(move.user, place="$.user")
            warnings = {(f.pack, f.rule) for f in _findings(state, move.by, "warn")}
            answered = {(o.pack, o.rule) for o in state.overrides if o.by == move.by}
            if (move.pack, move.rule) not in warnings - answered:
                raise NothingToOverride(f"{move.rule} does not warn {move.by}", rule=move.rule)
            return (
                OverrideAsked(
                    by=move.by,
                    pack=move.pack,
                    rule=move.rule,
                    reason=move.reason,
                    maker=move.user,
                ),
            )
        case GrantOverride():
            return (_granted(state, move),)


def _checked(state: Negotiation, move: CheckRules) -> RulesChecked:
    packs = [used.pack for used in move.packs]
    if not packs or len(set(packs)) != len(packs):
        raise WrongInput("$.packs", "rule packs, each once")
    for index, finding in enumerate(move.findings):
        place = f"$.findings[{index}]"
        if finding.pack not in packs:
            raise WrongInput(f"{place}.pack", "one of the packs that were used")
        worst = {"block": "fail", "warn": "warn", "inform": "inform"}[finding.severity]
        if finding.outcome not in ("pass", "not_applicable", worst):
            raise WrongInput(f"{place}.outcome", f"an outcome of a rule that may {worst}")
    if len({(f.pack, f.rule) for f in move.findings}) != len(move.findings):
        raise WrongInput("$.findings", "each rule of a pack once")
    return RulesChecked(
        by=move.by,
        agreement=agreement_hash(state),
        packs=move.packs,
        findings=move.findings,
    )


def _granted(state: Negotiation, move: GrantOverride) -> Override:
    about = (move.by, move.pack, move.rule)
    for asked in state.asked:
        if (asked.by, asked.pack, asked.rule) == about:
            if asked.maker == move.user:
                raise MakerIsChecker("a second person must agree", user=move.user)
            check_id(move.user, place="$.user")
            return Override(
                by=move.by,
                pack=move.pack,
                rule=move.rule,
                agreement=agreement_hash(state),
                reason=asked.reason,
                maker=asked.maker,
                checker=move.user,
            )
    raise NothingToCheck(f"{move.by} asked for no override of {move.rule}", rule=move.rule)


def _findings(state: Negotiation, by: str, outcome: str) -> Iterator[RuleFinding]:
    check = state.checks.get(by)
    if check is not None:
        yield from (finding for finding in check.findings if finding.outcome == outcome)


# ---- decisions


def _draft(state: Negotiation, move: DraftDecision) -> tuple[Fact, ...]:
    check_phase(state, Phase.CLEARED)
    _holder(state, move.by)
    _check_current(state, move.by, move.agreement)
    check_id(move.user, place="$.user")
    return (
        DecisionDrafted(
            bank=move.by, outcome=move.outcome, agreement=move.agreement, maker=move.user
        ),
    )


def _check(state: Negotiation, move: CheckDecision) -> tuple[Fact, ...]:
    check_phase(state, Phase.CLEARED)
    amount_minor = _holder(state, move.by)
    _check_current(state, move.by, move.agreement)
    draft = state.drafts.get(move.by)
    if draft is None:
        raise NothingToCheck(f"{move.by} has drafted no decision", bank=move.by)
    if draft.maker == move.user:
        raise MakerIsChecker("the decision is checked by a second person", user=move.user)
    check_id(move.user, place="$.user")
    if draft.outcome == "approve":
        check_rules_allow(state, move.by)
    body = decision_body(
        state, bank=move.by, outcome=draft.outcome, maker=draft.maker, checker=move.user
    )
    check_statement(move.signed, kind="decision", by=move.by, body=body)
    return (
        BankDecided(
            bank=move.by,
            outcome=draft.outcome,
            amount_minor=amount_minor,
            agreement=move.agreement,
            maker=draft.maker,
            checker=move.user,
            signed=move.signed,
        ),
    )


def _check_current(state: Negotiation, bank: str, agreement: str) -> None:
    if bank in state.decisions:
        raise AlreadyDone(f"{bank} has decided", bank=bank)
    if agreement != agreement_hash(state):
        raise StaleAgreement("another allocation or other terms stand", named=agreement)


def _holder(state: Negotiation, bank: str) -> int:
    """What the bank holds of the allocation, minor units; NoSeat where it holds nothing."""
    allocation = _cleared(state).allocation
    if bank not in allocation:
        raise NoSeat(f"{bank} holds no part", bank=bank)
    return allocation[bank]


# ---- the sheet


def _draw(state: Negotiation, move: DrawTermSheet, ground: Ground) -> tuple[Fact, ...]:
    check_phase(state, Phase.DECIDED)
    check_lead(state, move.by)
    if state.signatures:
        raise AlreadyDone("the term sheet is being signed", negotiation=state.name)
    for bank in _cleared(state).allocation:
        check_rules_allow(state, bank)
    check_id(move.facility, place="$.facility")
    check_sha256(move.cooperation_agreement, place="$.cooperation_agreement")
    check_sha256(move.log.root, place="$.log.root")
    if move.log.book != state.name or move.log.size < 1:
        raise WrongInput("$.log", "where this negotiation's own log stands")
    if move.signed_on < ground.on:
        raise WrongInput("$.signed_on", f"a day not before {ground.on}")
    posted = facility_terms(state, facility=move.facility, signed_on=move.signed_on)
    check_terms(posted, place="$.terms")
    sheet = write(
        state,
        facility=move.facility,
        signed_on=move.signed_on,
        cooperation_agreement=move.cooperation_agreement,
        log=move.log,
    )
    return (
        TermSheetDrawn(
            facility=move.facility,
            signed_on=move.signed_on,
            cooperation_agreement=move.cooperation_agreement,
            log=move.log,
            term_sheet=sheet,
            term_sheet_hash=term_sheet_hash(sheet),
            terms_hash=terms_hash(posted),
        ),
    )


def _sign(state: Negotiation, move: SignTermSheet) -> tuple[Fact, ...]:
    check_phase(state, Phase.DECIDED)
    if state.sheet is None:
        raise WrongPhase("no term sheet is drawn yet", phase=state.phase)
    if move.by not in signatories(state):
        raise NoSeat(f"{move.by} is no party of the deal", party=move.by)
    if move.by in state.signatures:
        raise AlreadyDone(f"{move.by} has signed", party=move.by)
    check_statement(move.signed, kind="term-sheet", by=move.by, body=signature_body(state))
    return (TermSheetSigned(party=move.by, signed=move.signed),)


def _cleared(state: Negotiation) -> Clearing:
    if state.clearing is None:
        raise AssertionError("the book has cleared")
    return state.clearing
