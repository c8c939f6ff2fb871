"""What Flink's REST API says about the cluster and its jobs."""

from __future__ import annotations

import re
import time
from typing import Any

import httpx

from jobs.common.errors import ClusterError, explain

_POLL_S = 0.2
_ENDED = {"FAILED", "CANCELED", "FINISHED", "SUSPENDED"}

Answer = dict[str, Any]


class FlinkRest:
    """A client of one JobManager.

    Every method raises ClusterError when Flink refuses, httpx.TransportError when nobody answers.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def answers(self) -> bool:
        """Whether the JobManager is up."""
        try:
            self.overview()
        except (httpx.TransportError, ClusterError):
            return False
        return True

    def overview(self) -> Answer:
        """Counts of TaskManagers, slots and jobs."""
        return self._get("/overview")

    def taskmanagers(self) -> list[Answer]:
        """The registered TaskManagers; a killed one stays until its heartbeat is missed."""
        return list(self._get("/taskmanagers")["taskmanagers"])

    def jobs(self) -> list[Answer]:
        """All jobs, ended ones too: jid, name, state, start-time (epoch ms), tasks by state."""
        return list(self._get("/jobs/overview")["jobs"])

    def job(self, job_id: str) -> Answer:
        """A job with its vertices (one a chain of operators)."""
        return self._get(f"/jobs/{job_id}")

    def checkpoints(self, job_id: str) -> Answer:
        """Counts, summary and latest checkpoints of a job; durations in ms, sizes in bytes."""
        return self._get(f"/jobs/{job_id}/checkpoints")

    def exceptions(self, job_id: str) -> Answer:
        """Why tasks of a job failed, the newest first."""
        return self._get(f"/jobs/{job_id}/exceptions")

    def taskmanagers_of(self, job_id: str) -> set[str]:
        """Ids of the TaskManagers that run a job's tasks now."""
        vertices = [vertex["id"] for vertex in self.job(job_id)["vertices"]]
        details = [self._get(f"/jobs/{job_id}/vertices/{vertex}") for vertex in vertices]
        return {task["taskmanager-id"] for detail in details for task in detail["subtasks"]}

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end; its checkpoints stay."""
        self._checked(self._client.patch(f"/jobs/{job_id}", params={"mode": "cancel"}))

    def wait_running(self, job_id: str, limit_s: float = 60) -> None:
        """Wait until every task of a job runs.

        Raises: ClusterError: the job ended, or some task does not run in time.
        """
        deadline = time.monotonic() + limit_s
        while True:
            job = self.job(job_id)
            if job["state"] in _ENDED:
                raise ClusterError(f"{job['name']} is {job['state']}: {self._cause(job_id)}")
            if job["state"] == "RUNNING" and _all_run(job):
                return
            if time.monotonic() > deadline:
                tasks = {vertex["name"]: vertex["status"] for vertex in job["vertices"]}
                raise ClusterError(f"{job['name']} does not run after {limit_s:.0f} s: {tasks}")
            time.sleep(_POLL_S)

    def wait_ended(self, job_id: str, limit_s: float = 30) -> str:
        """Wait for a job's end. Returns: its last state.

        Raises: ClusterError: it goes on.
        """
        deadline = time.monotonic() + limit_s
        while (state := self.job(job_id)["state"]) not in _ENDED:
            if time.monotonic() > deadline:
                raise ClusterError(f"job {job_id} is still {state} after {limit_s:.0f} s")
            time.sleep(_POLL_S)
        return str(state)

    def _cause(self, job_id: str) -> str:
        entries = self.exceptions(job_id).get("exceptionHistory", {}).get("entries", [])
        return explain(entries[0]["stacktrace"]) if entries else f"see {self.url}/#/job/{job_id}"

    def last_error(self, job_id: str) -> str:
        """What last stopped a job, in one line; empty when nothing did."""
        entries = self.exceptions(job_id).get("exceptionHistory", {}).get("entries", [])
        line = explain(entries[0]["stacktrace"]).splitlines()[0] if entries else ""
        return re.sub(r"^(?:[a-z]\w*\.)+", "", line)  # Java's package says nothing to a person

    def _get(self, path: str, **params: str) -> Answer:
        return dict(self._checked(self._client.get(path, params=params)).json())

    def _get_list(self, path: str, **params: str) -> list[Answer]:
        return list(self._checked(self._client.get(path, params=params)).json())

    @staticmethod
    def _checked(response: httpx.Response) -> httpx.Response:
        if response.is_error:
            request = f"{response.request.method} {response.request.url}"
            raise ClusterError(f"{request}: {response.status_code}: {response.text[:500]}")
        return response


def _all_run(job: Answer) -> bool:
    return all(vertex["status"] == "RUNNING" for vertex in job["vertices"])
