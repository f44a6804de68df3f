"""What `recording-worker profile` says when it can't watch a worker. tests/integration watches a real one."""

import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from recording_worker.errors import ConfigError, WorkerError
from recording_worker.metrics import Metrics, counts_of_worker
from recording_worker.operations import profile as profiling
from recording_worker.operations.profile import find_worker, profile
from recording_worker.settings.model import Settings
from tests.servers.certificates import Authority


class Answering(BaseHTTPRequestHandler):
    status, body, asked = 200, b"", ""

    def do_GET(self) -> None:
        type(self).asked = self.headers.get("Authorization", "")
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def ops_server(body: str, status: int = 200, certificate: Path | None = None) -> Iterator[Settings]:
    """A server that answers like this, and the settings that lead to it."""
    handler = type("Handler", (Answering,), {"body": body.encode(), "status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Settings(ops_host="0.0.0.0", ops_port=server.server_port, ops_tls_certificate=certificate)
        finally:
            server.shutdown()
            thread.join()


def workers(*pids: int | None) -> str:
    rows = [f'{{"number": {number}, "pid": {"null" if pid is None else pid}}}' for number, pid in enumerate(pids)]
    return f'{{"workers": [{", ".join(rows)}]}}'


def test_the_service_says_which_process_a_worker_is() -> None:
    with ops_server(workers(17, 18)) as settings:
        assert find_worker(settings, 1) == 18
        with pytest.raises(ConfigError, match="there is no worker 2: the service has workers 0 to 1"):
            find_worker(settings, 2)


def test_a_worker_may_not_run() -> None:
    with ops_server(workers(None)) as settings, pytest.raises(WorkerError, match="worker 0 does not run"):
        find_worker(settings, 0)


def test_the_token_of_the_ops_server_is_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    with ops_server(workers(17)) as settings:
        find_worker(settings.model_copy(update={"ops_token_file": token}), 0)
    with ops_server("", 401) as settings, pytest.raises(WorkerError, match=r"answers 401: it needs its token"):
        find_worker(settings, 0)


def test_a_server_with_a_certificate_is_known_by_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    own, other = authority.issue("server"), authority.issue("other")
    with ops_server(workers(17), certificate=own) as settings:
        assert find_worker(settings, 0) == 17
        with pytest.raises(WorkerError, match=r"no service at https://127.0.0.1.*certificate verify failed"):
            find_worker(settings.model_copy(update={"ops_tls_certificate": other}), 0)
        with pytest.raises(ConfigError, match="say which process it is with --pid"):
            find_worker(settings.model_copy(update={"ops_tls_client_ca": authority.file}), 0)


@pytest.mark.parametrize("body", ["[]", "{}", "<html>"])
def test_another_server_is_not_asked_further(body: str) -> None:
    with (
        ops_server(body) as settings,
        pytest.raises(WorkerError, match=r"ops server of recording-worker|no service at"),
    ):
        find_worker(settings, 0)


def test_no_service_is_one_line() -> None:
    with ops_server("") as settings:
        pass
    with pytest.raises(WorkerError, match=rf"no service at http://127.0.0.1:{settings.ops_port}/.*refused"):
        find_worker(settings, 0)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x.txt must end in .svg .* or .json"):
        profile(Settings(), 0, 1, 100, tmp_path / "x.txt")


def test_the_extra_is_named_if_the_tool_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"pip install 'recording-worker\[profile\]'"):
        profile(Settings(), 0, 1, 100, tmp_path / "x.svg")


def test_a_process_that_is_no_worker_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], env={}) as other:
        try:
            with ops_server(workers(other.pid)) as settings, pytest.raises(WorkerError, match="is no worker here"):
                profile(settings, 0, 1, 100, tmp_path / "x.svg")
        finally:
            other.kill()
    with ops_server(workers(other.pid)) as settings, pytest.raises(WorkerError, match="there is no process"):
        profile(settings, 0, 1, 100, tmp_path / "x.svg")


def test_a_tool_without_rights_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What py-spy itself says without the right to trace: the tests may have it."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    tool = tmp_path / "py-spy"
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_worker-0.db").write_bytes(bytes(8))
    with subprocess.Popen(["sleep", "60"], env={"PROMETHEUS_MULTIPROC_DIR": str(folder)}) as worker:
        try:
            for said, explained in (
                ("Permission Denied: Try running again with elevated permissions", "kernel.yama.ptrace_scope = 0"),
                ("Error: Failed to find python version", "py-spy can't watch worker 0 .*: Error: Failed to find"),
            ):
                tool.write_text(f"#!{shutil.which('sh')}\necho '{said}' >&2\nexit 1\n")
                tool.chmod(0o755)
                with ops_server(workers(worker.pid)) as settings, pytest.raises(WorkerError, match=explained):
                    profile(settings, 0, 1, 100, tmp_path / "x.svg")
        finally:
            worker.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_users_worker_is_not_looked_into() -> None:
    """Without rights, the kernel does not even show the environment of the process."""
    script = (
        "import sys; from recording_worker.operations.profile import _metrics_folder; _metrics_folder(int(sys.argv[1]))"
    )
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", script, str(os.getpid())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this user may not look into process" in done.stderr


def test_what_one_worker_counted_is_read(tmp_path: Path) -> None:
    code = (
        "import sys; from recording_worker.metrics import Metrics\n"
        "worker = int(sys.argv[2]); metrics = Metrics.of_worker(sys.argv[1], worker)\n"
        "metrics.step_seconds.labels('record').inc(worker + 1)\n"
    )
    for worker in (0, 1):
        subprocess.run([sys.executable, "-c", code, str(tmp_path), str(worker)], check=True)
    counted = counts_of_worker(str(tmp_path), 1)
    assert counted[Metrics.step_seconds.series[0], "record"] == 2
    with pytest.raises(OSError, match="no metrics of worker 2"):
        counts_of_worker(str(tmp_path), 2)


def test_stages_are_what_grew() -> None:
    steps, cpu = Metrics.step_seconds.series[0], Metrics.step_cpu_seconds.series[0]
    flush = f"{Metrics.flush_stage_seconds.name}_sum"
    grown = {(steps, "record"): 2.0, (cpu, "record"): 1.5, (steps, "shed_lag"): 0.0, (flush, "store"): 0.5}
    assert [*profiling._stages(grown)] == [("step: record", 2.0, 1.5), ("flush: store", 0.5, None)]
