"""What lands: the tables of a dataset, every column with its id and meaning. This is the contract.

Times are UTC microseconds; ids are sixteen hexadecimal digits (see `ids`). What may change is in `contract`.
"""

from typing import Any

import pyarrow as pa

from schemas.contract import CONTRACT_VERSION, Column, Table

_TIME = pa.timestamp("us", "UTC")

MEMBER = pa.struct(
    [
        pa.field("article_id", pa.string(), nullable=False),
        pa.field("outlet", pa.string()),
        pa.field("relation", pa.string()),
        pa.field("similarity", pa.float32()),
    ]
)

STORY_DAY = pa.struct(
    [
        pa.field("day", pa.date32(), nullable=False),  # UTC
        pa.field("n_articles", pa.int32(), nullable=False),
        pa.field("n_new_texts", pa.int32(), nullable=False),  # texts first published that day
        pa.field("n_outlets", pa.int32(), nullable=False),  # known outlets that published that day
    ]
)

ARTICLES = Table(
    "articles",
    "One row for each article that was kept, without its furniture.",
    (
        Column(
            1,
            "article_id",
            pa.string(),
            "Id of the article, derived from its address or source id and its content.",
            False,
        ),
        Column(
            2,
            "copy_id",
            pa.string(),
            "The copy that the article belongs to; articles of one copy carry the same text.",
            False,
        ),
        Column(
            3, "story_id", pa.string(), "The story that the article belongs to; null when stories are switched off."
        ),
        Column(
            4,
            "story_score",
            pa.float32(),
            "Mean similarity of the article's copy to the rest of its story; 1 when alone. As of the run that last "
            "wrote the row: articles that join the story later do not change it.",
        ),
        Column(
            5,
            "copy_relation",
            pa.string(),
            "To the copy's representative: same, abridged, version or embedded; null for it and for lone articles.",
        ),
        Column(
            6,
            "copy_similarity",
            pa.float32(),
            "Score of the pair with the copy's representative, 0 to 1; null where it is next to nothing or not known.",
        ),
        Column(
            7, "outlet", pa.string(), "The publisher: a registrable domain or a given name; null when nothing says so."
        ),
        Column(8, "url", pa.string(), "Canonical address."),
        Column(9, "headline", pa.string(), "Headline."),
        Column(10, "description", pa.string(), "Standfirst or summary given by the outlet."),
        Column(11, "authors", pa.list_(pa.string()), "Names of the authors."),
        Column(12, "date_published", _TIME, "When it was published; null when that is unknown, see date_source."),
        Column(13, "date_source", pa.string(), "Where date_published came from, or why there is none."),
        Column(14, "date_modified", _TIME, "When the outlet last changed it."),
        Column(15, "language", pa.string(), "Language as given, else declared unless the text contradicts, BCP 47."),
        Column(16, "section", pa.string(), "The outlet's section."),
        Column(17, "keywords", pa.list_(pa.string()), "The outlet's keywords."),
        Column(18, "text", pa.string(), "Body, a paragraph a line, without furniture.", False),
        Column(19, "captions", pa.list_(pa.string()), "Picture captions, in page order."),
        Column(20, "credits", pa.list_(pa.string()), "Lines that credit an agency or contributor."),
        Column(
            21,
            "words",
            pa.int32(),
            "Words in text: runs between white space, or in a line of Han or kana its characters / 2.5.",
            False,
        ),
        Column(
            22,
            "removed_lines",
            pa.int32(),
            "Lines of the page that are not in text; they are in the table removed.",
            False,
        ),
        Column(
            23,
            "quality_flags",
            pa.list_(pa.string()),
            "What a reader should know, for example that a rule had to be undone.",
        ),
        Column(24, "source_uri", pa.string(), "The file or stream it was read from.", False),
        Column(25, "source_id", pa.string(), "The id it had at its source, else the file's name without ending."),
        Column(26, "fetched_at", _TIME, "When it was fetched, if the source says so."),
        Column(
            27,
            "story_runner_up_id",
            pa.string(),
            "The other story that the article's copy is linked to most; null when it has no link to any. As of the run "
            "that last wrote the row: it may be an alias since, also of the article's own story.",
        ),
        Column(
            28,
            "story_runner_up_score",
            pa.float32(),
            "Mean similarity of the article's copy to its runner-up, on the scale of story_score.",
        ),
        Column(
            29,
            "format",
            pa.string(),
            "live, roundup or recurring, which join stories under rules of their own; null for all else.",
        ),
        Column(
            30,
            "version",
            pa.int32(),
            "1 for the first article of its page, one more for each later version of it; null before 1.2.",
        ),
        Column(
            31, "supersedes", pa.string(), "The article_id of the version before; null for the first, or before 1.2."
        ),
    ),
    sort=("date_published", "outlet", "article_id"),
    dictionary=("outlet", "language", "section", "copy_relation", "date_source", "source_uri", "format"),
)

COPIES = Table(
    "copies",
    "One row for each text that several articles carry.",
    (
        Column(1, "copy_id", pa.string(), "Id of the copy.", False),
        Column(2, "story_id", pa.string(), "The story that it belongs to; null when stories are switched off."),
        Column(
            3,
            "representative_id",
            pa.string(),
            "The article that stands for the copy: the earliest with a known date, then the longest.",
            False,
        ),
        Column(4, "headline", pa.string(), "Headline of the representative."),
        Column(5, "n_articles", pa.int32(), "How many articles carry it, at least 2.", False),
        Column(6, "n_outlets", pa.int32(), "How many known outlets carry it.", False),
        Column(7, "outlets", pa.list_(pa.string()), "The known outlets, in alphabetical order."),
        Column(8, "first_outlet", pa.string(), "Outlet of the earliest dated article."),
        Column(9, "first_published", _TIME, "Earliest known date_published."),
        Column(10, "last_published", _TIME, "Latest known date_published."),
        Column(11, "weakest_link", pa.float32(), "Lowest average link at which the copy was joined.", False),
        Column(
            12,
            "members",
            pa.list_(MEMBER),
            "The articles, with their relation and similarity to the representative.",
            False,
        ),
        Column(13, "source", pa.string(), "Likely source: an agency or the first outlet; null when nothing says so."),
        Column(
            14,
            "source_evidence",
            pa.string(),
            "credit (articles name the agency in dateline, credits or outlet) or earliest (the first dated outlet).",
        ),
        Column(
            15,
            "source_confidence",
            pa.float32(),
            "Share of the articles that name the agency; or that have a date, divided among outlets of the same time.",
        ),
    ),
    sort=("first_published", "copy_id"),
    dictionary=("first_outlet", "source", "source_evidence"),
)

STORIES = Table(
    "stories",
    "One row for each event, across outlets and wordings.",
    (
        Column(1, "story_id", pa.string(), "Id of the story.", False),
        Column(2, "headline", pa.string(), "Headline of the representative."),
        Column(3, "lead", pa.string(), "First paragraph of the representative."),
        Column(
            4,
            "representative_id",
            pa.string(),
            "The article that stands for the story: the representative of the copy with the highest story_score that "
            "is no round-up or live page; of equal ones the earliest, then the one of the smallest copy_id.",
            False,
        ),
        Column(5, "n_articles", pa.int32(), "Articles in the story.", False),
        Column(6, "n_copies", pa.int32(), "Distinct texts in the story.", False),
        Column(7, "n_outlets", pa.int32(), "Known outlets in the story.", False),
        Column(8, "outlets", pa.list_(pa.string()), "The known outlets, in alphabetical order."),
        Column(9, "first_outlet", pa.string(), "Outlet of the earliest dated article."),
        Column(10, "first_published", _TIME, "Earliest known date_published."),
        Column(11, "last_published", _TIME, "Latest known date_published."),
        Column(12, "cohesion", pa.float32(), "Mean story_score of its copies.", False),
        Column(
            13, "weakest_link", pa.float32(), "Lowest link at which the story was joined; null when it is one copy."
        ),
        Column(
            14,
            "version",
            pa.int32(),
            "The number of the snapshot that last made or changed it.",
        ),
        Column(
            15,
            "status",
            pa.string(),
            "open, or closed when last_published is over 30 days before the newest article; null without a date.",
        ),
        Column(
            16, "last_new_published", _TIME, "When the latest of its texts was first published: later ones are copies."
        ),
        Column(17, "timeline", pa.list_(STORY_DAY), "Its days, in order; articles without a date are left out."),
        Column(
            18,
            "names",
            pa.list_(pa.string()),
            "Up to 8 names of people, places and bodies, by how many of its texts have them.",
        ),
        Column(19, "terms", pa.list_(pa.string()), "Up to 8 words that tell it from other news, the heaviest first."),
    ),
    sort=("first_published", "story_id"),
    dictionary=("first_outlet", "status"),
)

PAIRS = Table(
    "pairs",
    "One row for each two articles that were compared and share text: copies, and quotes that make no copy.",
    (
        Column(1, "left_id", pa.string(), "One article; left_id is smaller than right_id.", False),
        Column(2, "right_id", pa.string(), "The other article.", False),
        Column(
            3,
            "relation",
            pa.string(),
            "same, abridged, version, embedded (copies) or quotes (a shared run of 25 words or more), as the copies "
            "were when the two were compared; copy_id of `articles` says how they are.",
            False,
        ),
        Column(4, "score", pa.float32(), "What clustering uses, 0 to 1.", False),
        Column(
            5,
            "left_coverage",
            pa.float32(),
            "Weighted share of the left narrative that the right one has, 0 to 1.",
            False,
        ),
        Column(
            6,
            "right_coverage",
            pa.float32(),
            "Weighted share of the right narrative that the left one has, 0 to 1.",
            False,
        ),
        Column(
            7,
            "jaccard",
            pa.float32(),
            "Jaccard similarity of the word 5-grams, estimated from the MinHash signatures.",
            False,
        ),
        Column(
            8,
            "shared_words",
            pa.int32(),
            "Words in shared passages, of the article shown, as matching counts them: runs of letters and digits, each "
            "character of a script without spaces; more than `words` of `articles` counts.",
            False,
        ),
        Column(9, "longest_run", pa.int32(), "Words of the longest shared passage, counted likewise.", False),
        Column(
            10,
            "passages",
            pa.list_(pa.string()),
            "Shared passages, longest first: as the left article has them, or the right one if that came later.",
            False,
        ),
    ),
    sort=("left_id", "right_id"),
    dictionary=("relation",),
)

REMOVED = Table(
    "removed",
    "One row for each line that is not in an article's text; text and removed rebuild the page's lines.",
    (
        Column(1, "article_id", pa.string(), "The article.", False),
        Column(2, "outlet", pa.string(), "Its outlet."),
        Column(3, "line", pa.int32(), "Number of the line among the page's lines, from 0.", False),
        Column(4, "text", pa.string(), "The line.", False),
        Column(
            5, "label", pa.string(), "headline, description, byline, dateline, caption, credit or furniture.", False
        ),
        Column(6, "rule", pa.string(), "Why it was taken out.", False),
    ),
    sort=("article_id", "line"),
    dictionary=("outlet", "label", "rule"),
)

REJECTS = Table(
    "rejects",
    "One row for each input that could not be used.",
    (
        Column(1, "source_uri", pa.string(), "The file or stream.", False),
        Column(2, "source_position", pa.int64(), "Number of the record in it, from 0; null for the whole file."),
        Column(3, "source_id", pa.string(), "The id that the record gave itself, if it could be read."),
        Column(4, "stage", pa.string(), "The stage that refused it.", False),
        Column(5, "reason", pa.string(), "Why, in one word of a closed list.", False),
        Column(6, "detail", pa.string(), "What was wrong, where, and what to do.", False),
        Column(7, "sample", pa.string(), "The first 200 characters of what was refused."),
    ),
    sort=("source_uri", "source_position"),
    dictionary=("source_uri", "stage", "reason"),
)

ALIASES = Table(
    "aliases",
    "One row for each id of a copy or story that was merged into another; follow them until there is none.",
    (
        Column(
            1,
            "alias_id",
            pa.string(),
            "The id that is gone; no copy or story carries it again, unless its articles come back "
            "after a rebuild without them.",
            False,
        ),
        Column(2, "kind", pa.string(), "copy or story.", False),
        Column(3, "id", pa.string(), "The older copy or story that it was merged into.", False),
        Column(4, "snapshot", pa.int32(), "The snapshot that merged them.", False),
    ),
    sort=("alias_id", "kind"),
    dictionary=("kind",),
)

TABLES = {table.name: table for table in (ARTICLES, COPIES, STORIES, PAIRS, REMOVED, REJECTS, ALIASES)}


def describe() -> dict[str, Any]:
    """The contract as plain data, for `copydesk schema --json`."""
    tables = [
        {
            "name": table.name,
            "description": table.description,
            "sort": list(table.sort),
            "columns": [
                {
                    "id": c.field_id,
                    "name": c.name,
                    "type": str(c.type),
                    "nullable": c.nullable,
                    "description": c.description,
                }
                for c in table.columns
            ],
        }
        for table in TABLES.values()
    ]
    return {"contract": CONTRACT_VERSION, "partition": "date", "tables": tables}
