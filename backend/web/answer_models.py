"""What all answers and bodies of the panel's API have in common, and the one form of a refusal."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]


class Answer(BaseModel):
    """A response body: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class LeftOut(Answer):
    """What a training left out for one reason."""

    reason: str
    count: int
    meaning: str
    next_move: str = Field(description="Empty where there is nothing to do.")
    is_learned: bool = Field(description="Whether it was learned from all the same, and is only odd.")
    tasks: list[int] = Field(description="The first tasks in which it was met, by id.")
    tasks_count: int = Field(description="In how many tasks it was met; 0 where that was not noted.")


class TagLeftAlone(Answer):
    """A control tag that is not learned, or not all of it."""

    name: str
    tag: str = Field(description="As it is written.")
    why: str
    draws: bool = Field(description="Whether people draw regions with it.")


class Body(BaseModel):
    """A request body: a field that is not listed is a mistake of the caller's."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(extra="forbid")
    error: str = Field(description="What was wanted, what came, and the next move.")
    field: str | None = Field(None, description="Path of the offending value.")
    errors: dict[str, str] | None = Field(None, description="One sentence for each wrong field, by name.")
    job: str | None = Field(None, description="The job that is in the way.")
