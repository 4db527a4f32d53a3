"""What an approver does: make a key, sign an answer, or give it. Secrets are asked for, never read from the command."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import Json, Reason, WorkloadName
from tasks import workloads
from tasks.core.decisions import Kind
from tasks.errors import BadRequest

KINDS: tuple[Kind, ...] = ("greenlight", "hold", "reject")
# A greenlight after which nothing serves: the same as a run from which nothing passed.
NOTHING_PASSED = 3

ANSWERS: dict[str, tuple[Kind, str]] = {
    "approve": (
        "greenlight",
        """Greenlight the open request: sign, record, and let promote act on it.

        Example: greenlight approve channels --reason "holdout better, shadow clean"
        """,
    ),
    "hold": (
        "hold",
        """Hold the open request: no greenlight of others counts until you greenlight it yourself, or the hold expires.

        Example: greenlight hold channels --reason "wait for Monday's data" --hours 48
        """,
    ),
    "reject": (
        "reject",
        """Reject the open request: that is the end of it, whoever greenlights.

        Example: greenlight reject channels --reason "two slices got worse"
        """,
    ),
}

Ring = Annotated[str | None, typer.Option(help="which ring; else the only one with an open request")]
Version = Annotated[str | None, typer.Option(help="which challenger, where several are open in the ring")]
Key = Annotated[
    Path | None, typer.Option("--key", help="your private key; else GREENLIGHT_APPROVER_KEY, else the home's")
]
Name = Annotated[str | None, typer.Option("--as", metavar="NAME", help="who you are; else whose key it is")]
Hours = Annotated[float | None, typer.Option(min=0.01, help="how long it counts; else as long as the request is open")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="a file whose first line opens the key; else it is asked for")
]
WaitSeconds = Annotated[float, typer.Option(min=0, help="how long to wait for what comes of it")]


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    keys = typer.Typer(rich_markup_mode=None, help="Keys of approvers.", no_args_is_help=True)
    keys.command("new")(new_key)
    app.add_typer(keys, name="key")
    app.command()(sign)
    for word, (kind, says) in ANSWERS.items():
        app.command(word, help=says)(_answering(kind))


def new_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="whose key it is, as it will stand in the ledger")],
    out: Annotated[
        Path | None, typer.Option("--out", help="where to put it; else keys/approvers/NAME in the home")
    ] = None,
    passphrase: Annotated[bool, typer.Option(help="lock the key with a passphrase, which is asked for")] = True,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make an Ed25519 key pair for an approver and print what to add to approvers.yaml.

    Example: greenlight key new alice
    """
    from deployments import deciding
    from tasks.adapters import approvers, key_files

    if not re.fullmatch(approvers.NAME, name):
        raise BadRequest(
            f"{name!r} cannot be an approver's name: begin with a letter, then letters, digits, . _ - or @"
        )
    path = out or deciding.keys_folder() / name
    key_files.refuse_taken(path)
    secret = _new_passphrase(path, passphrase_file) if passphrase or passphrase_file else ""
    made = key_files.make(path, name, secret)
    entry = approvers.entry(name, key_files.public_half(path).read_text("utf-8"))
    found = {
        "key": str(path),
        "public": str(key_files.public_half(path)),
        "fingerprint": made.fingerprint,
        "entry": entry,
    }
    said = (
        f"{path} is the private key of {name} ({made.fingerprint}), readable by its owner only. An approver keeps it "
        "on their own machine: move it there, and leave no copy here.\n"
        f"Add under 'approvers:' in {approvers.path_in_use()}, and have somebody else review it:\n\n{entry.rstrip()}"
    )
    screen.show(found, said, json=json)


def sign(
    workload: WorkloadName,
    reason: Reason,
    ring: Ring = None,
    decision: Annotated[str, typer.Option(help=f"one of {', '.join(KINDS)}")] = "greenlight",
    version: Version = None,
    key: Key = None,
    name: Name = None,
    hours: Hours = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Print a signed decision to paste into the form of the suspended run. Nothing is recorded.

    Example: greenlight sign channels --ring prod --reason "holdout better, shadow clean" --key ~/alice
    """
    from deployments import deciding

    kind = next((each for each in KINDS if each == decision), None)
    if kind is None:
        raise BadRequest(f"{decision!r} is no decision; say --decision {', '.join(KINDS)}")
    workloads.get(workload)
    asked = deciding.find_question(workload, ring, version)
    screen.Progress().say(deciding.question(asked))
    person = deciding.who(asked, key, name, lambda path: _passphrase(path, passphrase_file))
    if person.signer is None:
        raise BadRequest(
            f"{asked.ring} asks for no signature, so there is nothing to sign; name a key with --key to sign"
        )
    drafted = deciding.draft(asked, kind, person.name, reason, hours)
    token = deciding.sign(asked, drafted, person.signer)
    screen.show({"token": token, "decision": drafted}, token, json=json)


def _answering(kind: Kind) -> Callable[..., None]:
    """Return the command that answers with *kind*: all three read alike, so that they are used alike."""

    def answer(
        workload: WorkloadName,
        reason: Reason,
        ring: Ring = None,
        version: Version = None,
        key: Key = None,
        name: Name = None,
        hours: Hours = None,
        passphrase_file: PassphraseFile = None,
        wait_seconds: WaitSeconds = 120,
        json: Json = False,
    ) -> None:
        from deployments import deciding, waking

        workloads.get(workload)
        progress = screen.Progress()
        asked = deciding.find_question(workload, ring, version)
        progress.say(deciding.question(asked))
        person = deciding.who(asked, key, name, lambda path: _passphrase(path, passphrase_file))
        decision = deciding.draft(asked, kind, person.name, reason, hours)
        token = deciding.submit(asked, decision, person.signer)
        note = ""
        if not deciding.waits(asked):
            told = waking.Told(asked, decision, token)
            note = waking.carry_out(
                told, done=lambda: deciding.closed(asked), wait_seconds=wait_seconds, say=progress.say
            )
        came = deciding.outcome(asked, decision, verified=person.signer is not None, note=note)
        screen.show(came, came.sentence, json=json)
        if kind == "greenlight" and came.outcome in deciding.CAME_TO_NOTHING:
            sys.exit(NOTHING_PASSED)

    return answer


def _passphrase(path: Path, file: Path | None) -> str:
    """Read a passphrase from a file, the terminal, or standard input: what stands in a command, everybody can read."""
    if file is not None:
        return _first_line(file)
    if sys.stdin.isatty():
        return str(typer.prompt(f"Passphrase of {path}", hide_input=True, default="", show_default=False, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _new_passphrase(path: Path, file: Path | None) -> str:
    found = _passphrase(path, file)
    if not found:
        raise BadRequest("an empty passphrase locks nothing: give one, or say --no-passphrase; no key was made")
    if file is None and sys.stdin.isatty() and found != _passphrase(Path("(once more)"), None):
        raise BadRequest("the two passphrases differ; no key was made")
    return found


def _first_line(file: Path) -> str:
    try:
        return (file.read_text("utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"the passphrase cannot be read from {file}: {error}") from error
