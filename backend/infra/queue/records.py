"""How job records stand in Redis, and the scripts that change them in one step there.

<prefix>:job:<id>                  hash, one record; forgotten 30 days after the job ended
<prefix>:jobs, :jobs:<project>     sorted sets of ids by time of creation
<prefix>:waiting:<kind>:<project>  list of queued ids
<prefix>:turns:<kind>              sorted set of projects with queued jobs, by when they were last served
<prefix>:running                   sorted set of started ids by the last sign of life
<prefix>:training:<project>        id of the one training that is queued or runs
<prefix>:followup:<project>        id of the one training that comes after it
<prefix>:alone:<kind>:<project>    id of the last job that was queued to have no other beside it
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backend.errors import NotFoundError
from backend.service.ports import JobRecord

UPDATABLE = ("progress", "details", "model_version", "error")
_DETAIL = "details."

# The scripts take the key prefix first; they count time by Redis' clock, since machines' clocks differ.
ADD_TO_WAITING = """
local prefix, kind, project, id, push = unpack(ARGV)
local time = redis.call('TIME')
redis.call(push, prefix .. ':waiting:' .. kind .. ':' .. project, id)
redis.call('ZADD', prefix .. ':turns:' .. kind, 'NX', time[1] + time[2] / 1e6, project)
"""
CLAIM_NEXT = """
local prefix, kind, owner = unpack(ARGV)
local turns = prefix .. ':turns:' .. kind
while true do
  local project = redis.call('ZRANGE', turns, 0, 0)[1]
  if not project then return false end
  local time = redis.call('TIME')
  local now = time[1] + time[2] / 1e6
  local waiting = prefix .. ':waiting:' .. kind .. ':' .. project
  local id = redis.call('LPOP', waiting)
  if redis.call('LLEN', waiting) == 0 then
    redis.call('ZREM', turns, project)
  else
    redis.call('ZADD', turns, now, project)
  end
  local job = id and prefix .. ':job:' .. id
  if job and redis.call('HGET', job, 'status') == 'queued' then
    redis.call('HSET', job, 'status', 'started', 'owner', owner)
    redis.call('HSETNX', job, 'started_at', now)
    redis.call('ZADD', prefix .. ':running', now, id)
    return id
  end
end
"""
RENEW = """
local prefix, id, owner = unpack(ARGV)
local job = redis.call('HMGET', prefix .. ':job:' .. id, 'status', 'owner', 'stop_mode')
if job[1] ~= 'started' or job[2] ~= owner then return false end
local time = redis.call('TIME')
redis.call('ZADD', prefix .. ':running', time[1] + time[2] / 1e6, id)
return job[3] or ''
"""


def unknown_job(job_id: str) -> NotFoundError:
    """Return the error for an id without record."""
    return NotFoundError(f"there is no job {job_id[:80]!r}; jobs are forgotten 30 days after their end")


def stored_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash fields that hold progress, details, model_version, error ...; None is left out."""
    stored: dict[str, str] = {}
    for name, value in fields.items():
        if name == "details":
            stored |= {_DETAIL + key: json.dumps(detail) for key, detail in (value or {}).items()}
        elif name == "progress":
            stored[name] = json.dumps(value or {})
        elif value is not None:
            stored[name] = str(value)
    return stored


def parse_record(job_id: str, fields: Mapping[str, str]) -> JobRecord:
    """Return the record of a hash. Raises NotFoundError where the hash is empty."""
    if "status" not in fields:
        raise unknown_job(job_id)
    details = {name[len(_DETAIL) :]: json.loads(v) for name, v in fields.items() if name.startswith(_DETAIL)}
    if "pickups" in fields:
        details["pickups"] = int(fields["pickups"])
    return JobRecord(
        job_id=job_id,
        kind=fields["kind"],
        project_key=fields["project_key"],
        status=fields["status"],
        progress=json.loads(fields.get("progress", "{}")),
        model_version=fields.get("model_version"),
        error=fields.get("error"),
        details=details,
        created_at=_number(fields.get("created_at")),
        started_at=_number(fields.get("started_at")),
        ended_at=_number(fields.get("ended_at")),
        payload_path=fields["payload_path"],
    )


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
