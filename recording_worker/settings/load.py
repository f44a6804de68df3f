"""Settings from flags, the environment and a TOML file."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from recording_worker.errors import ConfigError
from recording_worker.settings.fields.serving import ServingFields
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import without_user
from recording_worker.settings.toml import parse_toml

ENV_PREFIX = "RECORDING_WORKER_"
CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"

TABLES = frozenset({"kafka", "kafka_consumer", "kafka_producer", "kafka_outputs"})
"""The settings that are tables of the TOML file. They are no flags and no environment variables."""


SECRETS = frozenset({"teams_postgres", "sessions_redis", "restrictions_redis"})
"""The settings that may hold a password: their values are never shown."""


SCALARS = tuple(name for name in Settings.model_fields if name not in TABLES)
"""The settings that are flags, environment variables and keys of the TOML file."""

SERVICE_SCALARS = tuple(name for name in SCALARS if name not in ServingFields.model_fields)
"""Those among them that `run` takes."""


def flag_of(name: str) -> str:
    """Return the flag of a setting: `--max-batch-bytes`."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """Return the environment variable of a setting: `RECORDING_WORKER_MAX_BATCH_BYTES`."""
    return ENV_PREFIX + name.upper()


_TRUTH = TypeAdapter(bool)


class Given(NamedTuple):
    """What the user gave, before it is checked."""

    values: dict[str, Any]
    sources: dict[str, str]
    """Setting → the flag, the variable, or the key and file that its value comes from."""
    problems: list[str]
    """A line for each key of the file that is no setting, or for a file that can't be read."""


def is_true(value: object) -> bool:
    """Return whether this value, as it was given, makes a setting true."""
    try:
        return _TRUTH.validate_python(value)
    except ValidationError:
        return False


def load_settings(flags: Mapping[str, Any], config: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Load settings from flags, the environment and an optional TOML file.

    `flags` holds only what the user gave. `environ` is the process's environment if not given.
    Raises ConfigError, whose text has one line for each problem: where the value came from, and what is wrong.
    """
    return settings_of(gather(flags, config, environ))


def gather(flags: Mapping[str, Any], config: Path | None, environ: Mapping[str, str] | None = None) -> Given:
    """Collect what the user gave. Raises nothing. `load_settings` describes the arguments."""
    environ = os.environ if environ is None else environ
    given = Given({}, {}, [])
    try:
        content = {} if config is None else parse_toml(config)
    except ConfigError as error:
        content = {}
        given.problems.append(str(error))
    for key, value in content.items():
        if key in Settings.model_fields:
            given.values[key], given.sources[key] = value, f"{key} in {config}"
        else:
            given.problems.append(f"{config}: {key} is not a setting{_suggestion(key, Settings.model_fields)}")
    for name in SCALARS:
        if variable := environ.get(variable_of(name)):
            given.values[name], given.sources[name] = variable, variable_of(name)
        if name in flags:
            given.values[name], given.sources[name] = flags[name], flag_of(name)
    return given


def settings_of(given: Given) -> Settings:
    """Check what was given. Raises ConfigError as `load_settings` does."""
    problems = list(given.problems)
    try:
        settings = Settings.model_validate(given.values)
    except ValidationError as error:
        problems += [
            _describe(problem, given.values, given.sources)
            for problem in error.errors()
            if problem["type"] != "default_factory_not_called"  # a default that follows from a setting that is wrong
        ]
    if problems:
        raise ConfigError("\n".join(problems))
    return settings


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a line for each environment variable that looks like a setting but is not one.

    They are worth a warning, not an error. Kubernetes sets `RECORDING_WORKER_SERVICE_HOST` and others in every pod
    if there is a service of that name; they are left out here.
    """
    known = {CONFIG_VARIABLE, *map(variable_of, SCALARS)}
    return [
        f"{name} is not a setting{_suggestion(name, known)}"
        for name in sorted(environ)
        if name.startswith(ENV_PREFIX) and name not in known and not _KUBERNETES_VARIABLE.search(name)
    ]


_KUBERNETES_VARIABLE = re.compile(r"_SERVICE_(HOST|PORT\w*)$|_PORT(_\d+_(TCP|UDP|SCTP)\w*)?$")


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _describe(problem: ErrorDetails, values: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """Return one line for a person: where the value came from, and what is wrong with it."""
    text = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    if not problem["loc"]:  # about several settings together
        named = [source for name, source in sources.items() if re.search(rf"\b{name}\b", text)]
        return f"{text} (given: {', '.join(named)})"
    name = str(problem["loc"][0])
    # a table may hold a password, and so may a URL that should have none
    given = "" if name in TABLES | SECRETS else f" (got {without_user(str(values[name]))!r})"
    return f"{sources[name]}: {text[:1].lower()}{text[1:]}{given}"
