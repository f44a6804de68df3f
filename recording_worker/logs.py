"""Logs: structlog to stderr, as text or as JSON lines. Each process sets them up once."""

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from recording_worker.redaction import redact
from recording_worker.settings.choices import LogLevel

_TRACEBACKS = ExceptionDictTransformer(show_locals=False)
"""Local variables stay out of the logs: they may hold secrets and recordings."""


def configure_logs(level: LogLevel, *, as_json: bool, **bound: Any) -> None:
    """Set up this process's logs. `bound`, such as `process="worker 3"`, goes into every line.

    Libraries that log through the standard library come out the same way, with warnings and errors.
    """

    def bind(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**bound, **event}

    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[_ToStructlog()], force=True)
    render: list[Processor] = (
        [structlog.processors.ExceptionRenderer(_TRACEBACKS), structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[
            bind,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *render,
            _without_secrets,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        # one write per line, so that the lines of several processes don't mix
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _without_secrets(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return redact(str(line))


class _ToStructlog(logging.Handler):
    """Passes records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info)
