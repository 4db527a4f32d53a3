"""Waking the promote run that waits: on a real Prefect server, with a real form, and no worker that would answer."""

from __future__ import annotations

from typing import Literal

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.input import RunInput
from prefect.input.run_input import keyset_from_paused_state
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Failed, Pending, Running, Suspended
from pydantic import Field

from deployments import waking
from tasks import forms
from tasks.core.dossier import Dossier
from tasks.core.run import Promotion
from tasks.core.values import Verdict
from tests.deciding import decision, dossier

# A whole Prefect server may have to start first.
pytestmark = pytest.mark.timeout(1200)

ASKED = dossier(workload="waking")


class Answer(RunInput):
    decision: Literal["greenlight", "hold", "reject"] = Field(description="what you say")
    approver: str = Field(description="who you are")
    reason: str = Field(description="why")
    token: str = Field(description="what greenlight sign printed")


@flow(name="promote")
def waiting(workload: str, version: str = "newest", ring: str = "dev") -> None:
    """Never run: its runs are put into the state a suspended one is in."""


@pytest.fixture
def suspend(api):
    """Make runs that wait; the server is everybody's, so they are gone afterwards."""
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        # Only runs of a deployment can be suspended. Nobody works on this one.
        made = client.create_deployment(client.create_flow(waiting), "waking")
        runs = []

        def suspended(asked: Dossier, timeout_seconds: int = 3600, turn: int = 1) -> FlowRun:
            run = client.create_flow_run_from_deployment(made, parameters={"workload": asked.workload})
            runs.append(run.id)
            state = Suspended(timeout_seconds=timeout_seconds, pause_key=f"{asked.digest[:16]}-{turn}")
            keyset = keyset_from_paused_state(state)
            state.state_details.run_input_keyset = keyset
            for each in (Pending(), Running()):
                client.set_flow_run_state(run.id, each)
            Answer.save(keyset, flow_run_id=run.id)
            client.set_flow_run_state(run.id, state)
            return client.read_flow_run(run.id)

        yield suspended
        for run in runs:
            client.delete_flow_run(run)
        client.delete_deployment(made)


def test_the_turn_of_a_form_is_read_from_its_key_and_from_its_answers():
    for key in ("0123456789abcdef-12", "suspended-0123456789abcdef-12-schema"):
        assert forms.KEY.fullmatch(key).group(1, 2) == ("0123456789abcdef", "12")
    assert forms.KEY.fullmatch("suspended-0123456789abcdef-12-response")[3] == "response"
    assert forms.KEY.fullmatch("suspended-0123456789abcdef-12345678901-response") is None


def test_a_form_shows_first_what_speaks_against_it_and_why_it_asks_again():
    verdicts = (
        Verdict("contract", "pass", "0 broken", "", ""),
        Verdict("no slice worse", "fail", "3|4", "", "", "sales"),
    )
    asked = dossier(verdicts=verdicts)
    held = Promotion("shops", "v-new", "prod", 0, asked.digest, "waiting", "one more", verdicts, (), None, "/page")
    shown = forms.question(asked, held, ("no such token",)).splitlines()
    assert shown[0] == "# Shall shops v-new serve in prod?"
    assert "- no such token" in shown
    assert shown[-2:] == ["| fail | no slice worse: sales | 3\\|4 |", "| pass | contract | 0 broken |"]


def test_the_run_that_asks_about_this_dossier_is_found(suspend):
    assert waking.suspended(ASKED) is None
    suspend(dossier(workload="waking", ring="qa"))
    suspend(dossier(workload="waking", version="v-other"))
    # The same candidate for the same ring, asked about from another home that shares the server.
    suspend(dossier(workload="waking", nonce="m" * 32))
    assert waking.suspended(ASKED) is None
    run = suspend(ASKED, turn=12)
    assert waking.suspended(ASKED).id == run.id


def test_a_woken_run_goes_on_with_the_answer_in_its_form(suspend):
    asked = dossier(workload="woken")
    run = suspend(asked)
    told = waking.Told(asked, decision(asked), "gl1.token")
    assert waking.wake(run, told.form) == ""
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state.is_scheduled()
    answer = Answer.load(run.state.state_details.run_input_keyset, flow_run_id=run.id)
    assert (answer.decision, answer.approver, answer.token) == ("greenlight", "alice", "gl1.token")


def test_a_form_that_is_not_answered_is_said_so_and_the_run_goes_on_waiting(suspend):
    run = suspend(dossier(workload="asked"))
    assert "required property" in waking.wake(run, {"decision": "greenlight"})
    assert waking.wake(run, {"decision": "maybe", "approver": "a", "reason": "b", "token": ""})
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state.is_paused()


def test_a_run_somebody_else_woke_is_awake(suspend):
    asked = dossier(workload="twice")
    run = suspend(asked)
    told = waking.Told(asked, decision(asked), "")
    assert waking.wake(run, told.form) == "" == waking.wake(run, told.form)


@pytest.fixture
def carried_out(monkeypatch):
    """Carry out a decision whose run was found an instant ago; return what was said and done here."""

    def carry_out(asked: Dossier, run: FlowRun) -> tuple[list[str], list[tuple[Dossier, float]]]:
        said: list[str] = []
        here: list[tuple[Dossier, float]] = []
        monkeypatch.setattr(waking, "run_here", lambda *told: here.append(told))
        monkeypatch.setattr(waking, "suspended", lambda _: run)
        monkeypatch.setattr(waking.server, "configured", lambda: True)
        told = waking.Told(asked, decision(asked), "gl1.token")
        assert waking.carry_out(told, done=lambda: False, wait_seconds=1, say=said.append) == ""
        return said, here

    return carry_out


def test_a_run_that_waited_past_its_time_is_not_woken_and_promote_runs_here(suspend, carried_out):
    asked = dossier(workload="late", ring="prod")
    # The server fails such a run within seconds: whether it has by now makes no difference.
    run = suspend(asked, timeout_seconds=-60)
    said, here = carried_out(asked, run)
    assert here == [(asked, 1)]
    assert str(run.id) in said[0] and said[1].endswith("promote runs here")


@pytest.mark.parametrize("ended", [Failed(message="waited too long"), Cancelled(message="by hand")])
def test_a_run_that_ended_before_it_could_be_woken_is_not_taken_for_awake(suspend, carried_out, ended):
    asked = dossier(workload="ended")
    run = suspend(asked)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, ended, force=True)
    said, here = carried_out(asked, run)
    assert here == [(asked, 1)]
    assert ended.message in said[1]
