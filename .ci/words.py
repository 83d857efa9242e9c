"""Fail if a text file of the repository contains a phrase of the banned list.

Usage: ``python .ci/words.py [FILE ...]``. Without files, all files under version
control are checked. CONTRIBUTING.md has the glossary with the terms to use.
"""

import re
import subprocess
import sys
from pathlib import Path

# Regular expression: what to write. A space matches a line break and a comment sign.
BANNED = {
    r"anew": "again, from scratch, in each epoch",
    r"(comes?|came) along": "bundled, pretrained",
    r"hangs? together": "connected component, fragment",
    r"surest|foremost": "most confident, first",
    r"how sure": "confidence",
    r"rightly": "correctly",
    r"whose ink": "segmentation, bounding box",
    r"lines? of writing": "text line",
    r"squared paper": "grid paper",
    r"slanted": "sheared",
    r"but for": "except",
    r"beside": "next to, compared with, in addition to",
    r"(goes|go|went|going) on (from|training)": "continue, warm start, fine-tune",
    r"kept aside": "held out",
    r"in vain": "without effect",
    r"by heart": "overfit",
    r"t(old|ell|ells|elling)( [a-z]+){0,3} apart": "split, distinguish",
    r"is no (?!longer)[a-z]+": "is not a",
    r"are none": "are not",
    r"for ever": "without end, indefinitely",
    r"refus(e|es|ed|al|ing)": "raise, reject",
    r"damaged?": "corrupt",
    r"cut short": "truncated",
    r'(#|""")\s?What': "an imperative verb, or a noun",
}
# (File, exact phrase): the reason why it stays.
ALLOWED: dict[tuple[str, str], str] = {}
# Pictures, arrays, legal text, and this list.
SKIPPED = (".jpg", ".png", ".npz", ".ico", "LICENSE", ".ci/words.py")


def findings(name: str) -> list[str]:
    """Return a message for each banned phrase in a file."""
    text = Path(name).read_text(encoding="utf-8")
    found = []
    for pattern, advice in BANNED.items():
        spaced = pattern.replace(" ", r"[\s#]+")
        expression = rf"(?<!\w)(?:{spaced})(?!\w)"
        for match in re.finditer(expression, text, re.IGNORECASE):
            phrase = " ".join(match[0].split())
            if (name, phrase) not in ALLOWED:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: {phrase!r}. Write: {advice}")
    return found


def main() -> int:
    """Check the files, print the findings and return the exit status."""
    files = sys.argv[1:]
    if not files:
        files = subprocess.check_output(["git", "ls-files"], text=True).split()
    prose = [name for name in files if not name.endswith(SKIPPED)]
    found = [message for name in prose for message in findings(name)]
    print(*found, sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
