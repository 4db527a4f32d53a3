"""What an answer costs and whether the next one may still be asked for, in whole billionths of the prices' currency.

Whole numbers, because a sum of rounded fractions may creep past a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

BILLION = 1_000_000_000
# What a chat template adds around each message; those in use add 3 to 8 tokens.
TOKENS_AROUND_A_MESSAGE = 16


@dataclass(frozen=True)
class Price:
    """What a thousand tokens cost, those sent and those answered."""

    input_per_thousand: Decimal
    output_per_thousand: Decimal


@dataclass(frozen=True)
class Tokens:
    """Tokens sent and answered."""

    input: int = 0
    output: int = 0


NOTHING = Tokens()


def cost(price: Price, tokens: Tokens) -> int:
    """Return what *tokens* cost, in billionths, rounded up."""
    thousandths = tokens.input * price.input_per_thousand + tokens.output * price.output_per_thousand
    return int((thousandths * BILLION / 1000).to_integral_value(ROUND_CEILING))


def worst_case(messages: tuple[str, ...], answer_tokens: int) -> Tokens:
    """Return the most tokens a request can take: tokenizers of chat models make no more than one of a byte."""
    sent = sum(len(each.encode("utf-8", "replace")) + TOKENS_AROUND_A_MESSAGE for each in messages)
    return Tokens(sent + TOKENS_AROUND_A_MESSAGE, answer_tokens)


def fits(limit: int, committed: int, worst: int) -> bool:
    """Say whether *worst* may be spent beside what is *committed* already (spent, or reserved and not settled)."""
    return committed + worst <= limit


def billionths(amount: Decimal) -> int:
    """Return *amount* as billionths, rounded down: a limit is never wider than it was given."""
    return int(amount * BILLION)


def amount(count: int) -> float:
    """Return so many billionths as an amount."""
    return count / BILLION
