"""What an answer must be: validated, bounded, and nothing in it that was not asked for.

How a provider is reached is not known here. A reason never quotes what was answered: it is a stranger's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.core.enrichment.budget import Tokens

Theme = Annotated[str, Field(min_length=1, max_length=40)]
LONGEST_REASON = 240
FENCE = "```"


class Answer(BaseModel):
    """What a provider says of a text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    sentiment: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
    mood: Literal["joyful", "calm", "neutral", "sad", "tense", "angry"]
    themes: Annotated[tuple[Theme, ...], Field(max_length=5)]


COLUMNS: Mapping[str, pl.DataType] = {
    "language": pl.String(),
    "sentiment": pl.Float64(),
    "mood": pl.String(),
    "themes": pl.List(pl.String()),
}


class Malformed(Exception):
    """An answer is not what was asked for; it is asked for once more, then it is the row's error."""


@dataclass(frozen=True)
class Reply:
    """What a provider wrote, and what it says that took; None where it does not say so."""

    content: str
    tokens: Tokens | None


class _Usage(BaseModel):
    prompt_tokens: Annotated[int, Field(ge=0, le=10**9)]
    completion_tokens: Annotated[int, Field(ge=0, le=10**9)]


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]


class _Used(BaseModel):
    usage: _Usage


def tokens_of(body: bytes) -> Tokens | None:
    """Return what a chat completion says it took, whatever else it is; None where it does not say so."""
    try:
        used = _Used.model_validate_json(body).usage
    except ValidationError:
        return None
    return Tokens(used.prompt_tokens, used.completion_tokens)


def content_of(body: bytes) -> str:
    """Return what was written in a chat completion; raises Malformed."""
    try:
        return _Completion.model_validate_json(body).choices[0].message.content
    except ValidationError as error:
        raise Malformed(f"the reply is no chat completion: {_told(error)}") from None


def answer_of(content: str) -> Answer:
    """Return the answer that was written, with or without a fence of Markdown around it; raises Malformed."""
    text = content.strip()
    if text.startswith(FENCE) and text.endswith(FENCE):
        text = text.removeprefix(FENCE).removeprefix("json").removesuffix(FENCE)
    try:
        return Answer.model_validate_json(text)
    except ValidationError as error:
        raise Malformed(f"the answer is not what was asked for: {_told(error)}") from None


def kept_answer(text: str | bytes | None) -> Answer | None:
    """Return an answer that was kept; None where there is none, or none that holds."""
    try:
        return None if text is None else Answer.model_validate_json(text)
    except ValidationError:
        return None


def _told(error: ValidationError) -> str:
    known = {*Answer.model_fields, "choices", "message", "content"}
    found: list[dict[str, Any]] = [dict(each) for each in error.errors(include_input=False, include_context=False)]
    # The name of a field nobody asked for is the provider's text too.
    named = (".".join(str(part) for part in each["loc"] if part in known) for each in found)
    lines = (f"{name or 'all of it'}: {each['type']}" for name, each in zip(named, found, strict=True))
    return "; ".join(dict.fromkeys(lines))[:LONGEST_REASON]
