"""What is told of a failed job: its own error, where, in which operator, and the next step.

The texts are cut from what `flink run`, a TaskManager and the REST interface print (Flink 2.2).
"""

from __future__ import annotations

import pytest

from jobs.common.errors import HINTS, HardiotError, JobError, SettingsError, explain

ABORT = """\
org.apache.flink.client.program.ProgramAbortException: java.lang.RuntimeException: Python process \
exits with code: 1
\tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:140)
\tat org.apache.flink.client.program.PackagedProgram.callMainMethod(PackagedProgram.java:343)
\tat org.apache.flink.client.cli.CliFrontend.main(CliFrontend.java:1323)
Caused by: java.lang.RuntimeException: Python process exits with code: 1
\tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:130)
\t... 14 more
"""
NO_JARS = """\
Traceback (most recent call last):
  File "/srv/hardiot/jobs/rollup_readings.py", line 56, in <module>
    run("rollup_readings", Settings, build, sys.argv[1:])
  File "/srv/hardiot/jobs/common/run.py", line 26, in run
    build(env, settings)
  File "/srv/hardiot/jobs/common/environment.py", line 69, in read_records
    kafka.KafkaSource.builder()
  File "/srv/venv/lib/python3.11/site-packages/pyflink/util/exceptions.py", line 201, in call
    raise TypeError(
TypeError: Could not found the Java class 'org.apache.flink.connector.kafka.source.KafkaSource.\
builder'. The Java dependencies could be specified via command line argument '--jarfile'
"""
BY_JAVA = """\
Traceback (most recent call last):
  File "/srv/hardiot/jobs/rollup_readings.py", line 56, in <module>
    run("rollup_readings", Settings, build, sys.argv[1:])
  File "/srv/hardiot/jobs/common/run.py", line 30, in run
    env.execute(name)
  File "/srv/venv/lib/python3.11/site-packages/py4j/protocol.py", line 326, in get_return_value
    raise Py4JJavaError(
py4j.protocol.Py4JJavaError: An error occurred while calling o12.execute.
: java.util.concurrent.ExecutionException: org.apache.flink.runtime.client.JobSubmissionException
\tat java.base/java.util.concurrent.CompletableFuture.get(CompletableFuture.java:2073)
Caused by: org.apache.flink.runtime.client.JobSubmissionException: Failed to submit job.
\tat org.apache.flink.runtime.dispatcher.Dispatcher.submitJob(Dispatcher.java:500)
Caused by: org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in \
bootstrap.servers
\tat org.apache.kafka.clients.ClientUtils.parseAndValidateAddresses(ClientUtils.java:105)
\t... 10 more
"""
IN_A_TASK = """\
2026-01-05T10:00:01.000Z INFO  Task - Source: Read records (1/1)#0 (8aec_0_0) switched from \
INITIALIZING to RUNNING.
2026-01-05T10:00:09.000Z WARN  Task - Roll up minutes -> Write records: Writer -> Write records: \
Committer (1/1)#0 (8aec_e85d_0_0) switched from RUNNING to FAILED with failure cause:
pemja.core.PythonException: <class 'ValueError'>: window_s: must be positive
\tat /srv/venv/lib/python3.11/site-packages/numpy/core.mean(core.py:77)
\tat /srv/hardiot/udfs/windows.add(windows.py:104)
\tat /srv/hardiot/jobs/common/keyed.process_element(keyed.py:88)
\tat pemja.core.object.PyIterator.next(Native Method)
\tat pemja.core.object.PyIterator.hasNext(PyIterator.java:40)
\tat org.apache.flink.streaming.runtime.tasks.StreamTask.invoke(StreamTask.java:900)
\tat java.base/java.lang.Thread.run(Thread.java:840)
"""
IN_THE_HISTORY = """\
java.lang.RuntimeException: Failed to create stage bundle factory!
\tat org.apache.flink.streaming.api.operators.python.AbstractPythonFunctionOperator.open(A.java:1)
Caused by: pemja.core.PythonException: <class 'udfs.state.BadState'>: state version 2; this job \
knows up to 1
\tat /srv/hardiot/udfs/rollup_step.restore(rollup_step.py:118)
\t... 10 more
"""
BY_PROCESS = """\
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 7: \
Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/apache_beam/worker.py", line 287, in _execute
    response = task()
  File "/srv/hardiot/udfs/models.py", line 40, in score
    import tensorflow
ModuleNotFoundError: No module named 'tensorflow'

\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient.handle(FnApi.java:180)
Caused by: java.lang.IllegalStateException: process ended
"""


def test_a_python_error_on_submission() -> None:
    assert explain(NO_JARS + ABORT).splitlines() == [
        "TypeError: Could not found the Java class 'org.apache.flink.connector.kafka.source."
        "KafkaSource.builder'. The Java dependencies could be specified via command line argument "
        "'--jarfile'",
        "  at /srv/hardiot/jobs/common/environment.py:69 in read_records",
        "  next: the jars are missing or old: run `make setup`, then `hardiot down` and "
        "`hardiot up`",
    ]


def test_an_error_of_java_that_python_only_passes_on() -> None:
    assert explain(BY_JAVA + ABORT).splitlines() == [
        "org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in "
        "bootstrap.servers",
        "  at /srv/hardiot/jobs/common/run.py:30 in run",
        "  next: nothing answers at that address: is the stack up? `hardiot status`, or set "
        "--bootstrap",
    ]


def test_a_function_that_failed_in_a_task() -> None:
    assert explain(IN_A_TASK).splitlines() == [
        "ValueError: window_s: must be positive",
        "  at /srv/hardiot/udfs/windows.py:104 in add",
        "  in operator: Roll up minutes",
    ]


def test_a_function_that_failed_by_the_exception_history() -> None:
    assert explain(IN_THE_HISTORY).splitlines() == [
        "udfs.state.BadState: state version 2; this job knows up to 1",
        "  at /srv/hardiot/udfs/rollup_step.py:118 in restore",
        "  next: the savepoint was written by a newer version of the job: run that version, or "
        "start without the savepoint",
    ]


def test_a_function_that_failed_in_a_python_process() -> None:
    assert explain(BY_PROCESS).splitlines() == [
        "ModuleNotFoundError: No module named 'tensorflow'",
        "  at /srv/hardiot/udfs/models.py:40 in score",
        "  next: the job's environment lacks this package: add it to requirements.in, "
        "`make lock setup`",
    ]


def test_at_most_four_lines() -> None:
    text = IN_A_TASK.replace("window_s: must be positive", "NoResourceAvailable")
    assert len(explain(text).splitlines()) == 4


def test_a_job_that_refuses_its_settings_has_the_word_and_all_of_it() -> None:
    said = 'flag --windw-s: unknown key\njobs/x.yaml: y: unknown key (did you mean "z"?)'
    assert explain(f"{said}\n{ABORT}") == said


def test_java_alone() -> None:
    """The innermost cause, not "... 14 more", and not that of Python's process."""
    assert explain(ABORT) == "java.lang.RuntimeException: Python process exits with code: 1"
    lone = "java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)\n"
    assert explain(lone) == "java.lang.OutOfMemoryError: Java heap space"


TRACE = "Traceback (most recent call last):\n"


@pytest.mark.parametrize(
    "last",
    ["KeyError: 'value'", "StopIteration", "udfs.batch.Refused: 9 bytes", "SystemExit: 3"],
)
def test_errors_of_any_name(last: str) -> None:
    text = f'{TRACE}  File "/srv/a.py", line 3, in f\n    g()\n    ^^^\n{last}\n'
    assert explain(text).splitlines() == [last, "  at /srv/a.py:3 in f"]


def test_a_program_that_python_cannot_read() -> None:
    text = f'{TRACE}  File "/srv/a.py", line 3\n    def (:\n        ^\nSyntaxError: invalid\n'
    assert explain(text).splitlines() == ["SyntaxError: invalid", "  at /srv/a.py:3"]


def test_the_last_of_several_tracebacks_counts() -> None:
    text = (
        f'{TRACE}  File "/srv/a.py", line 3, in f\nKeyError: 1\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        f'{TRACE}  File "/srv/b.py", line 4, in g\nOSError: two\n'
    )
    assert explain(text).splitlines() == ["OSError: two", "  at /srv/b.py:4 in g"]


@pytest.mark.parametrize(("text", "told"), [("", "no output"), ("a\n\n b \n\n", "b")])
def test_a_text_without_an_error(text: str, told: str) -> None:
    assert explain(text) == told


@pytest.mark.parametrize(
    ("trace", "advice"),
    [
        ("TypeError: 'JavaPackage' object is not callable", "make setup"),
        ("java.lang.ClassNotFoundException: io.hardiot.kafka.KeyedRecord", "make setup"),
        ("java.lang.NoSuchFieldException: loadedLibraryNames", "hardiot up"),
        ("ModuleNotFoundError: No module named 'udfs.batch'", "PYTHONPATH"),
        ("ModuleNotFoundError: No module named 'scipy'", "requirements.in"),
        ("org.apache.kafka.common.errors.UnknownTopicOrPartitionException: x", "hardiot simulate"),
        ("java.net.ConnectException: Connection refused", "hardiot status"),
        ("org.apache.kafka.common.errors.InvalidTransactionTimeoutException: x", "15 minutes"),
        ("org.apache.flink.NoResourceAvailableException: x", "another TaskManager"),
        ("udfs.state.BadState: state version 2", "savepoint"),
    ],
)
def test_every_hint_is_given_for_its_trace(trace: str, advice: str) -> None:
    last = explain(trace).splitlines()[-1]
    assert last.startswith("  next: ") and advice in last


def test_every_hint_has_a_trace_above() -> None:
    assert len(HINTS) == 9


def test_what_the_user_can_put_right_is_one_kind() -> None:
    assert issubclass(SettingsError, HardiotError) and issubclass(JobError, HardiotError)
