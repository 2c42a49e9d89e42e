"""Round-ups, live coverage and recurring columns: told by their headline, and kept from tying stories together.

A round-up or a live page speaks of several events, so it may join a story but never connect two (`LATE`). A weather or
market report says tomorrow what it says today in other figures: two of them are one event only when published within a
day of each other (`RECURRING`). The cues are English with the commonest of German, French and Spanish.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.labels import FORMAT_CODES, Format
from transforms.cluster.events import UNKNOWN

UInt8Array = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]

_DAY = "(?:today|tonight|tomorrow|yesterday|(?:mon|tues|wednes|thurs|fri|satur|sun)day|this week(?:end)?)"
_LIVE = r"""
    ^live\b\s*(?:[:|]|-\s) | [:|(-]\s*live\)?$ | \blive[ -]?blog
    | \blive (?:updates?|coverage|feed|ticker|thread|news)\b | \bliveticker\b | \bas it happened\b
    | \bminute[ -]by[ -]minute\b | \brolling (?:coverage|updates)\b | \bupdates? as (?:it|they) happen
    | \ben direct\b\s*[:|-] | ^en vivo\b | \bminuto a minuto\b
"""
_ROUNDUP = rf"""
    \bround-?up\b | \bnews in brief\b | \bat a glance\b | \bin (?:pictures|photos)\b
    | \b(?:photos|pictures|images) of the (?:day|week|month|year)\b
    | \b(?:week|day|month|year) in (?:review|pictures|photos|news|headlines)\b | \bweekend reads?\b
    | \b(?:morning|midday|afternoon|evening|nightly|daily|weekly|weekend|news)
       (?:briefing|brief|digest|bulletin|mix|links|wrap|headlines|roundup)s?\b
    | \b(?:top|main|biggest|leading) (?:\d+ |five |ten )?(?:news )?(?:stories|headlines) (?:of|for|from|on|{_DAY})\b
    | \b{_DAY}'s (?:headlines|papers|front pages|top stories|news)\b | \bwhat the papers say\b
    | \bnewspaper headlines\b | \bfront pages\b | \bthings (?:you need )?to know (?:for|on|about|before)? ?{_DAY}\b
    | \bneed to know (?:for|on)? ?{_DAY}\b | \bwhat to (?:watch|know) {_DAY}\b
    | \b(?:news|politics|sports) (?:quiz|summary|recap)\b | \bopen thread\b | \blinks? of the day\b
    | \bhere's what (?:else )?happened\b | ;.*; | \bnachrichtenüberblick\b | \bdas wichtigste (?:am|vom|in kürze)\b
    | \brevue de presse\b | \bl'essentiel de l'actu | \bresumen de noticias\b
"""
_RECURRING = rf"""
    \bweather (?:forecast|report|outlook|update|watch|{_DAY}|for {_DAY})\b | \bforecast (?:for )?{_DAY}\b
    | ^(?:weather|forecast)\s*[:|-] | \b(?:pollen|surf|traffic|snow|ski) (?:forecast|report|count)\b
    | \bhoroscopes?\b | \bcrossword\b | \bsudoku\b | \bwinning (?:lottery )?numbers\b
    | \blottery (?:numbers|results)\b | \bbox scores?\b | \bscoreboard\b | \btv (?:listings|guide|tonight)\b
    | \bletters to the editor\b | \b(?:quote|word|deal|recipe|cartoon) of the (?:day|week)\b
    | \b(?:on )?this day in history\b | \b(?:obituaries|death notices|police (?:log|blotter)|court (?:list|log))\b
    | \bmarkets? (?:wrap|close|open|report|update|snapshot|today)\b
    | ^(?:markets?|stocks to watch|global markets)\s*[:|-]
    | ^(?:wall street|u\.?s\.? stocks?|stocks|(?:asian|european) (?:shares|stocks|markets)|ftse(?: 100)?|dax|nikkei
      |sensex|nifty|(?:the )?dow|s&p 500|oil(?: prices)?|crude(?: oil)?|gold(?: prices?)?
      |(?:the )?(?:dollar|rupee|pound|euro|yen|bitcoin))(?: \w+)?
       (?:open|close|end|finish|edge|slip|rise|fall|drop|climb|gain|ease|slide|settle|trade|tick|inch|steady|rebound
      |retreat|advance)s?\b
"""


def _pattern(cues: str) -> str:
    """One pattern for Arrow's RE2, which has no verbose mode: cues stand between " | "; a line may begin with "|"."""
    return "|".join(re.sub(r"\n {6}(?=[ |])", "", cue).strip() for cue in re.split(r"\s\| ", cues.strip()))


_CUES = ((Format.RECURRING, _pattern(_RECURRING)), (Format.ROUNDUP, _pattern(_ROUNDUP)), (Format.LIVE, _pattern(_LIVE)))


def formats_of(headlines: pa.Array) -> UInt8Array:
    """The form of each article (FORMAT_CODES), by its headline."""
    lowered = pc.utf8_lower(pc.fill_null(headlines, ""))
    for pattern, plain in (("[\u2013\u2014]", "-"), ("\u2019", "'")):
        lowered = pc.replace_substring_regex(lowered, pattern, plain)
    out = np.full(len(headlines), FORMAT_CODES[Format.REPORT], np.uint8)
    for name, pattern in _CUES:
        out[pc.match_substring_regex(lowered, pattern).to_numpy(zero_copy_only=False)] = FORMAT_CODES[name]
    return out


def is_late(formats: UInt8Array) -> BoolArray:
    """Whether an article joins a story only once the stories are made."""
    return (formats == FORMAT_CODES[Format.ROUNDUP]) | (formats == FORMAT_CODES[Format.LIVE])


def agreements(left: Int32Array, right: Int32Array, formats: UInt8Array, days: Int32Array) -> Float64Array:
    """Factor on the similarity of each pair: 0 for two recurring articles over a day apart, ½ where that is unknown.

    Args:
      left: articles of the pairs.
      right: the others.
      formats: FORMAT_CODES of each article.
      days: latest publication of each article, as in `events.Days`.
    """
    recurring = formats == FORMAT_CODES[Format.RECURRING]
    both = recurring[left] & recurring[right]
    unknown = (days[left] == UNKNOWN) | (days[right] == UNKNOWN)
    apart = np.abs(days[left] - days[right]) > 1
    return np.where(both, np.where(unknown, 0.5, np.where(apart, 0.0, 1.0)), 1.0)
