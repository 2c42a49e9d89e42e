"""The configuration: every option of every stage, with its default, from one TOML file.

    [read]      transforms.read.inputs.ReadOptions
    [clean]     transforms.clean.articles.CleanOptions
    [match]     transforms.match.options.MatchOptions
    [copies]    transforms.cluster.copies.CopyOptions
    [stories]   transforms.cluster.stories.StoryOptions
    [write]     transforms.write.staging.WriteOptions
    [rejects]   RejectLimits
    [kept]      KeptOptions

An unknown key is an error: a misspelt option must not be silently ignored.
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import ConfigError
from schemas.ids import stable_hash
from transforms.clean.articles import CleanOptions
from transforms.cluster.copies import CopyOptions
from transforms.cluster.stories import StoryOptions
from transforms.match.options import MatchOptions
from transforms.read.inputs import ReadOptions
from transforms.write.staging import WriteOptions


class RejectLimits(BaseModel):
    """When a run is abandoned rather than committed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_share: float = Field(default=0.5, ge=0, le=1)
    """Of all records; records delivered twice do not count."""
    from_records: int = Field(default=100, ge=1)
    """Below so many records the share is not looked at; a run that keeps nothing is always abandoned."""


class KeptOptions(BaseModel):
    """What a run on an existing dataset compares its articles with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window_days: int = Field(default=30, ge=1)
    """A story without news for so long before the newest article is closed: nothing joins it any more."""


class Config(BaseModel):
    """All options of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    read: ReadOptions = ReadOptions()
    clean: CleanOptions = CleanOptions()
    match: MatchOptions = MatchOptions()
    copies: CopyOptions = CopyOptions()
    stories: StoryOptions = StoryOptions()
    write: WriteOptions = WriteOptions()
    rejects: RejectLimits = RejectLimits()
    kept: KeptOptions = KeptOptions()

    def fingerprint(self) -> str:
        """Sixteen digits that change with any option."""
        return f"{stable_hash(self.model_dump_json()):016x}"


def load_config(path: Path | None) -> Config:
    """Read a TOML file; no file means the defaults.

    Raises:
      ConfigError: the file is missing, is no TOML, or has a key or value that does not fit.
    """
    if path is None:
        return Config()
    try:
        return Config.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {_plain(fault['msg'])}" for fault in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(faults)) from error


def _plain(message: str) -> str:
    if message in {"Extra inputs are not permitted", "Unexpected keyword argument"}:
        return "no such option"
    return message.removeprefix("Value error, ")
