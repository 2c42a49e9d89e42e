"""The settings of matching, with the measurements behind their defaults."""

import math
from dataclasses import dataclass
from typing import ClassVar

SHINGLE = 5  # words in a gram
GRAM_BUCKETS = 128  # that the grams of a run, and of what it keeps, are counted in
PASSAGE = 8  # words in the passages that fingerprints are taken of; at most twice SHINGLE
FURNITURE_BIT = 0x8000  # of a gram's stored frequency: it is furniture of the article's outlet
LARGEST = FURNITURE_BIT - 1  # frequencies are stored up to here
_LARGEST_SEED = (1 << 32) - 1  # that numpy's generator takes
_REFERENCE_DOCUMENTS = 12_000  # the corpus size at which the weights below were measured


@dataclass(frozen=True)
class SignatureRule:
    """What a signature was made by; signatures of different rules must never be compared."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    scheme: str = "affine32"  # datasketch's name of the hash family
    seed: int = 1
    permutations: int = 256
    shingle: str = "fold-words-5"  # how text becomes grams
    version: int = 1

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        for name, only in (("scheme", "affine32"), ("shingle", "fold-words-5")):  # what the kernels do
            if getattr(self, name) != only:
                raise ValueError(f"{name} must be {only!r}, not {getattr(self, name)!r}")
        if not 0 <= self.seed <= _LARGEST_SEED:
            raise ValueError(f"seed must be within 0..{_LARGEST_SEED}, not {self.seed}")
        for name in ("permutations", "version"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")

    def __str__(self) -> str:
        """Write the rule as it is stored beside signatures."""
        return f"minhash/{self.scheme}/seed={self.seed}/perm={self.permutations}/{self.shingle}/v{self.version}"


@dataclass(frozen=True)
class MatchOptions:
    """How articles are signed, paired and verified.

    Grams in more than `max_frequency` articles weigh nothing. It must stay above the distinct texts of the largest
    copy, which depend on the outlets and not on the corpus: a cap that grew with it let recurring reports weigh.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    signature: SignatureRule = SignatureRule()
    bands: int = 128  # divides the permutations; two rows each: set for recall
    furniture_articles: int = 3  # a gram in so many articles of one outlet is its furniture
    max_frequency: int = 100  # of a gram that counts as evidence
    min_evidence: int = 10  # grams; an article with fewer has no signature
    quote_words: int = 25  # a shared run so long is reported, copy or not
    hot_articles: int = 200  # articles under one key; above it each is paired with some others, drawn by key
    key_buckets: int = 16  # that candidates are found in; a power of two
    passages: int = 3  # shared passages kept on a pair, the longest first
    passage_least: int = 12  # words; a shorter run is not worth showing
    passage_words: int = 120  # a longer passage is cut there

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        least = {
            "bands": 1,
            "furniture_articles": 2,
            "max_frequency": 2,
            "min_evidence": 1,
            "quote_words": PASSAGE,
            "hot_articles": 1,
            "key_buckets": 1,
            "passages": 0,
            "passage_least": 1,
            "passage_words": 1,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be {bound} or more, not {getattr(self, name)}")
        if self.signature.permutations % self.bands:
            raise ValueError(f"bands must divide the {self.signature.permutations} permutations, {self.bands} does not")
        if self.key_buckets & (self.key_buckets - 1):
            raise ValueError(f"key_buckets must be a power of two, not {self.key_buckets}")

    @property
    def frequency_cap(self) -> int:
        """Largest frequency of a gram that counts as evidence; furniture is above it."""
        return min(LARGEST - 1, self.max_frequency)


def gram_weights(articles: int, cap: int, largest: int) -> list[float]:
    """Weight of a gram by its frequency, 0..`largest`.

    ln(N/df) up to the cap, else 0, on the scale of a 12,000-article corpus whatever the corpus, so that thresholds on
    sums of weights keep their meaning.
    """
    corpus = max(articles, _REFERENCE_DOCUMENTS)
    scale = math.log(_REFERENCE_DOCUMENTS) / math.log(corpus)
    return [scale * math.log(corpus / max(1, df)) if df <= cap else 0.0 for df in range(largest + 1)]
