"""`recording-worker keys`: the key store of encrypted sessions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import KEY_SETTINGS, settings_from, settings_options
from recording_worker.cli.say import demand_command, say
from recording_worker.text import counted

if TYPE_CHECKING:
    from recording_worker.keys.store import KeyStore
    from recording_worker.settings.model import Settings

_EXIT_CODES = """\b
Exit codes: 0 all is well, 1 something is not, or the key store can't be used, 2 wrong settings."""


@click.group(
    invoke_without_command=True,
    epilog="""\b
Each command explains itself:
  recording-worker keys rotate --help""",
)
@click.pass_context
def keys(ctx: click.Context) -> None:
    """The keys of encrypted sessions: look after the key store that the settings name."""
    demand_command(ctx)


def _command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    def decorate(function: Callable[..., Any]) -> click.Command:
        return keys.command(name, epilog=_EXIT_CODES)(settings_options(KEY_SETTINGS)(function))

    return decorate


@contextmanager
def _opened(config: Path | None, flags: dict[str, Any]) -> "Iterator[tuple[KeyStore, Settings]]":
    settings = settings_from(config, flags)
    from recording_worker.cli.signals import signals_end
    from recording_worker.operations.keys import opened_keys

    store = opened_keys(settings)
    try:
        with signals_end():
            yield store, settings
    finally:
        store.close()


@_command("create")
def create(config: Path | None, **flags: Any) -> None:
    """Create the table of keys if it is not there. A worker needs fewer rights than this does."""
    with _opened(config, flags) as (store, settings):
        store.create_table()
        store.try_out()
    say(f"key store {settings.key_store.value}: the table is there, and keys can be made")


@_command("check")
def check(config: Path | None, **flags: Any) -> int:
    """Find out whether keys can be made, stored and read, and which master keys wrap them. Leaves nothing behind."""
    from recording_worker.operations.keys import master_keys

    with _opened(config, flags) as (store, settings):
        store.try_out()
        masters = list(master_keys(store, settings))
    say(f"key store {settings.key_store.value}: keys can be made, stored and read")
    for master in masters:
        role = "it wraps new keys" if master.wraps else "in the file" if master.is_there else "NOT IN THE FILE"
        say(f"master key {master.id}: {counted(master.keys, 'key')}, {role}")
    missing = sum(master.keys for master in masters if not master.is_there)
    if missing:
        say(f"{counted(missing, 'key')} can't be opened: put their master keys back into keys_master_file")
    return 1 if missing else 0


@_command("rotate")
def rotate(config: Path | None, **flags: Any) -> None:
    """Wrap all keys with the first master key of the file, so that the others can be destroyed.

    No batch file changes. It may be stopped and run again at any time, also while the service runs, if all hosts have
    the new master key in their files.
    """
    from recording_worker.operations.keys import rotate as rotate_keys

    with _opened(config, flags) as (store, settings):
        rotated = rotate_keys(store, settings)
    say(f"{counted(rotated, 'key')} wrapped with the first master key of the file")
