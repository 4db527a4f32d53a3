import json
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.adapters import policies
from tasks.core.decisions import Wants
from tasks.core.gates import Case, judge
from tasks.core.shadow import Limits
from tasks.errors import BadRequest, Misdeclared
from tasks.workloads import WORKLOADS
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import Gate
from tests.deciding import dossier

DEV = """
ring: dev
automatic: true
"""


def written(folder: Path, content: str, ring: str = "dev") -> Path:
    (folder / f"{ring}.yaml").write_text(content, "utf-8")
    return folder


def test_the_installed_policy_of_dev_is_automatic_and_ships_what_was_evaluated():
    policy = policies.load("dev")
    assert (policy.ring, policy.automatic, policy.refit_on_all) == ("dev", True, False)
    assert policy.tightened(Gate()) == Gate()


def test_every_installed_policy_can_be_loaded():
    for path in policies.policies_folder().glob("*.yaml"):
        assert policies.load(path.stem).ring == path.stem


def test_a_policy_is_a_value_the_gates_understand():
    assert judge(Case(), Gate(), policies.load("dev"))


def test_an_unknown_ring_is_refused_with_those_that_are_known(tmp_path):
    with pytest.raises(BadRequest, match=r"no policy for the ring 'prd' in .*; known rings: dev"):
        policies.load("prd", written(tmp_path, DEV))


@pytest.mark.parametrize("ring", ["../dev", "", "DEV", "dev/../dev"])
def test_a_ring_that_is_no_name_never_becomes_a_path(tmp_path, ring):
    with pytest.raises(BadRequest, match="there is no policy"):
        policies.load(ring, written(tmp_path, DEV))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (DEV + "automatc: true\n", "automatc: Extra inputs are not permitted"),
        ("ring: dev\n", "automatic: Field required"),
        ("", "the policy .* is wrong"),
        ("ring: [", "cannot be read"),
        (DEV + "shadow_flip_rate_most: 1.5\n", "shadow_flip_rate_most: Input should be less than or equal to 1"),
        (DEV + "shadow_rank_correlation_least: -2\n", "shadow_rank_correlation_least: .* greater than or equal to -1"),
        (DEV + "scoring_error_share_most: 2\n", "scoring_error_share_most: Input should be less than or equal to 1"),
        (DEV + "coverage_slack: 0.5\n", "coverage_slack: Input should be less than or equal to 0.2"),
        (DEV + "gate: {min_row: 3}\n", "tightens min_row, which no gate has"),
        (DEV + "gate: {min_rows: many}\n", r"gate\.min_rows"),
        (DEV + "classes: {standard: {min_row: 3}}\n", "tightens min_row, which no gate has"),
        (DEV + "decision: signed\n", "automatic is True and decision is signed: say one of them"),
        ("ring: dev\ndecision: anybody\n", "decision: Input should be 'automatic', 'person' or 'signed'"),
        ("ring: dev\ndecision: signed\nbreaks_glass: true\n", "to break the glass takes .* approvals: 2 or more"),
        (DEV + "expires_hours: 0\n", "expires_hours: Input should be greater than or equal to 1"),
        ("ring: dev\ndecision: signed\napprovals: 2\ndecision: automatic\n", "'decision' is written twice"),
        (DEV + "? [ring]\n: qa\n", "found unhashable key"),
        ("ring: qa\nautomatic: true\n", "says it is for the ring 'qa', wanted 'dev'"),
    ],
)
def test_a_wrong_policy_says_what_is_wrong(tmp_path, content, problem):
    with pytest.raises(Misdeclared, match=problem):
        policies.load("dev", written(tmp_path, content))


def test_how_far_a_challenger_may_be_in_the_shadow_is_the_rings_word_and_in_its_digest(tmp_path):
    usual = policies.load("dev", written(tmp_path, DEV))
    assert usual.shadow_limits == Limits(flip_rate_most=0.2, rank_correlation_least=0.7)
    strict = policies.load("dev", written(tmp_path, DEV + "shadow_flip_rate_most: 0.05\n"))
    assert strict.shadow_limits == Limits(0.05, 0.7)
    assert strict.digest != usual.digest


def test_a_policy_tightens_and_never_relaxes(tmp_path):
    strict = policies.load("dev", written(tmp_path, DEV + "gate: {min_rows: 500}\n"))
    assert strict.tightened(Gate()).min_rows == 500
    lax = policies.load("dev", written(tmp_path, DEV + "gate: {min_rows: 50}\n"))
    with pytest.raises(Misdeclared, match="min_rows is 50, but the workload asks for at least 100"):
        lax.tightened(Gate())


def test_a_class_asks_more_of_its_workloads_than_the_ring_does_of_all(tmp_path):
    rules = "gate: {min_rows: 500}\nclasses: {standard: {}, careful: {min_rows: 900, confidence: 0.99}}\n"
    folder = written(tmp_path, DEV + rules)
    careful = replace(CHANNELS, policy="careful")
    assert policies.of(CHANNELS, "dev", folder).tightened(CHANNELS.gate).min_rows == 500
    assert policies.of(CHANNELS, "dev", folder).digest == policies.load("dev", folder).digest
    held_to = policies.of(careful, "dev", folder).tightened(careful.gate)
    assert (held_to.min_rows, held_to.confidence) == (900, 0.99)
    with pytest.raises(Misdeclared, match="class 'odd', which the ring 'dev' does not have; it has: careful, standard"):
        policies.of(replace(CHANNELS, policy="odd"), "dev", folder)


def test_a_class_may_not_ask_less_than_the_ring(tmp_path):
    folder = written(tmp_path, DEV + "gate: {min_rows: 500}\nclasses: {standard: {min_rows: 200}}\n")
    with pytest.raises(Misdeclared, match="min_rows is 200, but the workload asks for at least 500"):
        policies.of(CHANNELS, "dev", folder)


def test_evidence_is_measured_with_the_numbers_of_its_ring(tmp_path, monkeypatch):
    folder = written(tmp_path, DEV + "gate: {leak_r2: 0.9, confidence: 0.99}\n")
    monkeypatch.setattr(policies, "policies_folder", lambda: folder)
    found = policies.measured_for(CHANNELS, "dev").gate
    assert (found.leak_r2, found.confidence, found.min_rows) == (0.9, 0.99, CHANNELS.gate.min_rows)


def test_every_workload_has_a_class_in_every_ring():
    for path in policies.policies_folder().glob("*.yaml"):
        for spec in WORKLOADS.values():
            assert policies.of(spec, path.stem).ring == path.stem


def test_the_digest_follows_the_policy_and_not_its_comments(tmp_path):
    first = policies.load("dev", written(tmp_path, DEV)).digest
    assert policies.load("dev", written(tmp_path, "# why\n" + DEV)).digest == first
    assert policies.load("dev", written(tmp_path, DEV + "refit_on_all: true\n")).digest != first


def ring(folder: Path, name: str, after: str | None, **asks: object) -> None:
    content = {"ring": name, "after": after, "decision": "automatic", **asks}
    (folder / f"{name}.yaml").write_text(json.dumps(content), "utf-8")


def test_the_installed_rings_follow_one_upon_the_other_and_only_the_last_asks_a_person():
    assert policies.rings() == ("dev", "qa", "preprod", "prod")
    assert [policies.next_ring(each) for each in policies.rings()] == ["qa", "preprod", "prod", None]
    assert [policies.load(each).decision for each in policies.rings()] == ["automatic"] * 3 + ["signed"]
    assert policies.load("prod").wants == Wants(True, 1, ("approver", "release-manager"), 15)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"dev": None, "qa": "dev", "prod": "dev"}, "only dev, (prod|qa) follow"),
        ({"dev": None, "qa": "prod", "prod": "qa"}, "only dev follow"),
        ({"dev": None, "qa": None}, "only (dev|qa) follow"),
        ({"dev": "qa", "qa": "dev"}, "only none follow"),
    ],
)
def test_rings_that_form_no_single_row_are_refused(tmp_path, row, found):
    for name, after in row.items():
        ring(tmp_path, name, after)
    with pytest.raises(Misdeclared, match=found):
        policies.rings(tmp_path)


def test_what_breaks_the_glass_is_no_ring(tmp_path):
    assert policies.load("break-glass").breaks_glass
    with pytest.raises(BadRequest, match="'break-glass' is no ring; the rings are: dev, qa, preprod, prod"):
        policies.next_ring("break-glass")


def test_breaking_the_glass_keeps_the_numbers_of_the_ring_and_asks_two_release_managers(tmp_path):
    ring(tmp_path, "prod", None, decision="signed", gate={"min_rows": 500}, min_reason_characters=40)
    glass = {"decision": "signed", "breaks_glass": True, "approvals": 2, "roles": ["release-manager"]}
    ring(tmp_path, "break-glass", None, **glass, min_reason_characters=30)
    policy = policies.breaking_glass(CHANNELS, "prod", tmp_path)
    assert (policy.ring, policy.gate) == ("prod", {"min_rows": 500})
    assert policy.wants == Wants(True, 2, ("release-manager",), 40)
    assert policy.digest != policies.of(CHANNELS, "prod", tmp_path).digest


def test_a_dossier_is_decided_on_under_the_policy_it_was_asked_under_or_not_at_all(tmp_path):
    ring(tmp_path, "prod", None, decision="signed")
    glass = {"decision": "signed", "breaks_glass": True, "approvals": 2}
    ring(tmp_path, "break-glass", None, **glass)
    usual, glassy = policies.of(CHANNELS, "prod", tmp_path), policies.breaking_glass(CHANNELS, "prod", tmp_path)
    assert policies.asked_under(CHANNELS, dossier(policy=usual.digest), tmp_path) == usual
    burning = dossier(policy=glassy.digest, break_glass="it burns")
    assert policies.asked_under(CHANNELS, burning, tmp_path) == glassy
    for wrong in (dossier(policy=glassy.digest), replace(burning, policy=usual.digest)):
        with pytest.raises(BadRequest, match="the policy of prod was changed"):
            policies.asked_under(CHANNELS, wrong, tmp_path)
