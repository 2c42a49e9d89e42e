"""FetchOptions: [read.fetch] of the configuration. Nothing is fetched unless it is enabled there."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FetchOptions:
    """Whether and how feeds, sitemaps and pages are fetched over HTTP."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    enabled: bool = False  # nothing is fetched without it
    pages: bool = True  # also the pages that feeds and sitemaps name, where they do not hold the article themselves
    allow_private: bool = False  # also from loopback, private, link-local and reserved addresses
    contact: str = ""  # a URL or address for those whose servers are asked; it stands in the user agent
    max_bytes: int = 10 << 20  # of one answer, decompressed
    max_seconds: float = 30.0  # of one answer, to its last byte; resolving the name is not in it
    connect_seconds: float = 10.0  # until one address has accepted
    max_redirects: int = 5
    host_seconds: float = 1.0  # that a host rests after an answer; its robots.txt may ask for more
    hosts: int = 8  # asked at a time
    poll_seconds: float = 45.0  # after which a poll asks for nothing more; what is left comes first in the next
    robots: bool = True  # obey robots.txt

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("max_bytes", "max_seconds", "connect_seconds", "hosts", "poll_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        for name in ("max_redirects", "host_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name)}")
        if any(character in self.contact for character in "()\r\n"):
            raise ValueError("contact is a URL or an address, without brackets")
