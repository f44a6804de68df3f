"""requirements.lock: what `make setup` and CI install, made by `make lock`."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ENTRIES = re.findall(
    r"^([\w.-]+)==([^ ]+)(?: ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$",
    (ROOT / "requirements.lock").read_text(),
    re.MULTILINE,
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_entry_has_a_version_and_hashes() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert len(ENTRIES) == len([line for line in lines if not line.startswith(("#", " "))]) > 50


@pytest.mark.parametrize(
    "needed",
    [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines),
    ],
)
def test_what_the_project_needs_is_locked(needed: str) -> None:
    requirement = Requirement(needed)
    if requirement.name == PROJECT["project"]["name"]:  # an extra that stands for others
        return
    versions = [Version(version) for name, version, _ in ENTRIES if name == canonicalize_name(requirement.name)]
    assert versions, "run `make lock`"
    assert all(version in requirement.specifier for version in versions), "run `make lock`"
