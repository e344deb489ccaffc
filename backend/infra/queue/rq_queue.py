"""The JobQueue on Redis and RQ.

Our own records in Redis say what each job is and who runs it; RQ carries *tickets*, each saying no more
than "somebody run the next job of this kind". A worker that holds a ticket claims a job (`claim_next`), tells
Redis every few seconds that it lives (`renew`), and ends it. So a lost ticket loses no job, a doubled one
runs none twice, a silent worker is noticed here and not after RQ's time limits, and projects take turns.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from backend.errors import ConflictError, NotFoundError
from backend.infra.queue.connection import PREFIX, atomically, redis_client, talking_to_redis
from backend.infra.queue.records import (
    ADD_TO_WAITING,
    CLAIM_NEXT,
    RENEW,
    UPDATABLE,
    parse_record,
    stored_fields,
    unknown_job,
)
from backend.infra.queue.serving_stamps import stamp_key
from backend.infra.queue.tickets import live_worker_count, push_ticket, ticket_count
from backend.service.ports import ACTIVE, ENDED, JobRecord, WorkerState

logger = logging.getLogger(__name__)

KINDS = ("train", "look", "predict", "accept", "rank")
RECORD_TTL_S = 30 * 86_400
LEASE_S = 30.0
MAX_PICKUPS = 2
FRESH_LABELS_S = 30.0


class LeaseLost(Exception):
    """The job was given to another worker; this one must leave it alone."""


class RqJobQueue:
    """The JobQueue of `backend.service.ports`, and the half that workers use.

    job_timeout_s: the longest time one job may run. function: what RQ calls with the kind of job. lease_s:
    how long a worker may be silent before its job is given to another.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        job_timeout_s: int = 86_400,
        function: str = "backend.worker.run_ticket",
        lease_s: float = LEASE_S,
    ) -> None:
        self._redis: Any = redis_client(redis_url)
        self._job_timeout_s = job_timeout_s
        self._function = function
        self.lease_s = lease_s

    def enqueue(self, kind: str, project_key: str, payload_path: str, *, alone: bool = False) -> str:
        """Queue a job of a kind, whose request document stands at payload_path.

        alone: raise ConflictError, atomically, with the id of another one that was queued so for the project
        and has not ended.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        alone_key = self._key("alone", kind, project_key)

        def attempt(pipe: Any) -> str:
            before: str | None = pipe.get(alone_key) if alone else None
            status = None if before is None else pipe.hget(self._key("job", before), "status")
            if status in ACTIVE:
                raise ConflictError(
                    f"job {before} of project {project_key} works on that already and is {status}; wait for "
                    "its end, or stop it",
                    job_id=before,
                )
            pipe.multi()
            job_id = self._add_record(pipe, kind, project_key, payload_path)
            if alone:
                pipe.set(alone_key, job_id)
            self._add_to_waiting(pipe, kind, project_key, job_id)
            pipe.execute()
            return job_id

        return atomically(self._redis, attempt, alone_key)

    def enqueue_training(self, project_key: str, payload_path: str, *, follow_up: bool) -> str:
        """Queue a training unless one is queued or running for the project, atomically.

        Then: with follow_up, return the id of the training that will take the labels of now: a queued one, a
        running one that has not read its labels yet, or the one waiting follow-up, made if need be; without,
        raise ConflictError with the id in the way.
        """
        active_key, follow_key = self._key("training", project_key), self._key("followup", project_key)

        def attempt(pipe: Any) -> str:
            active: str | None = pipe.get(active_key)
            if active is None:
                pipe.multi()
                job_id = self._add_record(pipe, "train", project_key, payload_path)
                pipe.set(active_key, job_id)
                self._add_to_waiting(pipe, "train", project_key, job_id)
                pipe.execute()
                return job_id
            if not follow_up:
                raise ConflictError(
                    f"project {project_key} is queued or training already, as job {active}; "
                    "wait for it, or stop it first",
                    job_id=active,
                )
            waiting: str | None = pipe.get(follow_key)
            if waiting is not None:
                return waiting
            if self._takes_labels_of_now(active):
                return active
            pipe.multi()
            job_id = self._add_record(pipe, "train", project_key, payload_path)
            pipe.set(follow_key, job_id)
            pipe.execute()
            return job_id

        return atomically(self._redis, attempt, active_key, follow_key)

    def record(self, job_id: str) -> JobRecord:
        """Return the job. Raises NotFoundError."""
        with talking_to_redis():
            fields = self._redis.hgetall(self._key("job", job_id))
        return parse_record(job_id, fields)

    def records(self, project_key: str | None = None, *, limit: int = 1000) -> list[JobRecord]:
        """Return the newest `limit` of the known jobs, newest first.

        Of a project also the older ones that run, and of those that wait the next `limit` of each kind.
        """
        index = self._key("jobs") if project_key is None else self._key("jobs", project_key)
        with talking_to_redis():
            newest = self._redis.zrevrange(index, 0, limit - 1)
            older: set[str] = set()
            if project_key is not None and len(newest) == limit:
                older = self._under_way(project_key, limit) - set(newest)
            job_ids = [*newest, *older]
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hgetall(self._key("job", job_id))
                found = pipe.execute()
        known = [
            parse_record(job_id, fields) for job_id, fields in zip(job_ids, found, strict=True) if fields
        ]
        return [
            *(record for record in known if record.job_id not in older),
            *_active_of(project_key, (record for record in known if record.job_id in older)),
        ]

    def active_training(self, project_key: str) -> JobRecord | None:
        """Return the running or queued training of the project, the running one first."""
        with talking_to_redis():
            job_id = self._redis.get(self._key("training", project_key))
        if job_id is None:
            return None
        with contextlib.suppress(NotFoundError):
            return self.record(job_id)
        return None

    def update(self, job_id: str, **fields: Any) -> None:
        """Change progress, details (merged by name), model_version or error of a job."""
        unknown = fields.keys() - set(UPDATABLE)
        if unknown:
            raise ValueError(f"only {', '.join(UPDATABLE)} can be updated, got {', '.join(sorted(unknown))}")
        with talking_to_redis():
            if not self._redis.exists(self._key("job", job_id)):
                raise unknown_job(job_id)
            stored = stored_fields(fields)
            if stored:
                self._redis.hset(self._key("job", job_id), mapping=stored)

    def request_stop(self, job_id: str, *, mode: str) -> None:
        """Ask a job to end: mode "keep" or "discard". A queued one that never ran is stopped at once."""
        if mode not in ("keep", "discard"):
            raise ValueError(f'mode must be "keep" or "discard", got {mode!r}')

        def attempt(pipe: Any) -> None:
            fields = pipe.hgetall(self._key("job", job_id))
            if not fields:
                raise unknown_job(job_id)
            if fields["status"] in ENDED:
                return
            has_something_to_keep = fields["status"] == "started" or (
                mode == "keep" and "started_at" in fields
            )
            if has_something_to_keep:
                pipe.multi()
                pipe.hset(self._key("job", job_id), "stop_mode", mode)
                pipe.execute()
                return
            self._end(pipe, job_id, fields, {"status": "stopped", "stop_mode": mode})

        atomically(self._redis, attempt, self._key("job", job_id))

    def stop_mode(self, job_id: str) -> str | None:
        """Return what `request_stop` asked of the job, or None."""
        with talking_to_redis():
            mode: str | None = self._redis.hget(self._key("job", job_id), "stop_mode")
        return mode

    def labels_taken(self, job_id: str) -> None:
        """Note that a training has read its labels, so that a later request needs a follow-up."""
        with talking_to_redis():
            if not self._redis.exists(self._key("job", job_id)):
                raise unknown_job(job_id)
            self._redis.hset(self._key("job", job_id), "labels_taken", "1")

    def resume(self, job_id: str) -> None:
        """Queue a failed background prediction again, under its id; any other job stays as it is."""

        def attempt(pipe: Any) -> None:
            fields = pipe.hgetall(self._key("job", job_id))
            if not fields:
                raise unknown_job(job_id)
            if fields["status"] != "failed" or fields["kind"] != "predict":
                return
            pipe.multi()
            pipe.hdel(self._key("job", job_id), "error", "ended_at", "pickups")
            pipe.persist(self._key("job", job_id))
            self._queue_again(pipe, job_id, fields)
            pipe.execute()

        atomically(self._redis, attempt, self._key("job", job_id))

    def claim_next(self, kind: str, owner: str) -> JobRecord | None:
        """Take the next job of a kind, of the project that waited longest; None where nothing is queued."""
        with talking_to_redis():
            job_id = self._redis.eval(CLAIM_NEXT, 0, PREFIX, kind, owner)
        return None if job_id is None else self.record(job_id)

    def renew(self, job_id: str, owner: str) -> str | None:
        """Say that the owner still works on the job; return the stop mode, if any. Raises LeaseLost."""
        with talking_to_redis():
            answer: str | None = self._redis.eval(RENEW, 0, PREFIX, job_id, owner)
        if answer is None:
            raise LeaseLost(f"job {job_id} is no longer run by {owner}")
        return answer or None

    def end(self, job_id: str, owner: str, *, status: str, **fields: Any) -> None:
        """End a job that `owner` runs; a waiting follow-up is queued then. Raises LeaseLost."""
        if status not in ENDED:
            raise ValueError(f"a job ends as one of {ENDED}, got {status!r}")

        def attempt(pipe: Any) -> None:
            known = self._owned(pipe, job_id, owner)
            self._end(pipe, job_id, known, {"status": status, **stored_fields(fields)})

        atomically(self._redis, attempt, self._key("job", job_id))

    def put_back(self, job_id: str, owner: str) -> None:
        """Queue a job again that `owner` began and can go on with later. Raises LeaseLost."""

        def attempt(pipe: Any) -> None:
            self._requeue(pipe, job_id, self._owned(pipe, job_id, owner))

        atomically(self._redis, attempt, self._key("job", job_id))

    def recover(self) -> list[str]:
        """Queue again what silent workers held, replace lost tickets; return the ids of those jobs.

        Any process may call this at any time; a few seconds apart is enough. A job whose workers fell
        silent more than MAX_PICKUPS times fails.
        """
        with talking_to_redis():
            # While Redis itself was away nobody could show a sign of life; all get one lease of time.
            if self._redis.info("server")["uptime_in_seconds"] < self.lease_s:
                return []
            now_s, now_us = self._redis.time()
            latest = now_s + now_us / 1e6 - self.lease_s
            silent = self._redis.zrangebyscore(self._key("running"), 0, latest)
        recovered = [job_id for job_id in silent if self._give_up_worker(job_id, latest)]
        self._replace_lost_tickets()
        return recovered

    def abandon(self, owner_prefix: str, reason: str) -> list[str]:
        """Queue again, at once, the jobs of a worker that is known to be dead."""
        with talking_to_redis():
            running = self._redis.zrange(self._key("running"), 0, -1)
            owners = {job_id: self._redis.hget(self._key("job", job_id), "owner") for job_id in running}
        mine = [job_id for job_id, owner in owners.items() if (owner or "").startswith(owner_prefix)]
        return [job_id for job_id in mine if self._give_up_worker(job_id, None, reason)]

    def queue_lengths(self) -> dict[str, int]:
        """Return how many jobs of each kind wait for a worker."""
        with talking_to_redis():
            return {kind: self._waiting_count(kind) for kind in KINDS}

    def worker_state(self) -> WorkerState:
        """Return how many workers live, how many of them work, and how many jobs wait."""
        with talking_to_redis():
            busy = self._redis.zcard(self._key("running"))
            workers = live_worker_count(self._redis)
        return WorkerState(workers, busy, waiting=sum(self.queue_lengths().values()))

    def ping(self) -> None:
        """Raise QueueError unless Redis answers."""
        with talking_to_redis():
            self._redis.ping()

    def _under_way(self, project_key: str, limit: int) -> set[str]:
        """Return the ids of jobs that run, of any project, and of the project's next ones that wait."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.mget(self._key("training", project_key), self._key("followup", project_key))
            pipe.zrange(self._key("running"), 0, -1)
            for kind in KINDS:
                pipe.lrange(self._key("waiting", kind, project_key), 0, limit - 1)
            return {job_id for job_ids in pipe.execute() for job_id in job_ids if job_id is not None}

    def _takes_labels_of_now(self, job_id: str) -> bool:
        job = self._key("job", job_id)
        status, taken, started_at = self._redis.hmget(job, ["status", "labels_taken", "started_at"])
        if status == "queued":
            return taken is None
        return status == "started" and taken is None and time.time() - float(started_at) < FRESH_LABELS_S

    def _give_up_worker(self, job_id: str, silent_since: float | None, reason: str = "") -> bool:
        job_key, running_key = self._key("job", job_id), self._key("running")

        def attempt(pipe: Any) -> bool:
            fields = pipe.hgetall(job_key)
            last_sign = pipe.zscore(running_key, job_id)
            if fields.get("status") != "started":
                pipe.multi()
                pipe.zrem(running_key, job_id)
                pipe.execute()
                return False
            if silent_since is not None and (last_sign is None or last_sign > silent_since):
                return False
            pickups = int(fields.get("pickups", 0)) + 1
            why = reason or f"no sign of life for {self.lease_s:g} s"
            logger.warning("job %s: its worker %s is gone (%s)", job_id, fields.get("owner"), why)
            if pickups > MAX_PICKUPS:
                error = (
                    f"the worker died {pickups} times while it ran this job (last: {why}). Look for the "
                    "reason in the worker's log, often too little memory, then start the job again"
                )
                self._end(pipe, job_id, fields, {"status": "failed", "error": error})
            else:
                self._requeue(pipe, job_id, fields, pickups=pickups)
            return True

        return atomically(self._redis, attempt, job_key, running_key)

    def _replace_lost_tickets(self) -> None:
        with talking_to_redis():
            for kind in KINDS:
                missing = self._waiting_count(kind) - ticket_count(self._redis, kind)
                for _ in range(missing):
                    push_ticket(self._redis, kind, self._function, self._job_timeout_s)

    def _waiting_count(self, kind: str) -> int:
        projects = self._redis.zrange(self._key("turns", kind), 0, -1)
        return sum(self._redis.llen(self._key("waiting", kind, project)) for project in projects)

    def _add_record(self, pipe: Any, kind: str, project_key: str, payload_path: str) -> str:
        job_id, now = f"{kind}-{secrets.token_hex(8)}", time.time()
        fields = {
            "kind": kind,
            "project_key": project_key,
            "payload_path": payload_path,
            "status": "queued",
            "created_at": now,
        }
        pipe.hset(self._key("job", job_id), mapping=fields)
        for index in (self._key("jobs"), self._key("jobs", project_key)):
            pipe.zadd(index, {job_id: now})
            pipe.zremrangebyscore(index, 0, now - 2 * RECORD_TTL_S)
            pipe.expire(index, 2 * RECORD_TTL_S)
        return job_id

    def _add_to_waiting(
        self, pipe: Any, kind: str, project_key: str, job_id: str, *, first: bool = False
    ) -> None:
        push = "LPUSH" if first else "RPUSH"
        pipe.eval(ADD_TO_WAITING, 0, PREFIX, kind, project_key, job_id, push)
        push_ticket(self._redis, kind, self._function, self._job_timeout_s, pipe)

    def _requeue(self, pipe: Any, job_id: str, fields: Mapping[str, str], pickups: int | None = None) -> None:
        pipe.multi()
        if pickups is not None:
            pipe.hset(self._key("job", job_id), "pickups", pickups)
        self._queue_again(pipe, job_id, fields)
        pipe.execute()

    def _queue_again(self, pipe: Any, job_id: str, fields: Mapping[str, str]) -> None:
        pipe.hset(self._key("job", job_id), "status", "queued")
        pipe.hdel(self._key("job", job_id), "owner", "labels_taken")
        pipe.zrem(self._key("running"), job_id)
        self._add_to_waiting(pipe, fields["kind"], fields["project_key"], job_id, first=True)

    def _end(self, pipe: Any, job_id: str, fields: Mapping[str, str], changes: Mapping[str, Any]) -> None:
        """End a job in one transaction; the training that waits for it is queued in the same one."""
        project_key, job_key = fields["project_key"], self._key("job", job_id)
        active_key, follow_key = self._key("training", project_key), self._key("followup", project_key)
        pipe.watch(active_key, follow_key)
        active, follow_up = pipe.get(active_key), pipe.get(follow_key)
        pipe.multi()
        pipe.hset(job_key, mapping={**changes, "ended_at": time.time()})
        pipe.hdel(job_key, "owner")
        pipe.expire(job_key, RECORD_TTL_S)
        pipe.zrem(self._key("running"), job_id)
        if fields["kind"] == "train":
            # In the same transaction: whoever hears that the job ended looks for the version it activated.
            pipe.incr(stamp_key(project_key))
        pipe.lrem(self._key("waiting", fields["kind"], project_key), 0, job_id)
        if follow_up == job_id:
            pipe.delete(follow_key)
        elif active == job_id and follow_up is not None:
            pipe.set(active_key, follow_up)
            pipe.delete(follow_key)
            self._add_to_waiting(pipe, "train", project_key, follow_up)
        elif active == job_id:
            pipe.delete(active_key)
        pipe.execute()

    def _owned(self, pipe: Any, job_id: str, owner: str) -> dict[str, str]:
        fields: dict[str, str] = pipe.hgetall(self._key("job", job_id))
        if fields.get("status") != "started" or fields.get("owner") != owner:
            raise LeaseLost(f"job {job_id} is no longer run by {owner}")
        return fields

    def _key(self, *parts: str) -> str:
        return ":".join((PREFIX, *parts))


def _active_of(project_key: str | None, records: Iterable[JobRecord]) -> list[JobRecord]:
    """Return those of a project that have not ended, newest first."""
    active = [record for record in records if record.is_active and record.project_key == project_key]
    return sorted(active, key=lambda record: record.created_at or 0.0, reverse=True)
