"""What came of one row, and what came of all: small values that every analyser answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from tasks.core.enrichment import local
from tasks.core.enrichment.budget import Tokens

OK, ERROR = "ok", "error"


@dataclass(frozen=True)
class Analysed:
    """What came of one text: values by column, or the reason why there are none; ``by`` names who answered.

    ``settled`` is False where it would turn out otherwise later: such a row is asked again by the next run.
    """

    by: str
    values: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    cached: bool = False
    settled: bool = True

    @property
    def status(self) -> str:
        """Return ``ok`` or ``error``."""
        return ERROR if self.reason else OK


@dataclass(frozen=True)
class Enriched:
    """What came of a source: rows = ok + failed; ``cost`` is in the currency of the prices.

    ``cached`` are rows whose text was answered before, ``resumed`` those a killed run had done, ``asked`` the requests
    sent for the file, all its runs together, like tokens and cost.
    """

    path: str
    column: str
    rows: int
    ok: int
    failed: int
    cached: int
    resumed: int
    asked: int
    input_tokens: int
    output_tokens: int
    cost: float
    reasons: tuple[tuple[str, int], ...]


class Account(Protocol):
    """What is spent for one file, beyond the life of a process."""

    def reserve(self, tokens: Tokens, cost: int) -> int:
        """Note what a request may take before it is sent; returns the reservation's number."""

    def settle(self, reservation: int, tokens: Tokens, cost: int) -> None:
        """Note what a request took; one that is never settled counts as what was reserved for it."""

    def spent(self) -> tuple[int, Tokens, int]:
        """Return how many requests were sent, what they took or may take, and what they cost."""


class Analyser(Protocol):
    """Whoever answers to texts: ``columns`` are what it says, ``identity`` changes whenever an answer would."""

    identity: str
    columns: Mapping[str, pl.DataType]
    # Rows whose answers may be lost and had again for nothing.
    rows_at_risk: int

    def analyse(self, text: str, account: Account) -> Analysed:
        """Return what is said of *text*; what that takes is on the *account*."""


class LocalAnalyser:
    """Counts, by itself, on this machine."""

    identity = local.IDENTITY
    columns = local.COLUMNS
    rows_at_risk = 1_000

    def analyse(self, text: str, account: Account) -> Analysed:
        """Return what is in *text*; that costs nothing."""
        return Analysed(by=self.identity, values=vars(local.count(text)))
