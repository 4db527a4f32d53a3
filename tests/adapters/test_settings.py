"""Settings that cannot be used are named, and never quoted."""

from __future__ import annotations

import pytest

from tasks.adapters.settings import settings
from tasks.errors import BadRequest


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [
        ("GREENLIGHT_WORKERS", "valid integer"),
        ("GREENLIGHT_STORE_SECONDS", "valid number"),
        ("GREENLIGHT_ONLINE", "'sqlite' or 'redis'"),
        ("GREENLIGHT_REDIS__PORT", "not permitted"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_what_is_wanted_and_not_quoted(monkeypatch, variable, wanted):
    monkeypatch.setenv(variable, "hunter2")
    settings.cache_clear()
    with pytest.raises(BadRequest, match=rf"{variable}: .*{wanted}") as refused:
        settings()
    assert "hunter2" not in str(refused.value) and refused.value.__cause__ is None


def test_of_a_group_of_settings_that_is_no_group_the_name_alone_is_told(monkeypatch):
    monkeypatch.setenv("GREENLIGHT_REDIS", "hunter2")
    settings.cache_clear()
    with pytest.raises(BadRequest, match='field "redis"') as refused:
        settings()
    assert "hunter2" not in str(refused.value)
