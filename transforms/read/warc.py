"""WARC files, as of Common Crawl's news crawl → raw rows, and a reject for each page that cannot be used.

Records of type `response`, `resource` and `conversion` are to be articles; the others (`request`, `metadata`,
`warcinfo`, `revisit`, …) say something about those, and are only counted. A position is the byte of the file at which
the record begins, as in a CDX index; where a compressed file holds several records in one gzip member or zstd frame
(all of them in a file compressed as a whole), that byte plus the record's number in there.
"""

import re
from collections.abc import Iterator

from apache_beam.metrics import Metrics
from fastwarc.warc import HeaderMap, WarcRecord, WarcRecordType

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import decode_page
from transforms.read.framing import Frame, frames
from transforms.read.http import decoded_body
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.records import Outcome, with_known
from transforms.read.rows import Row, raw_row, reject_row
from transforms.read.window import MOST_HEAD

PASSED_OVER = "passed_over"
"""The counter, in the namespace `read`, of records that say something about others."""

_ARTICLES = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
_PAGES = {"text/html": "html", "application/xhtml+xml": "html", "text/plain": "text"}
_HTTP_OK = 200
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body|!--)", re.IGNORECASE)
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\"';\s]+)", re.IGNORECASE)


def read_warc(item: WorkItem, options: ReadOptions) -> Iterator[Outcome]:
    """Read the records that begin in the item's piece of a WARC file.

    What is damaged is a reject at the place where it begins; the reading goes on at the next record.
    """
    (file,) = item.files
    passed_over, found = Metrics.counter("read", PASSED_OVER), False
    try:
        for frame in frames(item, options):
            found = True
            if outcome := _outcome(frame, file, options.max_article_bytes):
                yield outcome
            else:
                passed_over.inc()
        if not (found or item.start) and item.stop in {-1, file.size}:
            raise Rejected(RejectReason.EMPTY, "no records")  # noqa: TRY301 -- one way out for every whole-file reject
    except Rejected as error:
        yield Outcome(reject_row(file.uri, None, error), rejected=True)


def _outcome(frame: Frame, file: InputFile, most: int) -> Outcome | None:
    """What becomes of a record: a row, a reject, or nothing where it is not meant to be an article."""
    name = None
    try:
        if frame.fault:
            raise frame.fault  # noqa: TRY301 -- one way out for every reject of a record
        record = WarcRecord.from_bytes(frame.data)
        if not record.record_type & _ARTICLES:
            return None
        name = _bare(record.record_id)
        row = raw_row(_article(record, frame.block, most), file.uri, frame.position, {})
    except Rejected as error:
        return Outcome(reject_row(file.uri, frame.position, error, source_id=name), rejected=True)
    except Exception as error:  # noqa: BLE001 -- a bug on one record is reported with it, and the rest goes on
        failed = Rejected(RejectReason.FAILED, f"{type(error).__name__}: {error}")
        return Outcome(reject_row(file.uri, frame.position, failed, source_id=name), rejected=True)
    return Outcome(with_known(row, dict(file.known)))


def _article(record: WarcRecord, block: int, most: int) -> Row:
    """A record's fields, as `raw_row` takes them.

    Raises:
      Rejected: BAD_RECORD, BAD_STATUS, NOT_A_PAGE, TOO_LARGE, EMPTY, BAD_ENCODING.
    """
    url = _bare(record.headers.get("WARC-Target-URI"))
    headers = record.headers
    if (headers.get("Content-Type") or "").lower().startswith("application/http"):
        headers = _answer(record, url)
    body = record.reader.read()
    media = headers.get("Content-Type") or record.headers.get("WARC-Identified-Payload-Type") or ""
    kind = media.partition(";")[0].strip().lower() or ("text/html" if _MARKUP.match(body) else "")
    if kind not in _PAGES:
        raise Rejected(RejectReason.NOT_A_PAGE, f"{url}: of the media type {kind or 'that nothing tells'}")
    if headers is not record.headers:
        encodings = headers.get("Transfer-Encoding") or "", headers.get("Content-Encoding") or ""
        body = decoded_body(body, *encodings, most)
    if block > most + MOST_HEAD or len(body) > most:
        detail = f"{url}: over {most} bytes: raise read.max_article_bytes if it is an article"
        raise Rejected(RejectReason.TOO_LARGE, detail)
    if not body:
        raise Rejected(RejectReason.EMPTY, f"{url}: no body")
    charset = _CHARSET.search(media)
    return {
        "id": _bare(record.record_id),
        "url": url,
        "fetched_at": record.headers.get("WARC-Date"),
        _PAGES[kind]: decode_page(body, charset[1] if charset else None),
    }


def _answer(record: WarcRecord, url: str | None) -> HeaderMap:
    """The head of an HTTP answer that brought a page; the record's reader then stands behind it.

    Raises:
      Rejected: BAD_RECORD, BAD_STATUS.
    """
    try:
        record.parse_http(max_header_len=MOST_HEAD, quirks_mode=True)  # lines may end without CR
        headers = record.http_headers
        status = headers.status_code
    except OSError as error:
        raise Rejected(RejectReason.BAD_RECORD, f"{url}: the head of the HTTP answer: {error}") from error
    if status is None:
        raise Rejected(RejectReason.BAD_RECORD, f"{url}: no head of an HTTP answer")
    if status != _HTTP_OK:
        raise Rejected(RejectReason.BAD_STATUS, f"{url}: answered with status {status}")
    return headers


def _bare(name: str | None) -> str | None:
    """Without the brackets that stand around record ids, and around URLs in WARC/1.0 of some writers."""
    return name.strip().removeprefix("<").removesuffix(">") if name else None
