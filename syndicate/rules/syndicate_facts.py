"""The facts of a syndicated loan (银团贷款) and what can be measured on them. No limits here.

What a measure needs and the document does not give makes it None, never a guess. The limits and the
dates from which they hold stand in `cn_syndicated`.
"""

from datetime import date
from fractions import Fraction
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from ledger.errors import WrongInput
from ledger.money import round_half_up
from syndicate.rules.facts import Count, Known, Name, refuse_zero
from syndicate.rules.finding import SILENT, Judgement, all_hold, amount_text

Role = Literal["lead", "co_lead", "participant"]


class Member(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bank's part in one group; a bank in two groups has two, and its share is their sum."""

    id: Name
    role: Role
    commitment: Fraction
    group: Name | Count | UnsetType | None = UNSET


class Transfer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A transfer of part of a member's loan; `registered_at` null says: not registered."""

    principal: Known = UNSET
    interest: Known = UNSET
    transferred_principal: Known = UNSET
    transferred_interest: Known = UNSET
    registered_at: date | UnsetType | None = UNSET
    traded_at: date | UnsetType = UNSET


class SyndicateFacts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts of one syndicate; `agent` null says: none is set."""

    total: Known = UNSET
    contracts: Count | UnsetType = UNSET
    agent: Name | tuple[Name, ...] | UnsetType | None = UNSET
    members: tuple[Member, ...] | UnsetType = UNSET
    agent_affiliate_of_borrower: bool | UnsetType = UNSET
    transfer: Transfer | UnsetType = UNSET


MEANINGS: Final = {
    "total": "amount of the whole facility",
    "contracts": "number of loan contracts with the borrower",
    "agent": "id of the agent bank; null for none, a list for several",
    "members": "one entry a bank and group: id, role (lead, co_lead, participant), "
    "commitment, group",
    "agent_affiliate_of_borrower": "true where the agent is an affiliate of the borrower",
    "transfer": "principal, interest, transferred_principal, transferred_interest (CNY), "
    "registered_at, traded_at (days)",
}


def refuse_contradictions(facts: SyndicateFacts, place: str) -> None:
    """Raises WrongInput for a bank named twice in one group, groups for some only, a total of 0."""
    refuse_zero(place, total=facts.total)
    if not isinstance(facts.transfer, UnsetType):
        refuse_zero(f"{place}.transfer", principal=facts.transfer.principal)
    if isinstance(facts.members, UnsetType):
        return
    seen: set[tuple[str, str | int | None]] = set()
    for index, member in enumerate(facts.members):
        where = f"{place}.members[{index}]"
        if (_group(member) is None) != (_group(facts.members[0]) is None):
            raise WrongInput(f"{where}.group", "a group for every member or for none")
        if (member.id, _group(member)) in seen:
            raise WrongInput(f"{where}.id", "each bank once in a group, not a duplicate member")
        seen.add((member.id, _group(member)))


def _group(member: Member) -> str | int | None:
    return None if isinstance(member.group, UnsetType) else member.group


def _holdings(facts: SyndicateFacts) -> dict[str, Fraction] | None:
    """Each bank's commitment over all its groups, in the order of the members."""
    if isinstance(facts.members, UnsetType):
        return None
    held: dict[str, Fraction] = {}
    for member in facts.members:
        held[member.id] = held.get(member.id, Fraction(0)) + member.commitment
    return held


def _leads(facts: SyndicateFacts) -> list[str]:
    """The banks that lead, each once; two leads are joint leads whatever their roles are called."""
    members = () if isinstance(facts.members, UnsetType) else facts.members
    return list(dict.fromkeys(member.id for member in members if member.role != "participant"))


def _led_jointly(facts: SyndicateFacts) -> bool:
    members = () if isinstance(facts.members, UnsetType) else facts.members
    return len(_leads(facts)) > 1 or any(member.role == "co_lead" for member in members)


def _shares(facts: SyndicateFacts) -> dict[str, Fraction]:
    held = _holdings(facts)
    if held is None or isinstance(facts.total, UnsetType):
        return {}
    return {bank: commitment / facts.total for bank, commitment in held.items()}


def single_lead_share(facts: SyndicateFacts) -> Fraction | None:
    """The share the only lead keeps; None with joint leads or without a lead."""
    shares, leads = _shares(facts), _leads(facts)
    return shares[leads[0]] if shares and leads and not _led_jointly(facts) else None


def distributed_share(facts: SyndicateFacts) -> Fraction | None:
    """What the only lead placed with others: one less its own share."""
    kept = single_lead_share(facts)
    return None if kept is None else 1 - kept


def least_joint_lead_share(facts: SyndicateFacts) -> Fraction | None:
    """The smallest share among joint leads; None without any."""
    shares = _shares(facts)
    return min(shares[bank] for bank in _leads(facts)) if shares and _led_jointly(facts) else None


def largest_share(facts: SyndicateFacts) -> Fraction | None:
    """The largest share of any bank."""
    return max(_shares(facts).values(), default=None)


def _agents(facts: SyndicateFacts) -> int | None:
    if isinstance(facts.agent, UnsetType):
        return None
    if facts.agent is None:
        return 0
    return 1 if isinstance(facts.agent, str) else len(facts.agent)


def judge_syndicate(facts: SyndicateFacts) -> Judgement:
    """SY-01: two banks that really lend, one contract, one agent."""
    held, agents = _holdings(facts), _agents(facts)
    banks = None if held is None else sum(commitment > 0 for commitment in held.values())
    contracts = None if isinstance(facts.contracts, UnsetType) else facts.contracts
    kept = all_hold(
        None if banks is None else banks >= 2,
        None if contracts is None else contracts == 1,
        None if agents is None else agents == 1,
    )
    if kept is None:
        return SILENT
    value: dict[str, str | int | None] = {"banks": banks, "contracts": contracts, "agents": agents}
    return Judgement(broken=not kept, value=value)


def judge_groups(facts: SyndicateFacts) -> Judgement:
    """SY-07: at most three groups, at most one of them of a single bank."""
    members = () if isinstance(facts.members, UnsetType) else facts.members
    banks_of: dict[str | int, set[str]] = {}
    for member in members:
        group = _group(member)
        if group is not None:
            banks_of.setdefault(group, set()).add(member.id)
    if not banks_of:
        return SILENT
    single = sum(len(banks) == 1 for banks in banks_of.values())
    return Judgement(
        broken=len(banks_of) > 3 or single > 1,
        value={"groups": len(banks_of), "single_bank_groups": single},
    )


def judge_agent(facts: SyndicateFacts) -> Judgement:
    """SY-08: one unified agent."""
    agents = _agents(facts)
    return SILENT if agents is None else Judgement(broken=agents != 1, value=agents)


def judge_affiliation(facts: SyndicateFacts) -> Judgement:
    """SY-11: the agent is no affiliate of the borrower."""
    affiliate = facts.agent_affiliate_of_borrower
    return (
        SILENT if isinstance(affiliate, UnsetType) else Judgement(broken=affiliate, value=affiliate)
    )


def judge_slice(facts: SyndicateFacts) -> Judgement:
    """SY-12: the interest that goes over is the principal's exact share, half up to the fen."""
    deal = facts.transfer
    if (
        isinstance(deal, UnsetType)
        or isinstance(deal.principal, UnsetType)
        or isinstance(deal.interest, UnsetType)
        or isinstance(deal.transferred_principal, UnsetType)
        or isinstance(deal.transferred_interest, UnsetType)
    ):
        return SILENT
    exact = deal.interest * deal.transferred_principal / deal.principal
    due = Fraction(round_half_up(exact * 100), 100)
    return Judgement(
        broken=deal.transferred_interest != due or deal.transferred_principal > deal.principal,
        value={
            "transferred_principal": amount_text(deal.transferred_principal),
            "transferred_interest": amount_text(deal.transferred_interest),
        },
        limit={
            "transferred_principal": amount_text(deal.principal),
            "transferred_interest": amount_text(due),
        },
    )


def judge_registration(facts: SyndicateFacts) -> Judgement:
    """SY-13: registered on the day of the trade at the latest; a trade without it is broken."""
    if isinstance(facts.transfer, UnsetType) or isinstance(facts.transfer.traded_at, UnsetType):
        return SILENT
    registered, traded = facts.transfer.registered_at, facts.transfer.traded_at
    if registered is None or isinstance(registered, UnsetType):
        return Judgement(broken=True, limit=traded.isoformat())
    return Judgement(
        broken=registered > traded, value=registered.isoformat(), limit=traded.isoformat()
    )
