"""run_supervisor: the entry point of `recording-worker run`."""

import faulthandler
import os
import signal
from contextlib import closing
from functools import partial

import structlog

from recording_worker import __version__
from recording_worker.clock import SystemClock
from recording_worker.errors import BootError, ConfigError, WorkerError
from recording_worker.http_tls import ServerTls
from recording_worker.kafka.clients import BROKER_TIMEOUT
from recording_worker.kafka.output_topics import outputs
from recording_worker.kafka.transactions import can_transact
from recording_worker.logs.raw_output import RawOutput
from recording_worker.logs.setup import configure_logs
from recording_worker.metrics import Metrics
from recording_worker.processes.metrics_folder import metrics_folder
from recording_worker.processes.supervisor.document import StatusDocument
from recording_worker.processes.supervisor.history import History
from recording_worker.processes.supervisor.main import Supervisor
from recording_worker.processes.supervisor.observing import observed
from recording_worker.processes.supervisor.ops_server import OpsPages, OpsServer
from recording_worker.processes.supervisor.systemd import SystemdNotifier
from recording_worker.processes.worker import main as worker
from recording_worker.redaction import hide
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import read_token
from recording_worker.settings.units import size_text

log = structlog.get_logger()


def run_supervisor(settings: Settings) -> int:
    """Run the service until a signal ends it. Return the exit code (see `errors`).

    Raises ConfigError or BootError if it can't start and another try would not help.
    """
    configure_logs(settings.log_level, as_json=settings.log_json, process="supervisor")
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)  # as in the workers
    clock = SystemClock()
    token = None if settings.ops_token_file is None else read_token(settings.ops_token_file)
    hide([token] if token else [])
    tls = _ops_tls(settings)
    systemd = SystemdNotifier(os.environ, clock)
    try:
        settings = _with_possible_delivery(settings)
        _log_start(settings)
        with metrics_folder() as folder:
            metrics = Metrics(folder, "supervisor")
            supervisor = Supervisor(settings, clock, partial(worker.main, metrics_folder=folder), metrics, systemd)
            history = History(metrics.served(), clock)  # OpsPages adds the status to its own registry
            document = StatusDocument(settings, history, clock)
            pages = OpsPages(lambda: supervisor.status, clock, metrics.served(), document)
            names = filter(None, map(str.strip, (settings.ops_host_names or "").split(",")))
            ops = OpsServer(pages, settings.ops_host, settings.ops_port, names, token=token, tls=tls)
            with closing(ops), RawOutput(folder).logged(), observed(lambda: supervisor.status, history, clock):
                return supervisor.run()
    except (ConfigError, BootError):
        raise
    except WorkerError as error:
        log.error("stopped by a fault", error=str(error))
    except Exception:
        log.exception("stopped by a fault")
    return WorkerError.exit_code


def _log_start(settings: Settings) -> None:
    """Log what this service is, and what it works with, in one line."""
    log.info(
        "service starts",
        version=__version__,
        delivery=settings.delivery.value,
        group=settings.group_id,
        brokers=settings.bootstrap_servers,
        topic=settings.topic,
        outputs=[getattr(settings, name) for name in outputs(settings)],
        workers=settings.workers,
        memory=size_text(settings.memory_bytes),
        storage=settings.storage or str(settings.storage_dir),
        codec=settings.codec.value,
    )


def _ops_tls(settings: Settings) -> ServerTls | None:
    if settings.ops_tls_certificate is None:
        return None
    return ServerTls(settings.ops_tls_certificate, settings.ops_tls_key, settings.ops_tls_client_ca)


def _with_possible_delivery(settings: Settings) -> Settings:
    """Return the settings, with at_least_once if the brokers have no transactions. Raises BootError, ConfigError."""
    if settings.delivery is not Delivery.EXACTLY_ONCE or can_transact(settings, BROKER_TIMEOUT):
        return settings
    log.warning(
        "these brokers have no transactions: delivery is at_least_once, so a crash may write recordings twice;"
        " set delivery to at_least_once to confirm that"
    )
    return settings.model_copy(update={"delivery": Delivery.AT_LEAST_ONCE})
