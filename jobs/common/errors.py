"""Errors that say what is wrong, where, and what to do next; the long trace goes to a file.

explain(text)     the few lines that matter of what `flink run` or a failed job printed
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class HardiotError(Exception):
    """Something the user can put right; its text is the whole message, without a trace."""


class SettingsError(HardiotError):
    """Settings that cannot be used: all mistakes at once, one a line."""


class ClusterError(HardiotError):
    """The local cluster did not do what it should."""


class JobError(HardiotError):
    """A job could not be submitted, or failed."""


@dataclass(frozen=True)
class Hint:
    """What to do when a pattern is found in a trace."""

    pattern: str
    advice: str


# the first that matches wins: the more special ones stand first
HINTS = (
    Hint(
        r"(JavaPackage' object is not callable|Could not found the Java class|"
        r"ClassNotFoundException: io\.hardiot)",
        "the jars are missing or old: run `make setup`, then `hardiot down` and `hardiot up`",
    ),
    Hint(
        r"(No module named 'pemja'|loadedLibraryNames)",
        "the TaskManager does not see the job's Python: start the cluster with `hardiot up`",
    ),
    Hint(
        r"No module named '(udfs|jobs|edge)",
        "the TaskManager does not see the project: its PYTHONPATH must hold the project's folder",
    ),
    Hint(
        r"ModuleNotFoundError",
        "the job's environment lacks this package: add it to requirements.in, `make lock setup`",
    ),
    Hint(
        r"(UnknownTopicOrPartition|TopicExistsException|No topic .* match)",
        "the topics are not there: `hardiot simulate` creates those of its facilities",
    ),
    Hint(
        r"(Connection refused|Could not connect|BrokerNotAvailable|bootstrap\.servers|"
        r"TimeoutException: Timed out waiting for a node)",
        "nothing answers at that address: is the stack up? `hardiot status`, or set --bootstrap",
    ),
    Hint(
        r"transaction\.max\.timeout\.ms|InvalidTransactionTimeout",
        "the broker's transaction.max.timeout.ms must be at least the job's 15 minutes",
    ),
    Hint(
        r"NoResourceAvailable",
        "no free slot: start another TaskManager or cancel a job (`hardiot status`)",
    ),
    Hint(
        r"(udfs\.state\.BadState|BadState:)",
        "the savepoint was written by a newer version of the job: run that version, or start "
        "without the savepoint",
    ),
)

# where the Flink client says that the job's own program ended
_ABORT = "org.apache.flink.client.program.ProgramAbortException"
_TRACE_START = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)(?:, in (\S+))?')
_ERROR = re.compile(
    r"^\s*((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Refused|BadState|Warning)): ?(.*)$"
)
# a Python function in thread mode: its error and its frames, innermost first, in Java's form
_EMBEDDED = re.compile(r"pemja\.core\.PythonException: <class '(?:builtins\.)?([\w.]+)'>: (.*)")
_EMBEDDED_FRAME = re.compile(r"^\s*at (/\S+)\.([\w<>]+)\(\w+\.py:(\d+)\)")
_JAVA_CAUSE = re.compile(r"^(?:Caused by: |: )?((?:[a-z]\w*\.)+[A-Z][\w$]*(?::.*)?)$", re.M)
_OPERATOR = re.compile(r"(?:Source: |task )?'?([A-Z][\w ]+?)'? (?:\(\d+/\d+\)|-> |switched from)")
_FAILED_TASK = re.compile(r"^.* switched from \w+ to FAILED", re.M)
_LIBRARY = ("site-packages", "lib/python3", "pemja", "<string>")


def explain(text: str) -> str:
    """The error line, where it is, the operator and the next step; at most four lines.

    A job that refuses its settings says so itself, without a trace, and then the client adds that
    Python ended: only what the job said counts, and all of it.

    Args: text: the output of `flink run`, a TaskManager's log or a job's exception history.
    """
    said, abort, _ = text.partition(_ABORT)
    if abort and said.strip():
        text = said
        if _TRACE_START not in said:
            return said.strip()
    error, frame = _python_error(text)
    if not error:
        error, frame = _embedded_error(text)
    error = error or _java_error(text) or _last_line(text)
    lines = [error]
    if frame:
        lines.append(f"  at {frame}")
    failed = _FAILED_TASK.search(text)
    operator = _OPERATOR.search(failed[0] if failed else text)
    if operator:
        lines.append(f"  in operator: {operator.group(1)}")
    advice = next((h.advice for h in HINTS if re.search(h.pattern, text)), None)
    if advice:
        lines.append(f"  next: {advice}")
    return "\n".join(lines)


def _python_error(text: str) -> tuple[str, str]:
    """(error line, file:line in our own code) of the last Python traceback in the text."""
    start = text.rfind(_TRACE_START)
    frame = error = ""
    for line in text[start:].splitlines()[1:] if start >= 0 else ():
        found = _FRAME.match(line)
        if found and (not frame or not _in_library(found[1])):
            frame = f"{found[1]}:{found[2]}" + (f" in {found[3]}" if found[3] else "")
        # the error's own line is the first that is not indented; in a log all may be
        if _ERROR.match(line) or line[:1].strip():
            error = line.strip()
            break
    if error.startswith("py4j."):
        return _java_error(text) or error, frame
    return error, frame


def _embedded_error(text: str) -> tuple[str, str]:
    """The same of a function that ran inside the TaskManager's own process."""
    error = _EMBEDDED.search(text)
    if error is None:
        return "", ""
    found = [m for line in text[error.end() :].splitlines() if (m := _EMBEDDED_FRAME.match(line))]
    at = next((m for m in found if not _in_library(m[1])), found[0] if found else None)
    return f"{error[1]}: {error[2]}", f"{at[1]}.py:{at[3]} in {at[2]}" if at else ""


def _in_library(path: str) -> bool:
    return any(part in path for part in _LIBRARY)


def _java_error(text: str) -> str:
    """The innermost Java cause."""
    causes = _JAVA_CAUSE.findall(text)
    return causes[-1].strip() if causes else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
