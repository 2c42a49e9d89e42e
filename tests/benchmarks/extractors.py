"""Other projects' extractors, each called as its documentation says; one that is not installed is named as missing.

They are installed apart from the product (`make peers`): none of them is a dependency.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_BLOCKS = "//p | //div | //li | //h1 | //h2 | //h3 | //h4 | //blockquote | //tr | //br | //pre | //figcaption"
_STOPLISTS = {
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "no": "Norwegian_Bokmal",
    "nb": "Norwegian_Bokmal",
    "da": "Danish",
    "tr": "Turkish",
    "ru": "Russian",
    "is": "Icelandic",
    "ko": "Korean",
    "vi": "Vietnamese",
    "id": "Indonesian",
    "ar": "Arabic",
}


class Page(NamedTuple):
    """One page to read."""

    name: str
    html: str
    url: str
    language: str  # two letters; "en" where the set does not say


class Facts(NamedTuple):
    """What an extractor says of a page: days as ISO 8601, times with their zone."""

    title: str | None
    date: str | None
    authors: list[str]


class Extractor(NamedTuple):
    """How to call one; `texts` is what is timed."""

    name: str
    texts: Callable[[Sequence[Page]], list[str]]
    facts: Callable[[Page], Facts] | None = None


def installed() -> tuple[list[Extractor], list[str]]:
    """The extractors that can be imported, and the names of the others."""
    found: list[Extractor] = []
    missing: list[str] = []
    for name, load in _PEERS.items():
        try:
            found += load()
        except ImportError:
            missing.append(name)
    return found, missing


def one_by_one(read: Callable[[Page], str | None]) -> Callable[[Sequence[Page]], list[str]]:
    """Read pages one at a time; one that fails gives no text."""

    def texts(pages: Sequence[Page]) -> list[str]:
        return [_or_empty(read, page) for page in pages]

    return texts


def _or_empty(read: Callable[[Page], str | None], page: Page) -> str:
    try:
        return read(page) or ""
    except Exception:  # noqa: BLE001 -- whatever a peer raises, it gave no text
        return ""


def _trafilatura() -> list[Extractor]:
    module: Any = importlib.import_module("trafilatura")
    metadata: Any = importlib.import_module("trafilatura.metadata")

    def facts(page: Page) -> Facts:
        said = metadata.extract_metadata(page.html, default_url=page.url)
        authors = [name.strip() for name in (said.author or "").split(";") if name.strip()]
        return Facts(said.title, said.date, authors)

    return [
        Extractor("trafilatura", one_by_one(lambda page: module.extract(page.html, url=page.url)), facts),
        Extractor(
            "trafilatura favor_precision",
            one_by_one(lambda page: module.extract(page.html, url=page.url, favor_precision=True)),
        ),
    ]


def _resiliparse() -> list[Extractor]:
    module: Any = importlib.import_module("resiliparse.extract.html2text")
    return [
        Extractor(
            "resiliparse",
            one_by_one(
                lambda page: module.extract_plain_text(
                    page.html, main_content=True, list_bullets=False, alt_texts=False, links=False, comments=False
                )
            ),
        )
    ]


def _readability() -> list[Extractor]:
    module: Any = importlib.import_module("readability")
    parser: Any = importlib.import_module("lxml.html")

    def read(page: Page) -> str:
        fragment = parser.fromstring(module.Document(page.html).summary(html_partial=True))
        for block in fragment.xpath(_BLOCKS):
            block.tail = "\n" + (block.tail or "")
        return str(fragment.text_content())

    def facts(page: Page) -> Facts:
        return Facts(module.Document(page.html).short_title(), None, [])

    return [Extractor("readability-lxml", one_by_one(read), facts)]


def _newspaper() -> list[Extractor]:
    module: Any = importlib.import_module("newspaper")

    def parsed(page: Page) -> Any:
        article = module.Article(page.url, fetch_images=False)
        article.download(input_html=page.html)
        article.parse()
        return article

    def facts(page: Page) -> Facts:
        article = parsed(page)
        published = article.publish_date
        return Facts(article.title, published.isoformat() if published else None, list(article.authors))

    return [Extractor("newspaper4k", one_by_one(lambda page: str(parsed(page).text)), facts)]


def _justext() -> list[Extractor]:
    module: Any = importlib.import_module("justext")
    lists = {language: module.get_stoplist(name) for language, name in _STOPLISTS.items() if _has(module, name)}
    english = module.get_stoplist("English")

    def read(page: Page) -> str:
        paragraphs = module.justext(page.html, lists.get(page.language, english))
        return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)

    return [Extractor("jusText", one_by_one(read))]


def _has(module: Any, stoplist: str) -> bool:
    return stoplist in module.get_stoplists()


_PEERS: dict[str, Callable[[], list[Extractor]]] = {
    "trafilatura": _trafilatura,
    "resiliparse": _resiliparse,
    "readability-lxml": _readability,
    "newspaper4k": _newspaper,
    "jusText": _justext,
}
