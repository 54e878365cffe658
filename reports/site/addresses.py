"""Names of the pages: plain letters, digits and hyphens, whatever a user calls a study, a method or a run."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field

LONGEST = 60
"""Maximum number of characters of a name before its digest."""


@dataclass
class Addresses:
    """Names given to pages; two texts never share one, even where a file system ignores case."""

    given: dict[tuple[str, str], str] = field(default_factory=dict)
    """Names by kind of page and text."""

    def of(self, kind: str, text: str) -> str:
        """Return the name of a page without its suffix; the same text always gets the same name.

        >>> addresses = Addresses()
        >>> addresses.of("studies", "rho on mtd"), addresses.of("studies", "RHO on mtd")
        ('rho-on-mtd', 'rho-on-mtd-d0b65a')
        >>> addresses.of("studies", "../../etc/passwd")
        'etc-passwd'
        """
        if (kind, text) not in self.given:
            name = plain_name(text)
            taken = {name for (other, _), name in self.given.items() if other == kind}
            if not name or name in taken:
                digest = hashlib.sha256(text.encode()).hexdigest()[:6]
                name = "-".join(filter(None, (name, digest)))
            self.given[kind, text] = name
        return self.given[kind, text]


def plain_name(text: str) -> str:
    """Return a text in lower case with a hyphen for every run of other characters than letters and digits.

    >>> plain_name("ρ 0.1, Müller & Söhne")
    '0-1-muller-sohne'
    """
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:LONGEST].strip("-")
