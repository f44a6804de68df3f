"""Run the steps of deploy/docker/Dockerfile in chroots, where there is no Docker, and try what they make.

`python tools/try_image.py` needs root, debootstrap, unshare and the network. A base image is what debootstrap makes of
that Debian. apt and pip look where they look on this machine. Then the image's shells are taken away, and the service
starts in it as process 1 of its own namespace, as the image's user, on a read-only root with an empty /tmp. It must
become ready, and end with 0 after SIGTERM.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recording_worker.kafka.embedded import EmbeddedBroker

ROOT = Path(__file__).parent.parent
FILE = ROOT / "deploy" / "docker" / "Dockerfile"
BUILD = ROOT / "build" / "image"
SHELLS = ("sh", "bash", "dash", "rbash")
OPS_PORT = 19600
READY_SECONDS = 120
STOP_SECONDS = 40
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What Docker sets if an image does not."""
LOOKED_UP = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")
"""Files of this machine that programs of a chroot need to reach the network as programs here do."""
_MOUNTS = """
mount --bind {root} {root}
mount --options remount,bind,ro {root}
mount --types proc proc {root}/proc
mount --rbind /dev {root}/dev
mount --types tmpfs --options size=64m tmpfs {root}/tmp
exec chroot --userspec={user} {root} {command}
"""


@dataclass
class Image:
    """A stage of the Dockerfile, and then the image."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/"})
    folder: str = "/"
    user: str = "0:0"
    entry: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)


def say(text: str) -> None:
    """Print a line at once."""
    print(f"image: {text}", flush=True)


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command. If it fails, show its output and exit."""
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\nimage: failed: {' '.join(map(str, command))}")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile, without comments: the word, and the rest."""
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            yield word, rest.strip()


def own_files() -> Iterator[Path]:
    """Yield this machine's own configuration of apt, and the authorities that it trusts beyond Debian's."""
    yield from Path("/etc/apt/apt.conf.d").glob("99*")
    yield from Path("/usr/local/share/ca-certificates").glob("*.crt")


def base_of(image: str, root: Path) -> None:
    """Unpack Debian as `debian:RELEASE-slim` has it, and let it look up what this machine can look up."""
    release = re.fullmatch(r"debian:(\w+)-slim", image)
    if release is None:
        sys.exit(f"image: only Debian can be made here, not {image}")
    base = BUILD / f"base-{release[1]}"
    if not base.exists():
        say(f"debootstrap {release[1]}")
        sources = Path("/etc/apt/sources.list.d/debian.sources")
        found = re.search(r"^URIs: (\S+)", sources.read_text(), re.MULTILINE) if sources.exists() else None
        making = base.with_suffix(".part")
        shutil.rmtree(making, ignore_errors=True)
        mirror = found[1] if found else "http://deb.debian.org/debian"
        # in a namespace of its own, so that what it mounts is gone when it ends, however it ends
        run("unshare", "--mount", "debootstrap", "--variant=minbase", release[1], making, mirror)
        for name in (*LOOKED_UP, str(sources)[1:], *(str(path)[1:] for path in own_files())):
            if Path("/", name).exists():
                (making / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path("/", name), making / name)
        if found:
            (making / "etc/apt/sources.list").unlink(missing_ok=True)
        making.rename(base)
    run("cp", "--archive", base, root)


def inside(root: Path, user: str, command: str) -> list[str]:
    """Return the command that runs another as process 1 of a namespace of its own, on a root that is read-only."""
    mounts = _MOUNTS.format(root=root, user=user, command=command)
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", mounts]


def copy(image: Image, stages: dict[str, Image], rest: str) -> None:
    """COPY: files of the repository, or of another stage."""
    *sources, target = rest.split()
    source_root = ROOT
    if sources[0].startswith("--from="):
        source_root = stages[sources.pop(0).removeprefix("--from=")].root
    there = image.root / (Path(image.folder) / target).relative_to("/")
    into = target.endswith("/") or len(sources) > 1
    (there if into else there.parent).mkdir(parents=True, exist_ok=True)
    for source in sources:
        run("cp", "--recursive", "--preserve=mode", "--no-target-directory", source_root / source.lstrip("/"),
            there / Path(source).name if into else there)  # fmt: skip


def build(text: str) -> Image:
    """Do what the Dockerfile says. Return the last image."""
    stages: dict[str, Image] = {}
    image = Image(BUILD)
    for word, rest in instructions(text):
        say(f"{word} {rest[:100]}")
        match word:
            case "FROM":
                base, _, name = rest.partition(" AS ")
                image = stages[name or "image"] = Image(BUILD / (name or "image"))
                base_of(base, image.root)
            case "RUN":
                step = f"cd {image.folder} && {rest}"
                run(
                    "chroot",
                    image.root,
                    "/bin/sh",
                    "-ec",
                    step,
                    env=image.environment | {"DEBIAN_FRONTEND": "noninteractive"},
                )
            case "COPY":
                copy(image, stages, rest)
            case "WORKDIR":
                image.folder = rest
                (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "ENV":
                pairs = (pair.partition("=") for pair in shlex.split(rest))
                image.environment |= {
                    name: value.replace("$PATH", image.environment["PATH"]) for name, _, value in pairs
                }
            case "USER":
                image.user = rest
            case "ENTRYPOINT":
                image.entry = json.loads(rest)
            case "CMD":
                image.arguments = json.loads(rest)
            case "EXPOSE":
                pass
            case _:
                sys.exit(f"image: {word} is not known here")
    return image


def ready() -> bool:
    """Return whether the service says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{OPS_PORT}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def try_service(image: Image, settings: Sequence[str]) -> None:
    """Start the image, wait until it is ready, and stop it. Exits if something is not as it should be."""
    words = [*image.entry, *image.arguments, *settings]
    service = subprocess.Popen(inside(image.root, image.user, shlex.join(words)), env=image.environment)
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if service.poll() is not None or time.monotonic() > deadline:
            service.kill()
            sys.exit(f"image: the service is not ready (exit code {service.returncode})")
        time.sleep(0.2)
    say("the service is ready")
    [pid] = map(int, Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split())
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE), "it is not process 1"
    assert f"\nUid:\t{image.user.partition(':')[0]}\t" in status, "it is not the image's user"
    os.kill(pid, signal.SIGTERM)
    code = service.wait(STOP_SECONDS)
    if code:
        sys.exit(f"image: the service ended with {code} after SIGTERM")
    say("as process 1 without root, shell or a place to write to, it was ready, and ended with 0 after SIGTERM")


def main() -> None:
    """Build the image, and try it."""
    for stage in ("build", "image"):
        shutil.rmtree(BUILD / stage, ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    image = build(FILE.read_text(encoding="utf-8"))
    for folder in ("bin", "usr/bin"):
        for shell in SHELLS:
            (image.root / folder / shell).unlink(missing_ok=True)
    with EmbeddedBroker() as broker:
        broker.create_topic("session_recording_snapshot_item_events", 2)
        settings = ["--bootstrap-servers", broker.bootstrap_servers, "--any-token", "--storage", "blackhole:"]
        try_service(image, [*settings, "--workers", "2", "--ops-port", str(OPS_PORT)])


if __name__ == "__main__":
    main()
