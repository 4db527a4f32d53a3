"""Where things are and with which credentials: the environment ``GREENLIGHT_*``, read once into one frozen value.

No other module reads the environment. What an operator turns at run time is a flow parameter, not a setting.
"""

from __future__ import annotations

import os
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from tasks.errors import BadRequest

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Redis(BaseModel):
    """The Redis of the online store and of cached answers, where ``online`` or ``enrich.cache`` is ``redis``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connection: SecretStr = SecretStr("127.0.0.1:6379")


class Provider(BaseModel):
    """Where free text may be sent: an address that answers as OpenAI's ``/v1/chat/completions`` does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(pattern=r"^https?://[^@?#\s]+$", description="the address before /chat/completions")]
    model: Annotated[str, Field(min_length=1)]
    key: SecretStr = Field(default=SecretStr(""), description="sent as a bearer token; empty: none is sent")
    # No default: what a request may cost must be known before it is sent. 0 where it costs nothing.
    price_in: Annotated[Decimal, Field(ge=0, allow_inf_nan=False, description="of 1,000 tokens sent")]
    price_out: Annotated[Decimal, Field(ge=0, allow_inf_nan=False, description="of 1,000 tokens answered")]

    @field_validator("key")
    @classmethod
    def _fits_a_header(cls, given: SecretStr) -> SecretStr:
        key = given.get_secret_value().strip()
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("is no key that fits a header: printable ASCII without spaces")
        return SecretStr(key)

    @model_validator(mode="after")
    def _key_stays_unread(self) -> Provider:
        place = urlsplit(self.url)
        # A port is only read, and refused where it is none, when it is asked for.
        if not place.hostname or place.port == 0:
            raise ValueError("names no host and port that can be reached")
        if self.key.get_secret_value() and place.scheme == "http" and place.hostname not in LOOPBACK:
            raise ValueError("sends a key over plain http to another machine; use https, or leave the key out")
        return self


class Enrich(BaseModel):
    """Free text: providers in the order they are asked, and what holds for all. Without one nothing is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    primary: Provider | None = None
    secondary: Provider | None = None
    tertiary: Provider | None = None
    cache: Literal["sqlite", "redis"] = Field(default="sqlite", description="where answers are kept by content")
    budget: Decimal = Field(default=Decimal(1), ge=0, allow_inf_nan=False, description="most a file may cost")
    timeout_seconds: float = Field(default=30, gt=0, le=600, description="for a whole answer")
    attempts: int = Field(default=4, ge=1, le=10, description="requests per row and provider, where asking again helps")
    breaker_failures: int = Field(default=5, ge=1, le=1000, description="in a row, until a provider is left alone")
    breaker_seconds: float = Field(default=60, gt=0, le=86_400, description="for how long")
    text_characters: int = Field(default=20_000, ge=1, description="longer texts are sent nowhere")
    answer_tokens: int = Field(default=300, ge=50, le=4_000, description="most tokens of an answer")
    answer_kilobytes: int = Field(default=64, ge=4, le=4_096, description="most of a reply that is read")


class Settings(BaseSettings):
    """Every setting, with its default; ``GREENLIGHT_REDIS__CONNECTION`` sets ``redis.connection``."""

    model_config = SettingsConfigDict(env_prefix="GREENLIGHT_", env_nested_delimiter="__", frozen=True, extra="forbid")

    home: Path = Field(default=Path(".greenlight"), description="the one folder everything is written under")
    store: str = Field(default="", description="the object store's address; empty: a directory in the home")
    mirrors: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="addresses of further stores that get what is let out, with spaces between them"
    )
    store_seconds: float = Field(
        default=20, gt=0, le=3600, description="how long a request to a store in a cloud may take to fail"
    )
    cache_megabytes: int = Field(
        default=20_000, gt=0, description="how much of a store in a cloud is kept on this machine, as far as unused"
    )
    online: Literal["sqlite", "redis"] = Field(default="sqlite", description="Feast's online store")
    redis: Redis = Redis()
    enrich: Enrich = Enrich()
    mlflow_uri: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("GREENLIGHT_MLFLOW_URI", "MLFLOW_TRACKING_URI"),
        description="an MLflow server, user:password@ before its name if it asks for them; empty: SQLite in the home",
    )
    mlflow_backend: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("GREENLIGHT_MLFLOW_BACKEND", "MLFLOW_BACKEND_STORE_URI"),
        description="the database of the MLflow server that up runs; empty: SQLite in the home",
    )
    prefect_api_url: str = Field(
        default="",
        validation_alias=AliasChoices("GREENLIGHT_PREFECT_API_URL", "PREFECT_API_URL"),
        description="the Prefect server to deploy on; empty: the one that up runs on this home",
    )
    approvers: Path | None = Field(default=None, description="the list of approvers; empty: the installed one")
    approver_key: Path | None = Field(
        default=None, description="your own key for approve, hold, reject and sign; empty: the only one in the home"
    )
    metrics_file: Path | None = Field(
        default=None, description="a file for the node exporter's textfile collector; empty: metrics are only printed"
    )
    pushgateway: str = Field(default="", description="a Pushgateway's address metrics are pushed to; empty: to none")
    workers: int = Field(default=0, ge=0, le=256, description="candidates trained at once; 0: one per core")
    runner: Literal["threads", "dask"] = Field(
        default="threads", description="where candidates are trained: threads of the run, or a Dask cluster"
    )
    dask_address: str = Field(
        default="", description="the Dask cluster's scheduler; empty: a cluster on this machine, as many processes"
    )
    tuning_storage: SecretStr = Field(
        default=SecretStr(""), description="the database tuning keeps its studies in; empty: journals in the home"
    )
    warehouse: SecretStr = Field(
        default=SecretStr(""), description="a PostgreSQL for tables, and for vectors where it has pgvector; empty: none"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where torch and boosting train")

    @field_validator("mirrors", mode="before")
    @classmethod
    def _addresses(cls, given: object) -> object:
        return tuple(given.split()) if isinstance(given, str) else given

    @property
    def root(self) -> Path:
        """The home, absolute."""
        return self.home.expanduser().resolve()

    @property
    def store_uri(self) -> str:
        """The object store's address."""
        return self.store or (self.root / "store").as_uri()


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process; raises BadRequest, naming each variable that cannot be used."""
    try:
        return Settings()
    # Not chained: what was found may be a secret, and both quote it.
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(each['loc'])}: {each['msg']}" for each in error.errors(include_input=False))
    except SettingsError as error:
        wrong = str(error)
    raise BadRequest(f"the environment sets what cannot be used: {wrong}; README.md and docs/enrichment.md have tables")


def _variable(place: tuple[int | str, ...]) -> str:
    name = "__".join(map(str, place))
    return name if name.isupper() else f"GREENLIGHT_{name.upper()}"


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
