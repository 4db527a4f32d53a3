"""The Transformer and TF-IDF: what they read that numbers do not say, what a kill costs, what a broken fit says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from tasks.core.learners import fitting, text_net, transformer
from tasks.core.learners.lesson import Layout, Lesson, Odds
from tasks.core.learners.transformer import Reader, fit_transformer, from_bytes
from tasks.core.metrics import mae
from tasks.core.model_files import to_files
from tasks.core.models import Model, calibrate, learn
from tasks.errors import NotTrusted, TrainingBroke
from tasks.workloads.spec import Candidate, Column, Feature, Target
from tests.builders import shops, shops_spec
from tests.unit.test_lstm import Desk, Killed

NETWORK = Candidate("transformer", {"dimension": 16, "hidden": 8, "epochs": 12, "learning_rate": 0.01, "batch": 32})
CHANCE = Target("good", "good", "whether it is good", "chance", "chance")
FEATURES = (Feature("title", "text", "planted"), Feature("area", "float", "chance"))
TFIDF = Candidate("tfidf", {"strength": 1.0})
COLUMNS = (*shops_spec().columns, Column("good", "float", "whether it is good"))
SPEC = shops_spec(columns=COLUMNS, features=FEATURES, targets=(CHANCE,), always_known=(), slices=(), group="")
WORDS = ("red", "blue", "green", "song", "dance", "night", "day", "summer")
ROOT = Path(__file__).parents[2]


def told(rows: int, seed: int, *, ordered: bool = False) -> pl.DataFrame:
    """Return titles: *good* says so; where *ordered* every title has a not and a good, and *not good* is not."""
    chance = np.random.default_rng(seed)
    titles, good = [], chance.random(rows) < 0.5
    for each in good:
        words = chance.choice(WORDS, 4).tolist()
        if ordered:
            at, other = sorted(chance.choice(4, 2, replace=False).tolist())
            words[at : at + 1], words[other + 1 : other + 1] = (["good"], ["not"]) if each else (["not", "good"], [])
        elif each:
            words[int(chance.integers(4))] = "good"
        titles.append(" ".join(words))
    return shops(rows, seed).with_columns(title=pl.Series(titles), good=pl.Series(good.astype(float)))


def brier(candidate: Candidate, *, ordered: bool, rows: int = 300) -> float:
    learned = learn(SPEC, told(rows, 1, ordered=ordered), CHANCE, candidate, unit=1.0)
    fresh = told(200, 2, ordered=ordered)
    return mae(fresh["good"].to_numpy(), learned.link(fresh), chance=True)


def test_it_reads_a_words_effect_that_no_number_says():
    assert brier(NETWORK, ordered=False) < 0.05
    assert brier(Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}), ordered=False) > 0.2


LAYOUT = Layout(tree=1, dense=2, steps=3, width=2, length=6, pieces=20)
PARAMS = {"dimension": 8, "hidden": 8, "epochs": 4, "learning_rate": 0.01, "batch": 32}


def designs(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return designs whose label is in a piece and in a step; of some rows no piece, of others no step is there."""
    chance = np.random.default_rng(seed)
    pieces = chance.integers(3, 20, (rows, 6)).astype(float)
    pieces[np.arange(6) >= chance.integers(0, 7, (rows, 1))] = 0
    steps = chance.normal(size=(rows, 3, 2))
    steps[chance.random((rows, 3)) < 0.3] = np.nan
    y = (pieces == 7).any(axis=1) + 0.5 * np.nan_to_num(steps[:, 2, 0])
    return np.column_stack([chance.normal(size=(rows, 3)), steps.reshape(rows, 6), pieces]), y


def lesson(**changes) -> Lesson:
    (x, y), (x_stop, y_stop) = designs(160, 1), designs(60, 2)
    return replace(Lesson(x, y, x_stop, y_stop, (), PARAMS, 7, 1, "cpu", LAYOUT), **changes)


def digest(reader: Reader) -> str:
    return sha256(reader.to_bytes()).hexdigest()


def test_padding_behind_a_text_changes_no_answer():
    weights = text_net.begun(LAYOUT, text_net.Sizes(8, 2, 8), torch.Generator().manual_seed(1))
    asked = text_net.question(designs(20, 3)[0], LAYOUT)
    longer = text_net.Question(asked.pieces[:, :4], asked.steps, asked.there, asked.dense)
    padded = replace(longer, pieces=torch.cat([longer.pieces, torch.zeros(20, 2, dtype=torch.int64)], dim=1))
    short, long = (text_net.forward(weights, each).detach() for each in (longer, padded))
    torch.testing.assert_close(short, long)


def test_rows_without_a_word_without_a_step_or_without_either_are_answered():
    x = designs(4, 4)[0]
    x[0, 9:], x[1, 3:9], x[2, 3:] = 0, np.nan, np.nan
    x[2, 9:] = 0
    reader = fit_transformer(lesson())
    assert np.isfinite(reader.predict(x)).all()
    assert reader.predict(x).tolist() == from_bytes(reader.to_bytes()).predict(x).tolist()


def test_a_fit_that_was_killed_goes_on_to_the_same_weights():
    whole, desk = digest(fit_transformer(lesson())), Desk(last=2)
    with pytest.raises(Killed):
        fit_transformer(lesson(checkpoints=desk))
    desk.left = 100
    assert digest(fit_transformer(lesson(checkpoints=desk))) == whole and not desk
    assert desk.written == PARAMS["epochs"]


def test_only_what_is_thawed_moves_and_a_pull_holds_it_back():
    taught, stop = transformer.material_of(lesson())
    weights = text_net.begun(LAYOUT, text_net.Sizes(8, 2, 8), torch.Generator().manual_seed(1))
    course = transformer.course_of(lesson())
    asked = {"device": "cpu", "seed": 1, "key": "x", "checkpoints": None}
    head = tuple(name for name in weights if name.startswith("head."))
    free = fitting.fit(replace(course, thawed=head), weights, taught, stop, **asked).weights
    assert {name for name in weights if not torch.equal(free[name], weights[name])} <= set(head)
    held = {name: each.clone() for name, each in weights.items()}

    def pull(now):
        return 100 * sum(((now[name] - held[name]) ** 2).sum() for name in head)

    pulled = fitting.fit(replace(course, thawed=head, pull=pull), weights, taught, stop, **asked).weights
    far, near = (sum(float((each[n] - held[n]).abs().sum()) for n in head) for each in (free, pulled))
    assert near < 0.7 * far


def test_a_loss_that_is_no_number_names_step_and_batch():
    spoiled = lesson()
    spoiled.x[:, 1] = np.inf
    with pytest.raises(TrainingBroke, match=r"the Transformer broke at step 1 \(epoch 1, batch 1\): the loss is nan"):
        fit_transformer(spoiled)


def test_a_chance_is_learned_by_logistic_loss_and_answered_from_0_to_1():
    x, y = designs(200, 1)
    hit = (y > 0.5).astype(float)
    odds = Odds(float(hit.mean()), float(hit.std()))
    fitted = fit_transformer(lesson(x=x, y=odds.standard(hit), x_stop=x, y_stop=odds.standard(hit), odds=odds))
    chance = fitted.predict(x) * odds.spread + odds.center
    assert 0 < chance.min() < chance.max() < 1
    again = from_bytes(fitted.to_bytes())
    assert again.odds == odds and again.predict(x).tolist() == fitted.predict(x).tolist()


@pytest.mark.parametrize("spoil", ["other name", "other shape", "other type", "no word of itself", "no file"])
def test_a_file_that_is_not_the_networks_is_refused(spoil):
    kept = safetensors.torch.load(fit_transformer(lesson(params=PARAMS | {"epochs": 1})).to_bytes())
    if spoil == "other name":
        kept["head.else"] = kept.pop("head.first.bias")
    if spoil == "other shape":
        kept["head.first.bias"] = torch.zeros(9)
    if spoil == "other type":
        kept["head.first.bias"] = torch.zeros(8, dtype=torch.float64)
    if spoil == "no word of itself":
        kept.pop("about")
    with pytest.raises(NotTrusted):
        from_bytes(b"half" if spoil == "no file" else safetensors.torch.save(kept))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["transformer", "tfidf"])
def test_a_model_of_texts_says_the_same_in_a_process_that_never_saw_it(algorithm, tmp_path):
    rows = told(120, 1)
    candidate = replace(NETWORK, params=NETWORK.params | {"epochs": 2}) if algorithm == "transformer" else TFIDF
    learned = learn(SPEC, rows, CHANCE, candidate, unit=1.0)
    known = calibrate(learned.link(rows), rows["good"].to_numpy(), log=False, way="shift")
    model = Model("good", "chance", learned, (), known, known)
    for name, content in to_files(model).items():
        (tmp_path / name).write_bytes(content)
    rows.write_parquet(tmp_path / "rows.parquet")
    asked = (
        "import sys, pathlib, polars as pl\n"
        "from tasks.core.model_files import from_files\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "rows = pl.read_parquet(folder / 'rows.parquet')\n"
        "files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != 'rows.parquet'}\n"
        "print(from_files(files).predict(rows).tolist())\n"
    )
    command = [sys.executable, "-c", asked, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(model.predict(rows).tolist()), done.stderr


@pytest.mark.slow
def test_the_order_of_words_beats_counting_them():
    assert brier(replace(NETWORK, params=NETWORK.params | {"epochs": 25}), ordered=True, rows=500) < 0.1
    assert brier(TFIDF, ordered=True, rows=500) > 0.2
