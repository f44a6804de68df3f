"""S3Location: a bucket, and a key or a prefix of keys in it."""

import re
from dataclasses import dataclass

from recording_worker.errors import ConfigError

S3_SCHEME = "s3://"

_URL = re.compile(rf"{S3_SCHEME}(?P<bucket>[^/?#]+)(?:/(?P<key>[^?#]*))?")


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket, and a key or a prefix of keys in it. Its text is the s3:// URL."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> "S3Location":
        """Parse `s3://BUCKET[/KEY]`. Raises ConfigError for anything else."""
        found = _URL.fullmatch(url)
        if found is None:
            raise ConfigError(f"{url} is not s3://BUCKET or s3://BUCKET/KEY")
        return cls(found["bucket"], found["key"] or "")

    @property
    def name(self) -> str:
        """The key's last part."""
        return self.key.rpartition("/")[2]

    def below(self, key: str) -> "S3Location":
        """Return the location of this key below this one."""
        return S3Location(self.bucket, "/".join(filter(None, (self.key.strip("/"), key))))

    def __str__(self) -> str:
        return f"{S3_SCHEME}{self.bucket}/{self.key}" if self.key else f"{S3_SCHEME}{self.bucket}"
