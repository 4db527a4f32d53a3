"""What may be turned of a timetable: the form's defaults are the solver's, and an engine is told only what it knows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.core.timetable.evolution import Settings, default_settings
from tasks.core.timetable.evolution_ga import GaSettings
from tasks.core.timetable.problem import Goals, Rules
from tasks.core.timetable.wishes import RuleWishes, SearchWishes, Wishes
from tasks.errors import BadRequest


def test_untouched_the_form_says_what_the_solver_would_do_by_itself():
    wishes = Wishes()
    assert wishes.rules.rules() == Rules() and wishes.goals.goals() == Goals()
    assert wishes.search.settings("hybrid", 50) == default_settings(50) == Settings()
    assert wishes.search.settings("ga", 50) == GaSettings() and wishes.search.settings("exact", 50) is None


def test_every_setting_of_every_engine_is_in_the_form_with_words():
    fields = SearchWishes.model_fields
    assert set(vars(Settings())) | set(vars(GaSettings())) == set(fields)
    assert set(vars(Rules())) == set(RuleWishes.model_fields)
    assert all(field.description for field in fields.values())


def test_what_is_turned_reaches_the_engine_and_a_stranger_is_refused():
    turned = SearchWishes(population=200, selection="roulette", seed=3)
    assert turned.settings("ga", 50) == GaSettings(population=200, selection="roulette", seed=3)
    with pytest.raises(BadRequest, match="the engine hybrid has no selection"):
        turned.settings("hybrid", 50)
    with pytest.raises(BadRequest, match="the engine exact has no population, selection"):
        turned.settings("exact", 50)
    with pytest.raises(ValidationError):
        SearchWishes(population=1)
