"""The exceptions of the worker, and the exit codes. Exceptions are faults; bad data is a disposition instead.

| exit code | meaning |
|---|---|
| 0 | all is done; after a signal: what was read is flushed and committed |
| 1 | a fault, or a second signal: uncommitted messages are read again by the next run |
| 2 | what the user asked for is wrong: a flag, a setting, a file, a folder |
| 3 | the supervisor or a worker can't start: broker, topic, storage, port, PostgreSQL, Redis |
| 4 | only for a worker process, which its supervisor reads: a step of the pipeline or a flush raised |
| 5 | only for a worker process: the transaction of a flush took longer than its time |
| 14 | the supervisor hung, and its watchdog ended it |
"""


class WorkerError(Exception):
    """A fault that stops the worker without committing. Its text is shown to the operator as one line."""

    exit_code = 1


class ConfigError(WorkerError):
    """What the user asked for is wrong: a setting, a file, a folder. No respawn."""

    exit_code = 2


class BootError(WorkerError):
    """A worker or the supervisor can't start (broker unreachable, storage unusable). No respawn."""

    exit_code = 3


class FlushError(WorkerError):
    """A session batch could not be stored or delivered. Its messages are read again from the committed offsets."""


class TransactionTimeoutError(FlushError):
    """The broker ended the transaction of a flush, because it took too long. One message may have caused that."""

    exit_code = 5


class StepError(WorkerError):
    """A step of the pipeline or a flush raised: a fault of the worker, which one message may have caused."""

    exit_code = 4


class StoreError(WorkerError):
    """The storage or a server, such as PostgreSQL, can't be used now; a later try may help."""


class ClickHouseError(StoreError):
    """ClickHouse does not answer, or refuses. The text says why."""
