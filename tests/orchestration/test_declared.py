"""prefect.yaml and automations.yaml are read strictly: what Prefect would pass over in silence is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.server.events.actions import RunDeployment
from prefect.utilities.schema_tools.hydration import HydrationContext, InvalidJSON, hydrate

from deployments.declared import read_automations, read_deployments
from tasks.errors import Misdeclared
from tasks.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]
OURS = (ROOT / "prefect.yaml").read_text()
WATCHES = (ROOT / "deployments" / "automations.yaml").read_text()


@pytest.fixture
def changed(tmp_path):
    """Write a changed copy of a file."""

    def write(text: str, old: str, new: str, times: int = -1) -> Path:
        assert old in text
        (tmp_path / "changed.yaml").write_text(text.replace(old, new, times))
        return tmp_path / "changed.yaml"

    return write


def test_what_is_shipped_is_read():
    names = [each.full_name for each in read_deployments(ROOT / "prefect.yaml").deployments]
    flows = ("retrain", "promote", "score", "rollback", "recover", "monitor", "appraise")
    assert {f"{flow}/{workload}" for flow in flows for workload in WORKLOADS} <= set(names)
    assert len(read_automations(ROOT / "deployments" / "automations.yaml")) == 4


def test_a_key_that_is_written_twice_is_refused(changed):
    with pytest.raises(Misdeclared, match="'cooldown_hours' is written twice"):
        read_deployments(changed(OURS, "cooldown_hours: 24", "cooldown_hours: 24, cooldown_hours: 1"))


def test_a_ring_learns_from_the_event_who_asked_for_the_challenger():
    declared = read_deployments(ROOT / "prefect.yaml").deployments
    triggers = [each for flow in declared for each in flow.triggers if each.expect == ["challenger.ready"]]
    assert len(triggers) == len(WORKLOADS)
    assert all("event.payload.requested_by" in each.parameters["requested_by"] for each in triggers)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}", "concurency_limit: 1", "concurency_limit"),
        ("collision_strategy: CANCEL_NEW", "colision_strategy: CANCEL_NEW", "colision_strategy"),
        ("slug: weekly, active: true", "slug: weekly, actve: true", "actve"),
        ("slug: weekly, ", "", "slug: Field required"),
        ('cron: "0 4 * * 1"', 'cron: "0 4 * * 9"', "cron"),
        ("timezone: UTC", "timezone: Mars/Olympus", "timezone"),
        ("source: landing/channels", "sorce: landing/channels", "no parameter 'sorce'"),
        ("parameters: {reason: data.arrived}", "parameters: {raeson: data.arrived}", "no parameter 'raeson'"),
        ("cooldown_hours: 24", "cooldown_hours: 0", "greater than 0"),
        ("cooldown_hours: 24", "cooldown_days: 1", "cooldown_days"),
        ("flows.recover.recover", "flows.recover.recoverr", "no flow flows.recover.recoverr"),
        ("expect: [workload.recovered]", "expect: [workload.recoverd]", "nobody emits 'workload.recoverd'"),
        ("match: {prefect.resource.id: workload.channels}", "match: {prefect.resource.id: channels}", "workload.NAME"),
        ("note-the-recovery-of-channels", "retrain-channels-when-data-arrives", "is declared twice"),
        ("tags: [greenlight, channels]", "tags: [channels]", "has not the tag 'greenlight'"),
    ],
)
def test_a_mistake_in_prefect_yaml_is_refused_and_named(changed, old, new, said):
    with pytest.raises(Misdeclared, match=r"was not deployed, \d+ mistakes") as raised:
        read_deployments(changed(OURS, old, new))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("for_each:", "foreach:", "foreach"),
        ("within: 150", "whithin: 150", "whithin"),
        ("CRASHED", "CRASHD", "CRASHED"),
    ],
)
def test_a_mistake_in_automations_yaml_is_refused_and_named(changed, old, new, said):
    with pytest.raises(Misdeclared) as raised:
        read_automations(changed(WATCHES, old, new))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ event.payload.version or 'newest' }}",
        "{{ event.payload.version | default('newest') }}",
        "{{- event.payload.version -}}",
        "{{ event.payload.version if event.payload.version else 'newest' }}",
        "{{ event.payload.version ~ '-' ~ event.event }}",
        "{{ event.payload.versions[0] }}",
        "{{ event.payload }}",
        "{{ flow_run.id }}",
        "{% if event.payload.version %}newest{% endif %}",
        "{{ event.payload.version }}{# the newest #}",
    ],
)
@pytest.mark.parametrize("nested", ["{}", "[{}]", "{{template: {}}}"])
def test_a_trigger_that_takes_more_than_a_value_from_its_event_is_refused(changed, expression, nested):
    with pytest.raises(Misdeclared, match="1 mistakes") as raised:
        read_deployments(changed(OURS, '"{{ event.payload.version }}"', nested.format(f'"{expression}"'), times=1))
    assert f"version is {expression!r}, which Prefect may fail to fill in" in str(raised.value)


@pytest.mark.parametrize(
    "plain", ["newest", "{{event.payload.version}}", "{{ event.event }}: {{ event.payload.version }}", "{ a } }}"]
)
def test_values_of_an_event_with_text_around_them_are_taken(changed, plain):
    assert read_deployments(changed(OURS, '"{{ event.payload.version }}"', f'"{plain}"'))


def filled_in(text, **payload):
    """Return what Prefect's server makes of a trigger's parameter when the event comes."""
    action = RunDeployment(source="inferred", parameters={"version": text})
    action._upgrade_v1_templates(action.parameters)
    event = {"event": "challenger.ready", "payload": payload}
    return hydrate(
        action.parameters, HydrationContext(raise_on_error=True, render_jinja=True, jinja_context={"event": event})
    )["version"]


def test_what_is_refused_is_what_prefect_would_drop_in_silence():
    with pytest.raises(InvalidJSON):
        filled_in("{{ event.payload.version or 'newest' }}", version="v7")
    with pytest.raises(InvalidJSON):
        filled_in("{{ event.payload.version if event.payload.version else 'newest' }}", version="v7")
    assert filled_in("{{ event.payload.version }}", version="v7") == "v7"
    assert filled_in("{{ event.event }}:{{ event.payload.version }}", version="v7") == "challenger.ready:v7"


def test_every_mistake_is_told_at_once(changed):
    path = changed(OURS.replace("sorce", ""), "tags: [greenlight, channels]", "tags: []")
    untagged = OURS.count("tags: [greenlight, channels]")
    with pytest.raises(Misdeclared, match=f"{untagged} mistakes"):
        read_deployments(path)


def test_no_automation_touches_a_run_that_waits_for_a_person():
    for watch in read_automations(ROOT / "deployments" / "automations.yaml"):
        waits = {"prefect.flow-run.Suspended", "prefect.flow-run.Paused"}
        acts_on = watch.trigger.expect if watch.trigger.posture == "Reactive" else watch.trigger.after
        assert not waits & set(acts_on), watch.name
        # What acts upon silence must take these two for news.
        assert watch.trigger.posture == "Reactive" or waits <= set(watch.trigger.expect), watch.name
