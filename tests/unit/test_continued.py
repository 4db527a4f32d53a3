"""A champion with niches goes on learning: each network by its own rows; one that does not stays to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.learners.continued import Continued, units_least
from tasks.core.learners.lesson import Continuing, Judging, Layout, Lesson
from tasks.core.learners.niched import Niched, fit, from_bytes
from tasks.core.learners.transformer import fit_transformer
from tasks.core.learners.variants import opened
from tasks.errors import UpdateRefused
from tests.unit.test_lstm import Desk, Killed

# A niche's place and three numbers, read by a head alone.
LAYOUT = Layout(tree=1, dense=3, steps=0, width=0)
TOWNS = ("Ayr", "Bath", "Cork")
AYR, BATH, CORK = range(3)
PARAMS = {"dimension": 8, "hidden": 12, "epochs": 10, "learning_rate": 0.1, "batch": 64}
# Old rows have nothing in the first number; new ones hardly anything in the others.
OLD, NEW = (0.0, 0.7, 0.7), (1.0, 0.1, 0.1)


def some(town: int, count: int, seed: int, spread: tuple[float, float, float]) -> Judging:
    """Return rows of a *town*, each its own unit; in Bath everything is the other way round."""
    chance = np.random.default_rng([seed, town])
    x = chance.normal(size=(count, 3)) * spread
    y = np.tanh(2 * x[:, 0]) + np.tanh(2 * x[:, 1]) + 0.5 * x[:, 2] + 0.3 * chance.normal(size=count)
    return Judging(np.column_stack([np.full(count, town), x]), -y if town == BATH else y, np.arange(count))


def joined(*parts: Judging) -> Judging:
    return Judging(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y", "units")))


@pytest.fixture(scope="module")
def champion() -> Niched:
    """A champion out of its file: Bath turns the common answer round, Cork adds to it; both share all else with it."""
    taught, stop = some(AYR, 300, 1, OLD), some(AYR, 100, 2, OLD)
    params = PARAMS | {"epochs": 30, "learning_rate": 0.03}
    common = fit_transformer(Lesson(taught.x, taught.y, stop.x, stop.y, (), params, 7, 1, "cpu", LAYOUT))
    turned = {name: -each for name, each in common.weights.items() if name.startswith("head.last")}
    more = {"head.last.bias": common.weights["head.last.bias"] + 1.0}
    weights = {"Bath": {**common.weights, **turned}, "Cork": {**common.weights, **more}}
    return from_bytes(Niched(common, 0, TOWNS, weights).to_bytes())


def lesson(champion, new: dict[int, tuple[float, float, float]]) -> Lesson:
    """Return what is new in each town, by how it scatters, and ten rows of Cork, which are too few."""

    def rows(count: int, seed: int, spreads: dict[int, tuple[float, float, float]]) -> Judging:
        return joined(*(some(town, count, seed, spread) for town, spread in spreads.items()), some(CORK, 10, seed, NEW))

    old = dict.fromkeys((AYR, BATH), OLD)
    taught, stop = rows(200, 3, new), rows(60, 4, new)
    given = Continuing(champion, rows(300, 1, old).x, rows(150, 5, new), rows(150, 6, old), margin=0.05)
    return Lesson(taught.x, taught.y, stop.x, stop.y, (), PARAMS, 7, 1, "cpu", continuing=given)


@pytest.fixture(scope="module")
def grown(champion) -> Niched:
    """What it became: there is nothing new in Ayr."""
    return fit(lesson(champion, {AYR: OLD, BATH: NEW}))


def of(town: int) -> np.ndarray:
    return some(town, 50, 9, NEW).x


def test_each_network_learns_from_the_rows_it_answers_and_the_others_stay_to_the_last_bit(champion, grown):
    (table,) = grown.told()
    assert table.title.startswith("The update of the champion: accepted for 1 of its 3 networks")
    assert {len(line) for line in table.lines} == {len(table.head)}
    told = [(*line[:3], line[-1].split(",")[0]) for line in table.lines]
    assert told == [
        ("common", "new rows", "150", "left as it was: the loss over 150 new rows does not surely fall"),
        ("common", "old rows", "150", "left as it was: the loss over 150 new rows does not surely fall"),
        ("Bath", "new rows", "150", "updated"),
        ("Bath", "old rows", "150", "updated"),
        ("Cork", "", "", "left as it was: too few rows"),
    ]
    assert table.lines[-1][-1].endswith("too few rows, 10 of 30 new rows to fit on, 10 of 30 old rows to hold it")
    same = {town: grown.predict(of(town)).tobytes() == champion.predict(of(town)).tobytes() for town in range(3)}
    assert same == {AYR: True, BATH: False, CORK: True}
    bath = some(BATH, 200, 8, NEW)
    before, after = (np.abs(each.predict(bath.x) - bath.y).mean() for each in (champion, grown))
    assert after < 0.7 * before


def test_a_network_learns_the_same_whatever_the_others_do_but_is_believed_less_beside_them(champion, grown):
    alone = fit(lesson(champion, {BATH: NEW}))
    assert alone.to_bytes() == grown.to_bytes()
    widths = []
    for each in (alone, grown):
        line = next(line for line in each.told()[0].lines if line[0] == "Bath")
        low, high = (float(bound.rstrip("%")) for bound in line[6].split(" to "))
        widths.append(high - low)
    assert widths[0] < widths[1]


def test_a_niche_learns_in_small_batches_however_large_those_of_the_common_network_are(champion):
    asked = lesson(champion, {AYR: NEW, BATH: NEW})
    small, large = (fit(replace(asked, params=PARAMS | {"batch": batch})) for batch in (32, 100))
    same = {town: small.predict(of(town)).tobytes() == large.predict(of(town)).tobytes() for town in range(3)}
    assert same == {AYR: False, BATH: True, CORK: True}


def test_what_a_niche_shared_with_the_common_network_stays_when_that_goes_on_and_so_does_the_next(champion):
    data = fit(lesson(champion, {AYR: NEW})).to_bytes()
    once = from_bytes(data)
    assert once.to_bytes() == data and (once.kept, once.names) == (champion.kept, champion.names)
    twice = from_bytes(fit(lesson(once, {BATH: NEW})).to_bytes())
    for town, same in ((AYR, (False, True)), (BATH, (True, False)), (CORK, (True, True))):
        said = [each.predict(of(town)).tobytes() for each in (champion, once, twice)]
        assert (said[0] == said[1], said[1] == said[2]) == same, TOWNS[town]


def test_what_it_became_is_run_as_fitted_until_a_variant_is_chosen_anew(champion, grown):
    served = champion.run_as(opened("int8", champion.network))
    again = fit(lesson(served, {AYR: OLD, BATH: NEW}))
    assert again.variant is None and again.to_bytes() == grown.to_bytes()
    eight = again.run_as(opened("int8", again.network)).predict(of(BATH))
    assert eight.tolist() == pytest.approx(again.predict(of(BATH)).tolist(), abs=0.1)
    assert eight.tolist() != again.predict(of(BATH)).tolist()


def test_where_no_network_changes_the_update_is_refused_and_says_why_of_each(champion):
    with pytest.raises(UpdateRefused) as refused:
        fit(lesson(champion, {AYR: OLD}))
    said = str(refused.value)
    assert said.startswith("the update of the champion changed none of its 3 networks, each judged on the rows it")
    for reason in (
        "common: rolled back, the loss over 150 new rows does not surely fall: new rows ",
        "Bath: too few rows, 0 of 30 new rows to fit on, 0 of 8 new rows to stop by, 0 of 8 units of new rows to judge",
        "Cork: too few rows, 10 of 30 new rows to fit on",
    ):
        assert reason in said
    # The first power of two above 40, 120 and 1,600, and one more.
    assert [units_least(count) for count in (1, 3, 40)] == [7, 8, 12]
    with pytest.raises(UpdateRefused, match="was rolled back, the loss over 160 new rows does not surely fall"):
        fit(lesson(Continued(champion.common, ()), {AYR: OLD}))
    with pytest.raises(UpdateRefused, match="nonetype estimator is no Transformer"):
        fit(lesson(None, {AYR: NEW}))


def test_a_network_whose_fit_breaks_stays_and_does_not_stop_the_others(champion):
    asked = lesson(champion, {AYR: NEW, BATH: NEW})
    broken = fit(replace(asked, y=np.where(asked.x[:, 0] == BATH, np.nan, asked.y)))
    verdicts = {line[0]: line[-1] for line in broken.told()[0].lines}
    assert verdicts["common"] == "updated" and "the Transformer, updated, broke at step 1" in verdicts["Bath"]
    assert broken.predict(of(BATH)).tobytes() == champion.predict(of(BATH)).tobytes()


def test_an_update_that_was_killed_in_its_second_network_ends_in_the_same_bytes(champion, grown):
    asked, whole = lesson(champion, {AYR: OLD, BATH: NEW}), Desk()
    assert fit(replace(asked, checkpoints=whole)).to_bytes() == grown.to_bytes() and not whole
    desk = Desk(last=whole.written - 1)
    with pytest.raises(Killed):
        fit(replace(asked, checkpoints=desk))
    resumed = Desk()
    resumed.update(desk)
    assert fit(replace(asked, checkpoints=resumed)).to_bytes() == grown.to_bytes()
    # Of the second network only the epoch that was not written yet.
    assert resumed.written < whole.written and not resumed
