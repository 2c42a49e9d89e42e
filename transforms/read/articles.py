"""ReadArticles: work items → raw blocks, and a reject for everything that could not be read."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from schemas.barriers import Spread
from schemas.blocks import BLOCK_BYTES, BLOCK_ROWS, RAW, REJECTED, open_batches
from schemas.errors import Rejected, RejectReason
from transforms.read.decode import COMPRESSIONS, decode_page, decode_text, read_all
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.messages import read_kafka
from transforms.read.records import Outcome, read_jsonl, read_parquet, with_known
from transforms.read.rows import Row, raw_table, reject_row
from transforms.read.warc import read_warc

REJECTS = "rejects"
RAW_BLOCKS = "raw"
"""The format of work items whose files are blocks of RAW or REJECTED that were read and stored before."""


@dataclass(eq=False)
class ReadArticles(beam.PTransform):  # type: ignore[misc]
    """Work items → blocks of RAW (main output) and of REJECTED (output `rejects`)."""

    options: ReadOptions

    def expand(self, items: beam.PCollection) -> Any:  # Beam takes a named type for an element's
        """Wire."""
        return (
            items
            | "Spread" >> Spread(WorkItem)
            | "Read" >> beam.FlatMap(tagged_blocks, self.options).with_outputs(REJECTS, main="raw")
        )


def tagged_blocks(item: WorkItem, options: ReadOptions) -> Iterator[Any]:
    """Blocks of raw rows as they fill, blocks of rejects under their tag."""
    stored = (open_batches(file.uri).read_all() for file in item.files)
    for table in stored if item.format == RAW_BLOCKS else blocks_of(read_item(item, options)):
        yield beam.pvalue.TaggedOutput(REJECTS, table) if table.schema.equals(REJECTED) else table


def read_item(item: WorkItem, options: ReadOptions) -> Iterator[Outcome]:
    """Read all that a work item names."""
    outcomes = _outcomes(item, options)
    if not item.name:
        return outcomes
    return (outcome._replace(row=outcome.row | {"source_uri": item.name}) for outcome in outcomes)


def _outcomes(item: WorkItem, options: ReadOptions) -> Iterator[Outcome]:
    if item.format == "jsonl":
        return read_jsonl(item, options)
    if item.format == "parquet":
        return read_parquet(item, options)
    if item.format == "warc":
        return read_warc(item, options)
    if item.format == "kafka":
        return read_kafka(item, options)
    return (_read_file(file, item.format, options) for file in item.files)


def blocks_of(outcomes: Iterable[Outcome]) -> Iterator[pa.Table]:
    """Gather rows into tables of RAW of at most BLOCK_ROWS rows and about BLOCK_BYTES, rejects into REJECTED."""
    rows: list[Row] = []
    rejects: list[Row] = []
    size = 0
    for outcome in outcomes:
        if outcome.rejected:
            rejects.append(outcome.row)
            continue
        rows.append(outcome.row)
        size += len(outcome.row["text"] or outcome.row["html"] or "")
        if len(rows) == BLOCK_ROWS or size >= BLOCK_BYTES:
            yield raw_table(rows)
            rows, size = [], 0
    if rows:
        yield raw_table(rows)
    if rejects:
        yield pa.Table.from_pylist(rejects, schema=REJECTED)


def _read_file(file: InputFile, kind: str, options: ReadOptions) -> Outcome:
    """One article a file: text or page."""
    name = _stem(file.uri)
    try:
        data = read_all(file.uri, options.max_article_bytes)
        content = decode_text(data) if kind == "text" else decode_page(data)
    except Rejected as error:
        return Outcome(reject_row(file.uri, None, error, source_id=name), rejected=True)
    except Exception as error:  # noqa: BLE001 -- a bug on one file is reported with it, and the rest goes on
        failed = Rejected(RejectReason.FAILED, f"{type(error).__name__}: {error}")
        return Outcome(reject_row(file.uri, None, failed, source_id=name), rejected=True)
    row: Row = dict.fromkeys(RAW.names)
    row |= {"source_uri": file.uri, "position": 0, "source_id": name, "headline_inline": kind == "text"}
    row["text" if kind == "text" else "html"] = content
    return Outcome(with_known(row, dict(file.known)))


def _stem(uri: str) -> str:
    """The file's name without its endings."""
    name = os.path.basename(uri)  # noqa: PTH119 -- may be a URI
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    return os.path.splitext(name)[0]  # noqa: PTH122 -- likewise
