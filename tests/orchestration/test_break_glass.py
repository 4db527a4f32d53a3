"""Breaking the glass at the command line: two signatures and a reason, past rings, and flagged until it is reviewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.adapters import ledger
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import trusted_keys
from tests.command_line import said_plainly

# The first test of all waits for a server and a whole run.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
BURNS = "the champion predicts negative earnings since 14:00 UTC"
CHECKED = "checked twenty channels by hand, all of them plausible"


@pytest.fixture
def office(first_run, greenlight, tmp_path):
    """A copy of the finished home, with the policies as they are shipped, and people with keys and roles."""
    first_run.copied_to(greenlight.home)
    people = tmp_path / "approvers.yaml"
    people.write_text("approvers:\n")
    line = greenlight.seeing(GREENLIGHT_APPROVERS=str(people), PYTHONPATH=str(greenlight.checkout))
    for name in ("carol", "erin", "frank", "grace", "alice"):
        made = line("key", "new", name, "--no-passphrase", "--out", tmp_path / name, "--json")
        assert made.rc == 0, made.err
        role = "approver" if name == "alice" else "release-manager"
        with people.open("a") as out:
            out.write(made.value["entry"].replace("[approver]", f"[{role}]"))
    return line


def signed(office, name, *asked):
    """Approve as *name*."""
    return office("approve", "channels", "--reason", CHECKED, "--key", office.home.parent / name, *asked)


def refused(done, *words):
    """Assert that nothing was recorded, for the reason that has *words*; the question is on the line before."""
    last = done.err.strip().splitlines()[-1] + "\n"
    return said_plainly(replace(done, err=last), 4, "does not count, nothing was recorded", *words)


def entries(office):
    store, trust = DirectoryStore(office.home / "store"), trusted_keys(office.home / "keys")
    return [(each.kind, each.ring) for each in ledger.read(store, "channels", trust)]


def test_the_glass_is_broken_by_two_and_stays_flagged_until_a_third_has_reviewed_it(office):
    asked = ("promote", "channels", "--to-ring", "prod", "--requested-by", "carol")
    assert "wanted at least 30" in office(*asked, "--break-glass", "it burns, it burns").err
    assert entries(office) == [("promotion", "dev")]

    waiting = office(*asked, "--break-glass", BURNS, "--json")
    assert [each["status"] for each in waiting.value] == ["waiting"], waiting.err
    missed = [each["gate"] for each in waiting.value[0]["verdicts"] if each["outcome"] == "fail"]
    assert "passed the ring before" in missed
    assert refused(signed(office, "carol"), "carol asked for this promotion and may not decide on it")
    assert refused(signed(office, "alice"), "alice has the role approver; prod wants release-manager")
    short = office("approve", "channels", "--reason", "it burns, it burns", "--key", office.home.parent / "erin")
    assert refused(short, "wanted at least 30 characters")

    for _ in range(2):
        one = signed(office, "erin", "--json")
        assert (one.value["outcome"], one.value["verified"]) == ("waiting", True), one.err
        assert "waiting for 1 more approval; greenlit by erin" in one.value["sentence"]
    again = office(*asked, "--break-glass", BURNS, "--json")
    assert [each["status"] for each in again.value] == ["waiting"], again.err
    assert entries(office) == [("promotion", "dev")]

    both = signed(office, "frank", "--json")
    assert both.value["outcome"] == "promoted", both.err
    assert entries(office) == [("promotion", "dev"), ("promotion", "prod")]
    number = both.value["entry"]
    flag = f"was let out in prod by breaking the glass (entry {number}, "
    told = office("status").out
    assert flag in told and "break-glass by erin" in told and "nobody has reviewed it" in told, told

    for name in ("carol", "erin", "frank"):
        asked = ("review", "channels", str(number), "--as", name, "--reason", "the slice gate counted stale rows")
        assert said_plainly(office(*asked), 2, "somebody else reviews it")
    assert "nobody has reviewed it" in office("status").out
    done = office("review", "channels", str(number), "--as", "grace", "--reason", "the gate counted stale rows")
    assert done.rc == 0, done.err
    assert "nobody has reviewed it" not in office("status").out
    history = office("history", "channels", "--ring", "prod", "--json").value
    assert [(each["kind"], each["decided_by"].partition(" (")[0]) for each in history] == [
        ("promotion", "break-glass by erin"),
        ("review", "grace"),
    ]
    assert office("ledger", "verify").rc == 0
    assert office("verify", "channels", "--ring", "prod").rc == 0
