"""PrometheusServer: a Prometheus that scrapes every second and knows the alerts of deploy/prometheus."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.servers.child import ServerProcess, require
from tests.servers.ports import free_ports


class PrometheusServer(ServerProcess):
    """A context manager. Alerts fire soon: `for` is left out of the rules, and a dependency may fail for 1 s only."""

    def __init__(self, folder: Path, targets: Iterable[str], rules: Path) -> None:
        """`targets`: what to scrape, as host:port. `rules`: a file of alerts."""
        super().__init__("Prometheus", folder / "prometheus.log")
        self._folder = folder
        self._url = f"http://127.0.0.1:{free_ports(1)[0]}"
        at_once = re.sub(r"^\s+for:.*\n", "", rules.read_text(encoding="utf-8"), flags=re.MULTILINE)
        at_once = re.sub(r"(dependency_failing_seconds\{.*\}) > \d+", r"\1 > 1", at_once)
        (folder / "rules.yml").write_text(at_once, encoding="utf-8")
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "recording-worker", "static_configs": [{"targets": list(targets)}]}],
        }
        # JSON is YAML too
        (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")

    def command(self) -> list[str]:
        return [
            require("prometheus", "prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._url.removeprefix('http://')}",
        ]

    def answers(self) -> bool:
        try:
            return bool(self._get("/-/ready"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {each["labels"]["alertname"] for each in self._api("alerts")["alerts"] if each["state"] == "firing"}

    def scrapes(self) -> bool:
        """Return whether it has scraped all its targets."""
        targets = self._api("targets")["activeTargets"]
        return bool(targets) and all(each["health"] == "up" for each in targets)

    def _api(self, name: str) -> Any:
        return json.loads(self._get(f"/api/v1/{name}"))["data"]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self._url + path, timeout=5) as response:
            body: bytes = response.read()
            return body
