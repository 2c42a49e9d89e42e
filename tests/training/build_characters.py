"""Build the table of characters by which words are split and folded.

    python -m tests.training.build_characters transforms/match/data/characters.npz

The table pins the Unicode version of the Python that built it: rebuilding it under another one can change words, and
with them signatures, so `SignatureRule.version` must change too.
"""

import argparse
import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transforms.match import words

UNSPACED = (  # scripts that write no spaces: a word a character
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),
)
MARKS = {
    words.APOSTROPHE: "'\u2019\u02bc\uff07",
    words.OPEN: "\u201c\u00ab\u300c\u300e\u275d",
    words.CLOSE: "\u201d\u00bb\u300d\u300f\u275e",
    words.LOW: "\u201e",
    words.TOGGLE: '"\uff02',
    words.BREAK: "\n\r\u2028\u2029",
    words.COLON: ":\uff1a",
}


def character_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Class of each code point, and up to four 16-bit units of what it folds to, packed from the low end."""
    classes = np.zeros(words.TABLE, np.uint8)
    folded = np.zeros(words.TABLE, np.uint64)
    for point in range(words.TABLE):
        character = chr(point)
        category = unicodedata.category(character)
        if is_written(character):
            plain = unicodedata.normalize("NFKD", character).casefold()
            units = [ord(c) for c in plain if is_written(c) and ord(c) <= 0xFFFF][:4]
            kind = words.NUMBER if category[0] == "N" else words.WORD
            classes[point] = kind if units else words.OTHER
            folded[point] = sum(unit << (16 * k) for k, unit in enumerate(units))
        elif category in ("Mn", "Me", "Cf"):
            classes[point] = words.MARK
        elif category == "Zs" or character == "\t":
            classes[point] = words.SPACE
    for low, high in UNSPACED:
        part = classes[low : high + 1]
        part[part == words.WORD] = words.SINGLE
    for kind, characters in MARKS.items():
        classes[[ord(c) for c in characters]] = kind
    return classes, folded


def is_written(character: str) -> bool:
    """Whether a character is part of words: letters, numbers, spacing marks."""
    category = unicodedata.category(character)
    return category[0] in "LN" or category == "Mc"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    classes, folded = character_tables()
    np.savez_compressed(parser.parse_args().output, classes=classes, folded=folded)


if __name__ == "__main__":
    main()
