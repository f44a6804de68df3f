"""Logs: structlog to stderr, as text or as JSON lines. Each process sets them up once."""

import atexit
import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from recording_worker.logs.folding import Folding
from recording_worker.redaction import redact
from recording_worker.settings.choices import LogLevel
from recording_worker.text import printable

_TRACEBACKS = ExceptionDictTransformer(show_locals=False)
"""Local variables stay out of the logs: they may hold secrets and recordings."""
_CONTROL = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What JSON may hold unescaped, though a terminal or a reader of lines may take it for more than text; and halves of
characters, which UTF-8 can't write."""

_as_json = False


def logs_are_json() -> bool:
    """Return whether this process logs JSON lines."""
    return _as_json


def configure_logs(level: LogLevel, *, as_json: bool, stream: TextIO | None = None, **bound: Any) -> None:
    """Set up this process's logs. `bound`, such as `process="supervisor"`, goes into every line.

    Lines go to `stream`, stderr unless given. Each is one line, whatever its texts hold. Lines that are alike are
    counted (see `folding`). Libraries that log through the standard library come out the same way, with warnings and
    errors, and so do Python's warnings. As JSON, an exception that nobody catches is a line too.
    """
    global _as_json
    _as_json = as_json
    out = stream or sys.stderr

    def bind(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**bound, **event}

    numeric = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[_ToStructlog()], force=True)
    logging.captureWarnings(True)
    render = _json_lines() if as_json else _text_lines(out)
    write = structlog.WriteLogger(out)

    def emit(event: EventDict) -> None:
        made: Any = event
        for processor in render:
            made = processor(write, "msg", made)
        write.msg(made)

    folding = Folding(emit)
    atexit.register(folding.flush)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            bind,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            folding,
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        # one write per line, so that the lines of several processes don't mix
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    if as_json:
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_uncaught_in_thread


def _json_lines() -> list[Processor]:
    return [
        structlog.processors.ExceptionRenderer(_TRACEBACKS),
        structlog.processors.JSONRenderer(ensure_ascii=False),
        _without_secrets,
        _as_one_line,
    ]


def _text_lines(out: TextIO) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=_printable_traceback)
    return [_printable_texts, renderer, _without_secrets]


def _as_one_line(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(line))


def _printable_texts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what could forge a line or control a terminal. All but texts is shown by `repr`, which escapes it.

    A secret is masked before, because an escaped one would not be found.
    """
    return {
        name: printable(redact(value)) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }


def _printable_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    """Write a stack as text. Each line is indented, so that none can be taken for a line of the log."""
    kind, error, trace = exc_info
    out.write("\n")
    text = redact("".join(traceback.format_exception(kind, error, trace)))
    out.writelines(f"  {printable(line)}\n" for line in text.splitlines())


def _without_secrets(_logger: WrappedLogger, _method: str, line: Any) -> str:
    return redact(str(line))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("an exception that nobody caught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not issubclass(ended.exc_type, SystemExit):
        _log_uncaught(ended.exc_type, ended.exc_value, ended.exc_traceback)


class _ToStructlog(logging.Handler):
    """Passes records of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), source=record.name, exc_info=record.exc_info)
