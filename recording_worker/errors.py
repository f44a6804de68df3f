"""The exceptions of the worker: faults, never bad data (bad data is a disposition)."""


class WorkerError(Exception):
    """A fault that stops the worker without committing. Its text is shown to the operator as one line."""


class ConfigError(WorkerError):
    """What the user asked for is wrong: a setting, a file, a folder. Exit code 2."""


class BootError(WorkerError):
    """A worker or the supervisor can't start (broker unreachable, storage unusable). Exit code 3: no respawn."""


class FlushError(WorkerError):
    """A session batch could not be stored or delivered; its messages are read again from the committed offsets."""


class AssignmentLostError(WorkerError):
    """The partitions of a batch belong to somebody else by now; the batch is discarded, nothing commits."""
