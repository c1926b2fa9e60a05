"""The command line: calculators that need no database, and the service's own commands.

Every calculator prints one JSON document on stdout. Exit 0: answered. Exit 1: the answer is no.
Exit 2: the input is wrong, one line on stderr that names the place and what was expected, nothing
on stdout, nothing stored.
"""

import signal
import sys
from pathlib import Path
from typing import Any

import rich_click as click
from click import exceptions

from api.cli_proofs import policy, proof, timestamp, witness
from api.terminal import print_answer as _print
from api.terminal import read_file as _read
from api.terminal import read_json_file as _document
from ledger.errors import LiandaiError


def main() -> None:
    """Run one command and leave with its exit code; SIGTERM stops it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one command line; errors are one line on stderr."""
    try:
        code = liandai.main(args=arguments, prog_name="liandai", standalone_mode=False)
    except exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except click.ClickException as error:
        return _fail(" ".join(error.format_message().split()))
    except (exceptions.Abort, KeyboardInterrupt):
        _fail("stopped")
        return 130
    except LiandaiError as error:
        return _fail(str(error))
    except BrokenPipeError:
        return 1
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    one_line = " ".join(message.split())
    print(f"liandai: {one_line}", file=sys.stderr)
    return 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="liandai")
def liandai() -> None:
    """Liandai (联贷): the neutral service banks share when they lend together.

    Settings are environment variables, as LIANDAI_HOME; README.md lists them.
    """


# ---- calculators: no database, no network


@liandai.command()
@click.option("--rule", required=True, metavar="RULE.json", help="The risk-share agreement.")
@click.option("--events", required=True, metavar="EVENTS.json", help="Losses and recoveries.")
def share(rule: str, events: str) -> None:
    """Who bears what of losses and recoveries under a risk-share rule (风险共担)."""
    from syndicate.risk.share import answer

    _print(answer(_document(rule, place="--rule"), _document(events, place="--events")))


@liandai.command()
@click.argument("book", metavar="BOOK.json")
def clear(book: str) -> int:
    """The lowest uniform spread at which a book of quotes clears, and the allocation.

    Exit 1: it does not clear; the answer names the gap and the constraints that clash.
    """
    from negotiation.book import answer

    feasible, document = answer(_document(book, place="BOOK"))
    _print(document)
    return 0 if feasible else 1


@liandai.group()
def rules() -> None:
    """Rule packs: regulations as dated, sourced rules."""


@rules.command("check")
@click.option("--pack", required=True, metavar="PACK", help="The pack, as cn-syndicated.")
@click.option("--on", "on", required=True, metavar="DATE", help="Judge by the version in force.")
@click.argument("facts", metavar="FACTS.json")
def rules_check(pack: str, on: str, facts: str) -> None:
    """Judge facts by a pack as it stood on a day; exits 0 whatever the outcomes."""
    from syndicate.rules.engine import check

    _print(check(pack, on, _document(facts, place="FACTS")))


@rules.command("show")
@click.argument("pack", metavar="PACK")
def rules_show(pack: str) -> None:
    """A pack's rules with their sources, dates, severities and inputs."""
    from syndicate.rules.engine import show

    _print(show(pack))


@liandai.command()
@click.option("--tenor", required=True, metavar="1Y|5Y", help="One year, or five and more.")
@click.option("--as-of", "as_of", required=True, metavar="DATE", help="The day, as 2024-03-01.")
def lpr(tenor: str, as_of: str) -> None:
    """The loan prime rate in force on a day (贷款市场报价利率)."""
    from syndicate.reference.lookups import lpr_answer

    _print(lpr_answer(tenor, as_of))


@liandai.command()
@click.argument("day", metavar="DATE")
def calendar(day: str) -> None:
    """Whether a day is a workday in China, and the next one after it."""
    from syndicate.reference.lookups import calendar_answer

    _print(calendar_answer(day))


@liandai.group("id")
def identity() -> None:
    """Check identity codes as written; nothing is normalised."""


def _verdict(found: tuple[bool, dict[str, Any]]) -> int:
    valid, document = found
    _print(document)
    return 0 if valid else 1


@identity.command()
@click.argument("code")
def uscc(code: str) -> int:
    """A unified social credit code (统一社会信用代码, GB 32100)."""
    from syndicate.reference.lookups import uscc_answer

    return _verdict(uscc_answer(code))


@identity.command()
@click.argument("code")
def lei(code: str) -> int:
    """A legal entity identifier (ISO 17442)."""
    from syndicate.reference.lookups import lei_answer

    return _verdict(lei_answer(code))


@liandai.command()
@click.argument("bundle", metavar="BUNDLE")
@click.option("--policy", metavar="FILE", help="Keys to trust, from outside the bundle.")
def verify(bundle: str, policy: str | None) -> int:
    """Verify an audit bundle offline: every leaf, proof, signature and balance; and compute again.

    Interest, rates, instalments, what payments met and shares of loss follow from each facility's
    terms, the fixings and the calendar in the bundle. Exit 1: something does not hold or follow;
    the answer names the first of it.
    """
    from api.bundles import read_folder
    from api.reperformance import judged
    from ledger.notes import read_policy

    trusted = None if policy is None else read_policy(_read(policy, place="--policy"))
    document = judged(read_folder(bundle), trusted)
    _print(document)
    return 0 if document["verified"] else 1


@liandai.command()
def verifier() -> None:
    """Print the stand-alone verifier: one file that needs Python 3.11 and nothing of ours."""
    from ledger import standalone

    sys.stdout.write(Path(standalone.__file__).read_text("utf-8"))


@liandai.group("key")
def keys() -> None:
    """An institution's own signing key; it never leaves your machine."""


@keys.command("new")
@click.argument("file", metavar="FILE")
def key_new(file: str) -> None:
    """Make a key, and print its public half to register."""
    from api.signing import new_key

    _print(new_key(Path(file)))


@liandai.command()
@click.option("--key", "key_file", required=True, metavar="FILE", help="Your key (key new).")
@click.option("--by", required=True, metavar="INSTITUTION", help="Who signs.")
@click.option("--kind", required=True, metavar="KIND", help="The statement's kind, as decision.")
@click.argument("body", metavar="BODY.json")
def sign(key_file: str, by: str, kind: str, body: str) -> None:
    """Sign a statement with your institution's key, to be sent with a request."""
    from api.signing import sign_document

    document = _document(body, place="BODY")
    _print(sign_document(Path(key_file), by=by, kind=kind, body=document))


for trusting_nobody in (proof, policy, witness, timestamp):
    liandai.add_command(trusting_nobody)


# ---- the service


@liandai.command()
@click.option("--demo", is_flag=True, help="With the demonstration's data and users.")
def serve(demo: bool) -> None:
    """Serve the installation until stopped; migrations run first."""
    from api import standby

    process = None if demo else standby.begin()  # it imports while we do
    from api.commands import serve as run_server

    run_server(process=process)


@liandai.command()
@click.option(
    "--bundle", metavar="DIR", help="Write the auditor's bundle there, DIR.policy.json beside it."
)
def demo(bundle: str | None) -> int:
    """Run two joint loans from consent to verified audit bundle, over HTTP."""
    from api.commands import demo as run_demo

    return run_demo(bundle=None if bundle is None else Path(bundle))


@liandai.command()
def migrate() -> None:
    """Bring the database to this program's newest schema."""
    from api.commands import migrate as run_migrations

    _print(run_migrations())


@liandai.command()
def audit() -> int:
    """Check every invariant on the live database, and report figures."""
    from api.commands import audit as run_audit

    document = run_audit()
    _print(document)
    return 0 if document["holds"] else 1


@liandai.command()
@click.option("--book", "books", multiple=True, metavar="ID", help="A book; repeat for more.")
@click.option("--out", required=True, metavar="DIR", help="A folder that is not there yet.")
@click.option(
    "--policy",
    metavar="FILE",
    help="End at the last head that this policy counts, so that the bundle verifies under it.",
)
def bundle(books: tuple[str, ...], out: str, policy: str | None) -> None:
    """Write an audit bundle of some books (all, where none is named)."""
    from api.commands import bundle as write_bundle
    from ledger.evidence import Witnessing
    from ledger.notes import read_policy

    trusted = None if policy is None else read_policy(_read(policy, place="--policy"))
    witnessing = None
    if trusted is not None and trusted.threshold:
        names = tuple(witness.name for witness in trusted.witnesses)
        witnessing = Witnessing(at_least=trusted.threshold, witnesses=names)
    _print(write_bundle(books=books, out=Path(out), witnessing=witnessing))


if __name__ == "__main__":
    main()
