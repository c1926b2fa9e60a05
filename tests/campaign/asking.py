"""Random questions to a book, most of them possible or nearly so. It decides nothing.

Amounts are small, so that limits and reservations are met exactly, one too few and one too many;
now and then the largest there is. What a question is of is mostly something that stands, sometimes
something resolved, of another kind, or that nobody made. A seed gives the same questions again.
"""

from random import Random
from typing import Final

from tests.campaign.model import MOST_AMOUNT, AccountName, Ask, Lines, Model

PARTIES: Final = ("alfa", "beta", "gamma")
CODES: Final = ("cash", "fees", "loan")
CURRENCIES: Final = ("CNY", "CNY", "CNY", "USD")
KINDS: Final = (
    *("transaction",) * 22,
    *("pending",) * 22,
    *("posting",) * 17,
    *("void",) * 9,
    *("over",) * 5,
    *("reversal",) * 12,
    *("account",) * 8,
)


class Asker:
    """Asks one book one question after the other.

    joint    several parties and their debts, or one party alone
    twisted  how many are given a form that no leaf has
    """

    def __init__(self, dice: Random, *, joint: bool, twisted: float) -> None:
        self._dice = dice
        self._parties = PARTIES if joint else PARTIES[:1]
        self._joint = joint
        self._share_twisted = twisted
        self._blocks: dict[str, list[Lines]] = {}

    def ask(self, model: Model, name: str, *, at: int) -> Ask:
        """The next question, as the book stands, to be recorded under that name."""
        dice = self._dice
        ask = self._formed(dice.choice(KINDS), model, name, at)
        if dice.random() < self._share_twisted:
            ask = self._twisted(ask, model)
        return ask

    def misplaced(self, model: Model, name: str, *, at: int) -> Ask:
        """A question that says where it stands: now and then on a day that is closed or to come,
        correcting what is not there, or under a name that has been used."""
        dice = self._dice
        ask = self.ask(model, name, at=at)
        match dice.randrange(24):
            case 0:
                return ask._replace(booking_day=model.day + dice.choice((-1, 1)))
            case 1:
                return ask._replace(corrects="nobody")
            case 2 | 3 if model.log:
                return ask._replace(corrects=dice.choice(model.log).name)
            case 4 if model.log:
                return ask._replace(name=dice.choice(model.log).name)
        return ask

    # ---- possible, as far as its form goes

    def _formed(self, kind: str, model: Model, name: str, at: int) -> Ask:
        dice = self._dice
        blank = Ask(
            kind="void" if kind == "over" else kind,
            name=name,
            value_day=model.day - dice.choice((0, 0, 0, 1, 2)),
            booking_day=model.day,
            at=at,
        )
        match kind:
            case "transaction":
                return blank._replace(lines=self._lines(blank.name))
            case "pending":
                ends = at + dice.randrange(1, 40) if dice.random() < 0.5 else None
                return blank._replace(lines=self._lines(blank.name), ends=ends)
            case "posting":
                of = self._pending(model)
                return blank._replace(of=of, lines=self._part_of(of))
            case "void":
                return blank._replace(of=self._pending(model))
            case "over":
                over = model.over(at)
                of = dice.choice(over) if over and dice.random() < 0.8 else self._pending(model)
                return blank._replace(of=of, by_clock=True, says_over=True)
            case "reversal":
                return self._reversal(blank, model)
        return blank._replace(terms=self._terms(model))

    def _lines(self, name: str) -> tuple[tuple[AccountName, int], ...]:
        """One to three movements, mixed; remembered, so that a part of them can be asked for."""
        dice = self._dice
        blocks = [self.movement() for _ in range(dice.choice((1, 1, 1, 2, 3)))]
        self._blocks[name] = blocks
        return tuple(line for block in blocks for line in block)

    def movement(self) -> Lines:
        """An amount from one account to another, or lent by one party to another."""
        dice = self._dice
        amount = dice.randrange(1, 10) if dice.random() < 0.995 else MOST_AMOUNT
        currency, ref = dice.choice(CURRENCIES), dice.choice(("", "", "", "d1"))
        if self._joint and dice.random() < 0.4:
            one, other = dice.sample(self._parties, 2)
            return [
                ((one, "due.principal", other, ref, currency), amount),
                ((other, "due.principal", one, ref, currency), -amount),
                ((one, "cash", "", "", currency), -amount),
                ((other, "cash", "", "", currency), amount),
            ]
        party = dice.choice(self._parties)
        one, other = dice.sample(CODES, 2) if dice.random() < 0.97 else ("cash", "cash")
        return [
            ((party, one, "", ref, currency), amount),
            ((party, other, "", "", currency), -amount),
        ]

    def _pending(self, model: Model) -> str:
        dice = self._dice
        chance = dice.random()
        if model.standing and chance < 0.75:
            return dice.choice(list(model.standing))
        if model.resolved and chance < 0.92:
            return dice.choice(list(model.resolved))
        return dice.choice(model.log).name if model.log and chance < 0.97 else "nobody"

    def _part_of(self, of: str) -> tuple[tuple[AccountName, int], ...]:
        """All of a pending, most often a part, sometimes one too many or something else."""
        dice = self._dice
        blocks = self._blocks.get(of)
        if blocks is None or dice.random() < 0.06:
            return tuple(self.movement())
        if len(blocks) > 1 and dice.random() < 0.3:
            blocks = dice.sample(blocks, dice.randrange(1, len(blocks)))
        parts = []
        for block in blocks:
            whole = abs(block[0][1])
            chance = dice.random()
            part = whole if chance < 0.5 else dice.randrange(1, min(whole, 50) + 1)
            if chance > 0.95:
                part = whole + 1
            sign = -1 if dice.random() < 0.03 else 1
            parts += [(name, sign * (part if amount > 0 else -part)) for name, amount in block]
        return tuple(parts)

    def _reversal(self, blank: Ask, model: Model) -> Ask:
        dice = self._dice
        fresh = [name for name in model.reversible if name not in model.reversed]
        chance = dice.random()
        if fresh and chance < 0.7:
            of = dice.choice(fresh)
        elif model.reversed and chance < 0.9:
            of = dice.choice([*model.reversed, *model.reversed.values()])
        else:
            of = dice.choice(model.log).name if model.log else "nobody"
        original = model.reversible.get(of) or self.movement()
        lines = [(name, -amount) for name, amount in original]
        match dice.randrange(12):
            case 0:
                lines = lines[::-1]
            case 1:
                lines = [(name, -amount) for name, amount in lines]
            case 2:
                lines = self.movement()
        return blank._replace(of=of, lines=tuple(lines))

    def _terms(self, model: Model) -> tuple[AccountName, str | None, int | None, int | None]:
        """Mostly near what stands now, so that the limit is soon met; sometimes lifted."""
        dice = self._dice
        names = [name for name in model.posted if model.posted[name] or model.debits[name]]
        name = dice.choice(names) if names and dice.random() < 0.8 else self.movement()[0][0]
        if dice.random() < 0.15:
            return name, None, None, None
        posted, debit, credit = (of[name] for of in (model.posted, model.debits, model.credits))
        least = posted - credit - dice.randrange(-2, 15) if dice.random() < 0.5 else None
        most = posted + debit + dice.randrange(-2, 15) if dice.random() < 0.6 else None
        side = dice.choice((None, None, None, "debit", "credit"))
        return name, side, least, most

    # ---- a form that no leaf has, or nearly one

    def _twisted(self, ask: Ask, model: Model) -> Ask:
        dice = self._dice
        lines = list(ask.lines)
        match dice.randrange(12):
            case 0 if lines:
                lines[0] = (lines[0][0], lines[0][1] + dice.choice((-1, 1)))
            case 1 if lines:
                lines[-1] = (lines[-1][0], 0)
            case 2 if lines:
                lines = lines[:1]
            case 3 if lines:
                name = list(lines[0][0])
                name[dice.randrange(5)] = dice.choice(("", "Cash", "XXX", "alfa"))
                lines[0] = ((name[0], name[1], name[2], name[3], name[4]), lines[0][1])
            case 4 if lines:
                lines = [(name, amount * MOST_AMOUNT) for name, amount in lines]
            case 5:
                lines = [] if lines else self.movement()
            case 6:
                return ask._replace(of=None if ask.of else self._pending(model))
            case 7:
                return ask._replace(ends=ask.at - dice.randrange(2))
            case 8:
                return ask._replace(by_clock=not ask.by_clock)
            case 9 if ask.kind == "void":
                return ask._replace(says_over=not ask.says_over)
            case 10 if ask.terms is not None:
                name, _, _, _ = ask.terms
                terms = dice.choice(
                    (
                        (name, None, 1, 0),
                        (name, "both", None, None),
                        (name, None, None, MOST_AMOUNT),
                        (name, None, None, MOST_AMOUNT + 1),
                        (name, "debit", None, -1),
                    )
                )
                return ask._replace(terms=terms)
            case 11:
                other = dice.choice([kind for kind in KINDS if kind != "over"])
                return ask._replace(kind=other, says_over=other == "void" and ask.says_over)
        return ask._replace(lines=tuple(lines))
