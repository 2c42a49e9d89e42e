"""The language of an article is what is declared, unless its text says otherwise."""

# ruff: noqa: E501 -- a sentence is a line

import pyarrow as pa
import pytest

from schemas.labels import LABEL_CODES, Label
from transforms.clean.language import with_languages
from transforms.clean.languagekernel import SAMPLE

SENTENCES = {
    "en": "The harbour was closed for two days because the fog would not lift, and the ferries had to wait at the pier.",
    "de": "Der Hafen war zwei Tage lang geschlossen, weil sich der Nebel nicht lichtete und die Fähren warten mussten.",
    "fr": "Le port est resté fermé pendant deux jours parce que le brouillard ne se levait pas, et les bacs ont attendu.",
    "es": "El puerto estuvo cerrado durante dos días porque la niebla no se levantaba y los barcos tuvieron que esperar.",
    "pt": "O porto esteve fechado durante dois dias porque o nevoeiro não se dissipava e os barcos tiveram de esperar na foz.",
    "it": "Il porto è rimasto chiuso per due giorni perché la nebbia non si alzava e i traghetti hanno dovuto aspettare.",
    "nl": "De haven was twee dagen gesloten omdat de mist niet wilde optrekken en de veerboten moesten aan de kade wachten.",
    "sv": "Hamnen var stängd i två dagar eftersom dimman inte lättade, och färjorna fick vänta vid kajen som de brukar.",
    "fi": "Satama oli suljettu kaksi päivää, koska sumu ei hälvennyt, ja lautat odottivat laiturissa niin kuin ennen.",
    "pl": "Port był zamknięty przez dwa dni, ponieważ mgła nie ustępowała, a promy musiały czekać na swoją kolej przy nabrzeżu.",
    "tr": "Liman iki gün kapalı kaldı, çünkü sis bir türlü dağılmadı ve vapurlar daha sonra iskelede beklemek için geri döndü.",
    "ru": "Порт был закрыт два дня, потому что туман не рассеивался, и паромы ждали у причала, как и в прошлом году.",
    "uk": "Порт був закритий два дні, тому що туман не розсіювався, і пороми чекали біля причалу, як і в минулому році.",
    "id": "Pelabuhan itu ditutup selama dua hari karena kabut tidak hilang dan kapal feri harus menunggu di dermaga.",
    "vi": "Cảng đã đóng cửa hai ngày vì sương mù không tan và các chuyến phà phải chờ ở bến cho đến khi trời sáng.",
    "ar": "أغلق الميناء لمدة يومين لأن الضباب لم ينقشع، وكان على العبارات أن تنتظر في المرسى حتى هذا الصباح.",
    "fa": "بندر به مدت دو روز بسته شد زیرا مه از بین نرفت و کشتی‌ها باید در اسکله منتظر می ماندند تا هوا خوب شود.",
    "hi": "कोहरा न छँटने के कारण बंदरगाह दो दिन तक बंद रहा और नावों को घाट पर इंतज़ार करना पड़ा, यह पहली बार नहीं है।",
    "ja": "霧が晴れなかったため港は二日間閉鎖され、フェリーは岸壁で待たなければならなかった。",
    "zh": "由于大雾不散，港口关闭了两天，渡轮不得不在码头等候天气好转。",
    "ko": "안개가 걷히지 않아 항구가 이틀 동안 폐쇄되었고 여객선은 부두에서 기다려야 했다.",
    "el": "Το λιμάνι έμεινε κλειστό για δύο μέρες επειδή η ομίχλη δεν διαλυόταν και τα πλοία περίμεναν.",
    "th": "ท่าเรือปิดเป็นเวลาสองวันเพราะหมอกไม่จาง และเรือข้ามฟากต้องรออยู่ที่ท่า",
}


def block(rows: list[tuple[str | None, list[tuple[Label, str]]]]) -> tuple[pa.Table, pa.Table]:
    parsed = pa.table(
        {
            "headline": pa.array([None] * len(rows), pa.string()),
            "language": pa.array([declared for declared, _ in rows], pa.string()),
        }
    )
    lines = [(at, label, text) for at, (_, given) in enumerate(rows) for label, text in given]
    table = pa.table(
        {
            "row": pa.array([at for at, _, _ in lines], pa.int32()),
            "label": pa.array([LABEL_CODES[label] for _, label, _ in lines], pa.int8()),
            "text": pa.array([text for _, _, text in lines], pa.string()),
        }
    )
    return parsed, table


def settled(declared: str | None, text: str) -> str | None:
    """The language of one article of one line."""
    parsed, lines = block([(declared, [(Label.BODY, text)])])
    (told,) = with_languages(parsed, lines, pa.array([None]))["language"].to_pylist()
    return told


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_tells_its_language(language: str) -> None:
    assert settled(None, SENTENCES[language]) == language


@pytest.mark.parametrize("language", SENTENCES)
def test_what_is_declared_and_true_stays_as_it_is_written(language: str) -> None:
    assert settled(f"{language}-XX", SENTENCES[language]) == f"{language}-XX"


@pytest.mark.parametrize("language", SENTENCES)
def test_a_text_overrules_what_its_page_declares_wrongly(language: str) -> None:
    declared = "en" if language != "en" else "de"
    assert settled(declared, SENTENCES[language]) == language


@pytest.mark.parametrize("declared", ["nb", "nn-NO", "no", "da"])
def test_languages_that_share_their_function_words_do_not_contradict_each_other(declared: str) -> None:
    text = "Havnen var stengt i to dager fordi tåken ikke lettet, og fergene måtte vente ved kaien som de har for vane."
    assert settled(declared, text) == declared


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (
            "sr",
            "Luka je zatvorena dva dana jer se magla nije podigla, a brodovi su morali da čekaju i za to su se pripremili.",
        ),
        (
            "bs-BA",
            "Luka je zatvorena dva dana jer se magla nije podigla, a brodovi su morali da čekaju i za to su se pripremili.",
        ),
        (
            "fil",
            "Ang daungan ay sarado nang dalawang araw dahil sa hamog at ang mga barko ay naghintay sa pantalan ng lungsod.",
        ),
        (
            "sco",
            "The harbour wis steekit for twa days acause the haar wadna lift, and the ferries had tae bide at the pier.",
        ),
        ("yi", "דער האפן איז געווען פארמאכט צוויי טעג ווייל דער נעפל האט זיך נישט אויפגעהויבן"),
        ("as", "কুঁৱলী নুঠাৰ বাবে বন্দৰখন দুদিন বন্ধ আছিল আৰু ফেৰীবোৰে ঘাটত অপেক্ষা কৰিছিল"),
    ],
)
def test_a_language_we_have_no_words_of_is_not_overruled_by_the_one_it_is_like(declared: str, text: str) -> None:
    assert settled(None, text) not in {None, declared}
    assert settled(declared, text) == declared
    assert settled(declared, SENTENCES["de"]) == "de"


@pytest.mark.parametrize("text", ["", "Fog 3-2", "xq zv bnk wrtl pfff grmbl zzt krk vvv", "1234 5678 " * 20])
def test_a_text_that_sounds_like_nothing_keeps_what_is_declared(text: str) -> None:
    assert settled("zu", text) == "zu"
    assert settled(None, text) is None


def test_a_block_is_settled_by_body_lines_and_what_a_record_gives_stays() -> None:
    body = [(Label.BODY, SENTENCES["fr"])]
    furniture = [(Label.FURNITURE, SENTENCES["en"])]
    parsed, lines = block([("en", furniture + body), (None, body + furniture), ("en", body), (None, []), ("de", [])])
    told = with_languages(parsed, lines, pa.array([None, None, "en", None, None]))
    assert told["language"].to_pylist() == ["fr", "fr", "en", None, "de"]


def test_only_the_beginning_of_a_text_counts() -> None:
    assert settled(None, (SENTENCES["en"] + " ") * 5 + SENTENCES["de"] * 50) == "en"
    assert len(SENTENCES["en"]) * 5 > SAMPLE
