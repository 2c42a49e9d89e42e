"""The phrase pack as data."""

import tomllib
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from schemas.labels import Label
from transforms.clean.phrases import find_cues
from transforms.clean.textlines import split_lines

PACK = tomllib.loads((resources.files("transforms.clean") / "data" / "phrases.toml").read_text("utf-8"))


def test_every_rule_says_why() -> None:
    assert all(len(entry["reason"]) >= 9 for entry in PACK["rule"] + PACK["block"])


def test_names_are_unique() -> None:
    names = [entry["name"] for entry in PACK["rule"] + PACK["block"]]
    assert len(names) == len(set(names))


def test_there_is_a_bit_for_every_rule() -> None:
    assert len(PACK["rule"]) <= 59


def test_a_rule_has_no_unknown_fields() -> None:
    known = {
        "name",
        "label",
        "where",
        "pattern",
        "cues",
        "words",
        "open",
        "edge",
        "plain",
        "address",
        "cased",
        "reason",
    }
    assert all(set(entry) <= known for entry in PACK["rule"])
    assert {Label(entry.get("label", "furniture")) for entry in PACK["rule"]} <= {
        Label.FURNITURE,
        Label.CAPTION,
        Label.CREDIT,
    }


@pytest.mark.parametrize("entry", PACK["rule"], ids=lambda entry: entry["name"])
def test_a_rule_without_cue_words_only_asks_short_lines(entry: dict[str, object]) -> None:
    assert entry["cues"] or int(str(entry.get("words", 40))) <= 25


def test_re2_whose_time_is_linear_takes_every_pattern() -> None:
    for entry in PACK["rule"]:
        assert len(pc.match_substring_regex(pa.array([""]), entry["pattern"])) == 1


FOREIGN = {
    "Anzeige": "furniture",
    "Lesen Sie auch: Die Fähre kehrt nach zwanzig Jahren zurück": "furniture",
    "Jetzt kostenlos anmelden und jeden Morgen das Neueste vom Hafen lesen": "furniture",
    "Folgen Sie uns auf allen Kanälen": "furniture",
    "© Hafenblatt. Alle Rechte vorbehalten.": "furniture",
    "Kommentar schreiben": "furniture",
    "Foto: Johanna Muster": "caption",
    "À lire aussi : le bac revient après vingt ans": "furniture",
    "Abonnez-vous à notre lettre du matin": "furniture",
    "Suivez-nous sur les réseaux": "furniture",
    "La suite après la publicité": "furniture",
    "Tous droits réservés": "furniture",
    "Lea también: el transbordador vuelve veinte años después": "furniture",
    "Suscríbete a nuestro boletín": "furniture",
    "Síguenos en nuestras redes": "furniture",
    "Leggi anche: il traghetto torna dopo vent'anni": "furniture",
    "Iscriviti alla nostra lettera del mattino": "furniture",
    "Riproduzione riservata": "furniture",
    "Leia também: a balsa volta depois de vinte anos": "furniture",
    "Continua após a publicidade": "furniture",
    "Lees ook: de veerpont keert terug": "furniture",
    "Volg ons op de bekende kanalen": "furniture",
    "Czytaj też: prom wraca po dwudziestu latach": "furniture",
    "Wszelkie prawa zastrzeżone": "furniture",
    "Tüm hakları saklıdır": "furniture",
    "Читайте также: паром возвращается через двадцать лет": "furniture",
    "Подписывайтесь на нас в соцсетях": "furniture",
    "Все права защищены": "furniture",
    "Läs också: färjan kommer tillbaka": "furniture",
    "Artikeln fortsätter efter annonsen": "furniture",
    "Les også: fergen kommer tilbake": "furniture",
    "Læs også: færgen vender tilbage": "furniture",
    "Lue myös: lautta palaa": "furniture",
    "Baca juga: kapal feri kembali": "furniture",
    "اقرأ أيضا: العبارة تعود بعد عشرين عاما": "furniture",
    "यह भी पढ़ें: बीस साल बाद लौटी नाव": "furniture",
    "【関連記事】 二十年ぶりに戻る渡し船": "furniture",
    "무단전재 및 재배포 금지": "furniture",
}


@pytest.mark.parametrize("line", FOREIGN)
def test_the_turns_of_other_languages_are_known(line: str) -> None:
    assert label_of(line) == FOREIGN[line]


@pytest.mark.parametrize(
    "line",
    [
        "Mehr dazu wollte die Bürgermeisterin am Dienstag nicht sagen.",
        "Die Werbung für die Brücke kostete den Rat im vergangenen Jahr mehr als die Brücke selbst.",
        "Il faut lire aussi les comptes du port, a dit la maire, avant de juger ce pont.",
        "La mairesse a dit que la politique de confidentialité du port avait été écrite par un stagiaire.",
        "El puerto y la publicidad le dejaron a la ciudad tres millones.",
        "Читать эту книгу в порту запретили ещё в прошлом году.",
        "De burgemeester vroeg iedereen om ook de rekening van de haven te lezen.",
        "Readers like the harbour pages best, the editor said.",
    ],
)
def test_sentences_that_only_use_the_words_stay_body(line: str) -> None:
    assert label_of(line) == Label.BODY


def label_of(line: str) -> str:
    """Label that the pack gives a line amid an article."""
    lines = split_lines(pa.array(["\n".join(["The sea was calm that day."] * 6 + [line] + ["So was the town."] * 9)]))
    cues = find_cues(lines, np.full(len(lines.row), len(lines.row), np.int32))
    return list(Label)[int(cues.labels()[6])]
