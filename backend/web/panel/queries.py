"""The queries of the panel's API."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backend.service.projects.task_index import LARGEST_WINDOW, Filter, Sort

LARGEST_WHOLE_NUMBER = 10**15 - 1
Offset = Annotated[int, Field(ge=0, le=LARGEST_WHOLE_NUMBER)]
Limit = Annotated[int, Field(ge=1, le=LARGEST_WINDOW)]
Name = Annotated[str, Field(min_length=1)]


class Query(BaseModel):
    """Values behind the question mark; others than those listed are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class StateQuery(Query):
    """Which change to wait for, and for how long."""

    since: Offset | None = Field(None, description="Answer once the revision differs from this one.")
    wait_s: float = Field(0.0, ge=0.0, le=25.0)


class WindowQuery(Query):
    """A part of a list."""

    offset: Offset = 0
    limit: Limit = 100


class FilterQuery(Query):
    """Which tasks."""

    show: Filter = "all"


class TasksQuery(FilterQuery, WindowQuery):
    """A part of the task list, filtered and sorted."""

    sort: Sort = "id"


class ImportQuery(Query):
    """Whether the imported version serves."""

    activate: bool = True


class CompareQuery(Query):
    """Two versions."""

    before: Name
    after: Name


class ReportQuery(Query):
    """How to get a report; download: as a file to keep, not as a page."""

    download: bool = False
