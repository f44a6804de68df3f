"""TOML files: read, and validated, with errors that name file and key."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recording_worker.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def parse_toml(path: Path) -> dict[str, Any]:
    """The file's content. Raises ConfigError with one line that names the file and what is wrong."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None


def read_toml(path: Path, model: type[Model]) -> Model:
    """The file's content as `model`. Raises ConfigError with one line that names the file and what is wrong."""
    try:
        return model.model_validate(parse_toml(path))
    except ValidationError as error:
        problems = (
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise ConfigError(f"{path}: {'; '.join(problems)}") from None
