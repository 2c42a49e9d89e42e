"""Build the background table of the stories: document frequencies of stems, as hashes.

usage: python -m tests.training.build_background ARTICLES.jsonl[.gz] transforms/cluster/data/background.npz

Rows carry `title` (or `headline`) and `text`. Terms of a single article are left out.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa

from transforms.cluster import terms, vocabulary
from transforms.cluster.similarity import LEAD_TERMS


def main() -> None:
    """Read, count, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("articles", type=Path)
    parser.add_argument("table", type=Path)
    arguments = parser.parse_args()
    opener = gzip.open if arguments.articles.suffix == ".gz" else open
    with opener(arguments.articles, "rb") as file:
        rows = [orjson.loads(line) for line in file]
    titles = terms.tokenise(pa.array([row.get("title") or row.get("headline") for row in rows], pa.string()))
    texts = terms.tokenise(pa.array([row["text"] for row in rows], pa.string()))
    leads, bodies = [], []
    for i in range(len(rows)):
        title = titles.hashes[titles.offsets[i] : titles.offsets[i + 1]]
        text = texts.hashes[texts.offsets[i] : texts.offsets[i + 1]]
        leads.append(np.unique(np.concatenate([title, text[:LEAD_TERMS]])))
        bodies.append(np.unique(np.concatenate([title, text])))
    found, body_df = np.unique(np.concatenate(bodies), return_counts=True)
    in_lead, counts = np.unique(np.concatenate(leads), return_counts=True)
    lead_df = np.zeros(len(found), np.int64)
    lead_df[np.searchsorted(found, in_lead)] = counts
    keep = body_df >= vocabulary.MIN_DF
    np.savez_compressed(
        arguments.table,
        terms=found[keep],
        lead_df=lead_df[keep].astype(np.uint16),
        body_df=body_df[keep].astype(np.uint16),
        articles=np.int64(len(rows)),
    )
    print(f"{keep.sum()} of {len(found)} terms over {len(rows)} articles: {arguments.table.stat().st_size} bytes")


if __name__ == "__main__":
    main()
