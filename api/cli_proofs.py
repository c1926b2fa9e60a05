"""The commands of those who trust nobody here: proofs, policies, a witness of one's own.

None of them needs a database. Exit codes are those of `api.cli`.
"""

import json
import sys
from pathlib import Path

import rich_click as click

from api.terminal import print_answer, read_file
from ledger.errors import WrongInput


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--policy", required=True, metavar="FILE", help="Keys to trust, from elsewhere.")
@click.option("--leaf", metavar="HASH", help="The leaf hash you were promised; must be this one.")
def proof(file: str, policy: str, leaf: str | None) -> int:
    """Check a proof offline: the receipt of a record, or a balance at the close of a day.

    The file says which it is. The answer says in words what is proved, and what is not. Exit 1: it
    does not hold, or is about another leaf; the answer says why.
    """
    from ledger import proven
    from ledger.notes import read_policy

    trusted = read_policy(read_file(policy, place="--policy"))
    verdict = proven.verify(proven.read(read_file(file, place="FILE")), trusted, leaf_hash=leaf)
    print_answer(verdict.document())
    return 0 if verdict.verified else 1


@click.command()
@click.option("--server", metavar="URL", help="Take the keys that this service claims.")
@click.option("--log", metavar="KEY", help="The log's verifier key, from its owner.")
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="KEY",
    help="A witness's verifier key, or an institution's id with --server; repeat for more.",
)
@click.option("--threshold", required=True, type=int, metavar="K", help="How many must cosign.")
@click.option("--out", required=True, metavar="FILE", help="A file that is not there yet.")
def policy(
    server: str | None, log: str | None, witnesses: tuple[str, ...], threshold: int, out: str
) -> None:
    """Write a policy file: whose log, which witnesses, how many of them make a head count."""
    from api import policies
    from ledger.notes import write_policy

    if (server is None) == (log is None):
        raise WrongInput("--log", "the log's key, or --server to take those that it claims")
    given = [witness for witness in witnesses if "+" in witness]
    names = [witness for witness in witnesses if "+" not in witness]
    if server is not None:
        keys = policies.ask(server)
        log = keys.log
        given += keys.of(names) if names or not given else []
        print(
            "liandai: these are the keys the service claims; compare each with what its owner "
            "publishes before you trust this file",
            file=sys.stderr,
        )
    elif names:
        raise WrongInput(f"--witness {names[0]}", "a verifier key; ids need --server")
    made = policies.make_policy(log=str(log), witnesses=given, threshold=threshold)
    policies.write_new(Path(out), write_policy(made) + b"\n")
    print_answer(json.loads(write_policy(made)))


@click.group()
def witness() -> None:
    """A witness of your own: it cosigns a log's head only where the log did not change its past.

    It runs on your machine with your key, and needs no database.
    """


WITNESS_KEY = click.option(
    "--key", "key_file", required=True, metavar="FILE", help="Your key (key new)."
)
WITNESS_NAME = click.option(
    "--name", required=True, metavar="INSTITUTION", help="Who you are; your key's name."
)
WITNESS_STATE = click.option(
    "--state", required=True, metavar="FILE", help="Your memory: the last heads you cosigned."
)
WITNESS_FIRST = click.option(
    "--first", is_flag=True, help="Begin a new memory; never again afterwards."
)


@witness.command("follow")
@click.option("--server", required=True, metavar="URL", help="The service, as https://host.")
@click.option("--log", required=True, metavar="KEY", help="The log's verifier key, from elsewhere.")
@click.option("--token", required=True, metavar="FILE", help="A file with your operations' token.")
@WITNESS_KEY
@WITNESS_NAME
@WITNESS_STATE
@WITNESS_FIRST
@click.option(
    "--every",
    type=click.IntRange(1, 86_400),
    metavar="SECONDS",
    help="Go on, a round every so many seconds; one round without it.",
)
def witness_follow(
    server: str,
    log: str,
    token: str,
    key_file: str,
    name: str,
    state: str,
    first: bool,
    every: int | None,
) -> int:
    """Follow a service's top log, and hand in your cosignature of each head that may have one.

    Exit 1: the log forked, shrank or was restored to an older state; both heads are saved.
    """
    from api.commands_witness import follow

    return follow(
        server=server,
        log=log,
        token_file=Path(token),
        key_file=Path(key_file),
        name=name,
        state=Path(state),
        first=first,
        every=every,
    )


@witness.command("serve")
@click.option(
    "--log",
    "logs",
    required=True,
    multiple=True,
    nargs=2,
    metavar="ORIGIN KEY",
    help="A log's origin line and verifier key; repeat for more.",
)
@WITNESS_KEY
@WITNESS_NAME
@WITNESS_STATE
@WITNESS_FIRST
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8471, show_default=True, type=click.IntRange(0, 65_535))
def witness_serve(
    logs: tuple[tuple[str, str], ...],
    key_file: str,
    name: str,
    state: str,
    first: bool,
    host: str,
    port: int,
) -> None:
    """Answer add-checkpoint requests (C2SP tlog-witness) until stopped."""
    from api.commands_witness import serve as serve_witness

    serve_witness(
        logs=logs,
        key_file=Path(key_file),
        name=name,
        state=Path(state),
        first=first,
        host=host,
        port=port,
    )


@click.group()
def timestamp() -> None:
    """A third party's time under a head (RFC 3161): ask for one, and check one, offline."""


NOTE = click.option("--note", required=True, metavar="FILE", help="The checkpoint, as served.")


@timestamp.command("request")
@NOTE
@click.option("--out", required=True, metavar="FILE", help="A file that is not there yet.")
def timestamp_request(note: str, out: str) -> None:
    """Write the request that a time-stamping authority answers; prints the nonce to keep."""
    import secrets

    from api.policies import write_new
    from ledger import timestamps

    head = read_file(note, place="--note")
    nonce = secrets.randbits(63) | 1 << 62
    write_new(Path(out), timestamps.request(head, nonce=nonce))
    print_answer({"imprint": timestamps.imprint(head).hex(), "nonce": str(nonce), "out": out})


@timestamp.command("check")
@NOTE
@click.option("--response", required=True, metavar="FILE", help="The authority's response.")
@click.option("--authority", required=True, metavar="CERT", help="Its certificate, from elsewhere.")
@click.option("--nonce", type=int, metavar="N", help="The nonce of the request, where known.")
def timestamp_check(note: str, response: str, authority: str, nonce: int | None) -> int:
    """Check a response offline: granted, of this head, by this authority's key.

    Exit 1: it does not hold; the answer says why.
    """
    from ledger import timestamps

    try:
        found = timestamps.check(
            read_file(response, place="--response"),
            note=read_file(note, place="--note"),
            authority=timestamps.read_certificate(read_file(authority, place="--authority")),
            nonce=nonce,
        )
    except timestamps.NotStamped as error:
        print_answer({"stamped": False, "why": str(error)})
        return 1
    print_answer(
        {
            "stamped": True,
            "time": found.time.isoformat(),
            "serial": str(found.serial),
            "policy": found.policy,
        }
    )
    return 0
