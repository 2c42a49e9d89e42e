"""An object store, as far as a dataset needs one: S3, and what speaks as it does.

Objects are created once and never changed, except for the one that points readers at the newest snapshot. `create` is
a conditional put (`If-None-Match: *`): of two that create one name, the store refuses the second. Endpoint, region and
credentials are those of the usual AWS variables and files.
"""

import contextlib
import datetime as dt
import functools
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import CopydeskError, StorageFailed, UsageError

LANES = 8  # files at a time
_PARTS = 4  # of a large file at a time
_TRIES = 5  # of a put that the store refuses only because another one is under way
_CONFIGURED = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_DELETED_AT_ONCE = 1000  # the most that S3 takes
_BY_THE_USER = {400, 401, 403, 301, 404, 405, 501}  # statuses that trying again does not change


class Entry(NamedTuple):
    """One object, as a listing shows it."""

    key: str  # below the prefix
    bytes: int
    modified: dt.datetime  # by the store's clock


class Bucket:
    """The objects below one prefix. Every method raises UsageError or StorageFailed when the store fails."""

    def __init__(self, uri: str) -> None:
        """Name the prefix; nothing is asked of the store yet.

        Args:
          uri: s3://bucket/prefix

        Raises:
          UsageError: it names no bucket and prefix, or the client is not installed.
        """
        found = re.fullmatch(r"s3://([^/]+)/([^/].*)", uri.rstrip("/"))
        if not found:
            raise UsageError(f"{uri}: name a bucket and a prefix, as in s3://bucket/news")
        self.uri = uri.rstrip("/")
        self._bucket, self._prefix = found[1], f"{found[2]}/"
        settings = frozenset(each for each in os.environ.items() if each[0].startswith("AWS_"))
        self._client, self._parts = _client(os.getpid(), settings)

    @property
    def endpoint(self) -> str:
        """The address that is spoken to."""
        return str(self._client.meta.endpoint_url)

    def entries(self, folder: str) -> list[Entry]:
        """The objects of a folder, by name."""
        with self._explained(folder):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/"
            )
            found = [each for page in pages for each in page.get("Contents", ())]
        return [Entry(each["Key"].removeprefix(self._prefix), each["Size"], each["LastModified"]) for each in found]

    def read(self, key: str) -> tuple[bytes, str]:
        """An object's content, and its tag for `swap`.

        Raises:
          FileNotFoundError: there is none.
        """
        with self._explained(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            with answer["Body"] as body:
                return body.read(), answer["ETag"]

    def download(self, key: str, path: Path) -> None:
        """Fetch an object into a file.

        Raises:
          FileNotFoundError: there is none.
          OSError: the disk refused.
        """
        with self._explained(key):
            self._client.download_file(self._bucket, self._prefix + key, str(path), Config=self._parts)

    def upload(self, files: Iterable[tuple[Path, str]]) -> None:
        """Put files under names that nobody else uses, several at a time."""
        with ThreadPoolExecutor(LANES) as lanes:
            for _ in lanes.map(lambda file: self._upload(*file), list(files)):
                pass

    def create(self, key: str, content: bytes) -> None:
        """Put an object, unless its name is taken.

        An answer that got lost on its way is asked for again, and the second answer is then that the name is taken:
        whoever took it is known by the content.

        Raises:
          FileExistsError: the name is taken, by other content.
        """
        try:
            self._put(key, content, IfNoneMatch="*")
        except FileExistsError:
            if self.read(key)[0] != content:
                raise

    def swap(self, key: str, content: bytes, tag: str) -> None:
        """Change an object, unless another one did since its tag was read.

        Raises:
          FileExistsError: another one did.
          FileNotFoundError: it is gone.
        """
        self._put(key, content, IfMatch=tag)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; what is not there is no error."""
        names = [{"Key": self._prefix + key} for key in keys]
        for at in range(0, len(names), _DELETED_AT_ONCE):
            with self._explained(""):
                chosen = {"Objects": names[at : at + _DELETED_AT_ONCE], "Quiet": True}
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=chosen)
            for error in answer.get("Errors", ()):
                raise StorageFailed(f"{self.uri}: {error['Key']}: cannot be deleted: {error['Code']}")

    def now(self) -> dt.datetime:
        """The store's clock: ages of objects are told by no other."""
        with self._explained(""):
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])

    def probe(self) -> None:
        """See that the store keeps its word: what is taken or was changed since cannot be put again.

        Raises:
          UsageError: it lets such a put through, so that runs could overwrite each other's commits.
        """
        key = f"staging/probe-{uuid.uuid4().hex}"
        self.create(key, b"first")
        try:
            tag = self.read(key)[1]
            self.swap(key, b"second", tag)
            for condition in ({"IfNoneMatch": "*"}, {"IfMatch": tag}):
                with contextlib.suppress(FileExistsError):
                    self._put(key, b"third", **condition)
                    raise UsageError(
                        f"{self.uri}: {self.endpoint} heeds no conditions (If-None-Match, If-Match): two runs at once "
                        "could lose each other's work; use a store with conditional puts, or a local folder"
                    )
        finally:
            self.delete([key])

    def _upload(self, path: Path, key: str) -> None:
        with self._explained(key):
            self._client.upload_file(str(path), self._bucket, self._prefix + key, Config=self._parts)

    def _put(self, key: str, content: bytes, **condition: str) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with self._explained(key):
                    self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content, **condition)
            except _Busy:
                if left:
                    continue
                raise
            return

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Turn the client's errors into ours, and answers that are no failure into those that a disk would give."""
        import boto3.exceptions  # noqa: PLC0415 -- an extra
        import botocore.exceptions  # noqa: PLC0415

        place = f"{self.uri}/{key}".rstrip("/")
        try:
            yield
        except (botocore.exceptions.BotoCoreError, boto3.exceptions.Boto3Error, botocore.exceptions.ClientError) as e:
            error: BaseException = e
            while not isinstance(error, botocore.exceptions.ClientError) and error.__context__ is not None:
                error = error.__context__  # a transfer wraps what the store said
            if isinstance(error, botocore.exceptions.ClientError):
                raise _meaning(place, error.response) from error
            if isinstance(e, (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError)):
                raise UsageError(f"{place}: {e}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile") from e
            raise StorageFailed(f"{place}: {self.endpoint} cannot be reached or broke off ({e}): run it again") from e


class _Busy(StorageFailed):
    """The store was putting the same name for somebody else, and says to try again."""


def _meaning(place: str, answer: dict[str, Any]) -> Exception:
    """What an answer that refuses means."""
    status, code = answer["ResponseMetadata"]["HTTPStatusCode"], str(answer["Error"].get("Code"))
    says = f"{place}: {code} ({answer['Error'].get('Message', 'the store says no more')})"
    if status == 412:  # noqa: PLR2004 -- Precondition Failed
        return FileExistsError(says)
    if status == 409 and code == "ConditionalRequestConflict":  # noqa: PLR2004 -- Conflict
        return _Busy(f"{says}: run it again")
    if code in {"NoSuchKey", "404"}:
        return FileNotFoundError(says)
    if status in _BY_THE_USER:
        return UsageError(f"{says}: see to the bucket's name and rights, the endpoint and the credentials")
    return StorageFailed(f"{says}: see to the store, and run it again")


@functools.cache
def _client(process: int, settings: frozenset[tuple[str, str]]) -> Any:  # noqa: ARG001 -- a child has its own
    """The client, which takes a third of a second to make, and how it moves large files."""
    try:
        import boto3  # noqa: PLC0415 -- an extra
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("s3:// needs the package boto3: install copydesk[s3]") from error
    is_other = any(value and name in _CONFIGURED for name, value in settings)
    style = {"addressing_style": "path"} if is_other else None  # there may be no bucket.localhost
    retries = {"mode": "standard", "total_max_attempts": _TRIES}
    try:
        config = Config(retries=retries, s3=style, max_pool_connections=LANES * _PARTS)
        return boto3.session.Session().client("s3", config=config), TransferConfig(max_concurrency=_PARTS)
    except Exception as error:  # a profile that is not there, an endpoint that is no address
        raise CopydeskError(f"the S3 client cannot be made: {error}") from error
