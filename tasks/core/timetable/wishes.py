"""What a person may turn of a timetable, with bounds and words: rules, goals and the search; it becomes a form.

What rules and goals mean is problem.py, what the search's numbers do is evolution.py and evolution_ga.py.
"""

from __future__ import annotations

from datetime import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from tasks.core.timetable.evolution import Settings, default_settings
from tasks.core.timetable.evolution_ga import GaSettings
from tasks.core.timetable.problem import Goals, Rules
from tasks.errors import BadRequest

MINUTES_A_DAY = 24 * 60


class Form(BaseModel):
    """Values within their bounds, and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleWishes(Form):
    """What no timetable may break."""

    in_a_row: int = Field(default=Rules.in_a_row, ge=1, le=1000, description="programmes of one genre in a row")
    per_day: int = Field(default=Rules.per_day, ge=0, le=1000, description="programmes of one genre a day")
    per_day_of: dict[str, NonNegativeInt] = Field(default={}, description="genres with another cap a day")
    watershed: time = Field(default=Rules.watershed, description="when restricted programmes may begin")
    watershed_ends: time = Field(default=Rules.watershed_ends, description="when they may no longer, in the morning")
    most_idle_minutes: int = Field(
        default=Rules.most_idle_minutes, ge=0, le=MINUTES_A_DAY, description="minutes of a slot that may stay unfilled"
    )
    least_filled: float = Field(
        default=Rules.least_filled, ge=0, le=1, description="share of a slot that must be filled"
    )
    min_minutes: int = Field(default=Rules.min_minutes, ge=1, le=MINUTES_A_DAY, description="the shortest programme")
    max_minutes: int = Field(default=Rules.max_minutes, ge=1, le=MINUTES_A_DAY, description="the longest programme")

    def rules(self) -> Rules:
        """Return them as the solver reads them."""
        return Rules(**self.model_dump())


class GoalWishes(Form):
    """What is weighed against what; 0 leaves a goal out."""

    revenue: float = Field(default=Goals.revenue, ge=0, le=1e6, description="weight of the revenue")
    audience: float = Field(default=Goals.audience, ge=0, le=1e6, description="weight of the audience")
    balance: float = Field(default=Goals.balance, ge=0, le=1e6, description="weight of the balance of genres")
    shares: dict[str, float] = Field(default={}, description="of each genre the wanted share; else all alike")

    def goals(self) -> Goals:
        """Return them as the solver reads them."""
        return Goals(**self.model_dump())


class SearchWishes(Form):
    """What is turned of the search; what is left empty is chosen by its engine. The engine ``exact`` has none."""

    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="the same seed gives the same timetable")
    population: int | None = Field(default=None, ge=4, le=10_000, description="plans in a generation")
    generations: int | None = Field(default=None, ge=1, le=100_000, description="generations at most")
    patience: int | None = Field(default=None, ge=1, le=100_000, description="generations without gain until it ends")
    crossed: float | None = Field(default=None, ge=0, le=1, description="share of plans that are crossed")
    mutated: float | None = Field(
        default=None, ge=0, le=1, description="hybrid: share of slots changed in a plan; ga: share of plans changed"
    )
    memetic: int | None = Field(default=None, ge=0, le=1000, description="hybrid: children polished in a generation")
    selection: Literal["tournament", "roulette"] | None = Field(default=None, description="ga: who becomes a parent")
    tournament: int | None = Field(default=None, ge=1, le=1000, description="ga: plans in a tournament")
    crossover: Literal["single point", "uniform"] | None = Field(default=None, description="ga: how two are crossed")
    mutation: Literal["swap", "shuffle"] | None = Field(default=None, description="ga: how one is changed")
    mutated_slots: float | None = Field(default=None, ge=0, le=1, description="ga: share of slots changed in a plan")
    repaired: bool | None = Field(default=None, description="ga: repair children, or take off penalties")
    penalty: float | None = Field(default=None, ge=0, le=10, description="ga: taken off for each broken rule")
    elite: int | None = Field(default=None, ge=1, le=1000, description="ga: best plans that are kept as they are")

    def settings(self, engine: str, slots: int) -> Settings | GaSettings | None:
        """Return the settings of *engine*; raises BadRequest where it knows nothing of what is turned."""
        turned = {name: value for name, value in self.model_dump().items() if value is not None}
        if engine == "exact":
            _refuse(engine, sorted(set(turned) - {"seed"}))
            return None
        chosen: Any = default_settings(slots) if engine == "hybrid" else GaSettings()
        known = vars(chosen)
        _refuse(engine, sorted(set(turned) - set(known)))
        made: Settings | GaSettings = type(chosen)(**(known | turned))
        return made


class Wishes(Form):
    """All that may be turned of a timetable."""

    engine: Literal["hybrid", "ga", "exact"] = Field(default="hybrid", description="how it is searched for")
    partial: bool = Field(default=False, description="leave slots empty that nothing may fill, instead of refusing")
    alternatives: int = Field(default=3, ge=0, le=50, description="further timetables nearly as good")
    differ: int = Field(default=3, ge=1, le=10_000, description="slots in which any two of them differ at least")
    rules: RuleWishes = RuleWishes()
    goals: GoalWishes = GoalWishes()
    search: SearchWishes = SearchWishes()


def _refuse(engine: str, strangers: list[str]) -> None:
    if strangers:
        raise BadRequest(f"the engine {engine} has no {', '.join(strangers)}; leave it out, or choose another engine")
