"""The closed vocabularies that stages and tables share."""

from enum import StrEnum


class Label(StrEnum):
    """What a line of a page or text is."""

    BODY = "body"
    HEADLINE = "headline"
    DESCRIPTION = "description"  # the standfirst
    BYLINE = "byline"
    DATELINE = "dateline"
    CAPTION = "caption"
    CREDIT = "credit"  # "AP contributed to this report": evidence of the source
    FURNITURE = "furniture"


class Relation(StrEnum):
    """How two articles that share text are related; the first four make a copy."""

    SAME = "same"
    ABRIDGED = "abridged"
    VERSION = "version"
    EMBEDDED = "embedded"
    QUOTES = "quotes"

    @property
    def is_copy(self) -> bool:
        """Whether two articles so related belong to one copy."""
        return self is not Relation.QUOTES


class Format(StrEnum):
    """What form an article has; all but reports join stories under rules of their own."""

    REPORT = "report"
    LIVE = "live"
    ROUNDUP = "roundup"
    RECURRING = "recurring"  # weather, markets, listings


LABEL_CODES = {label: code for code, label in enumerate(Label)}
RELATION_CODES = {relation: code for code, relation in enumerate(Relation)}
FORMAT_CODES = {form: code for code, form in enumerate(Format)}
