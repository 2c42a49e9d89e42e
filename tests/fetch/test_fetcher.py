"""Many requests: whose turn it is, what robots.txt and a busy server ask for, where redirects may lead."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.errors import UsageError
from transforms.read import fetch
from transforms.read import fetcher as fetchers
from transforms.read.fetch import NotFetched
from transforms.read.fetcher import LONGEST_REST, Fetched, Fetcher, Wish, back_off, shared_fetcher
from transforms.read.fetchoptions import FetchOptions

Make = Callable[..., Fetcher]


def given(fetcher: Fetcher, *urls: str) -> dict[str, Fetched | NotFetched]:
    """What one round gives."""
    one = fetcher.round()
    for number, url in enumerate(urls):
        one.add(Wish(float(number), url))
    return {wish.url: outcome for wish, outcome in one}


def test_nothing_is_fetched_unless_asked_for() -> None:
    with pytest.raises(UsageError, match="enabled = true"):
        Fetcher(FetchOptions())


def test_sources_of_a_process_share_a_fetcher() -> None:
    assert shared_fetcher(FetchOptions(enabled=True)) is shared_fetcher(FetchOptions(enabled=True))


def test_what_has_not_changed_is_not_sent_again(site: Any, fetcher_with: Make) -> None:
    site.says("/", "one", ETag='"1"', Last_Modified="Thu, 01 Jan 1970 00:00:10 GMT")
    fetcher = fetcher_with()
    first = fetcher.get(site.url("/"))
    assert (first.changed, first.body, first.etag) == (True, b"one", '"1"')
    again = fetcher.get(site.url("/"), first.etag, first.modified)
    assert (again.changed, again.body) == (False, b"")
    assert site.asked[-1][1]["if-none-match"] == '"1"'
    assert site.asked[-1][1]["if-modified-since"] == "Thu, 01 Jan 1970 00:00:10 GMT"
    site.says("/", "two", ETag='"2"')
    assert fetcher.get(site.url("/"), first.etag).body == b"two"


def test_a_304_that_nobody_asked_for_is_no_answer(site: Any, fetcher_with: Make) -> None:
    site.pages["/"] = (304, {}, b"")
    with pytest.raises(NotFetched, match="304"):
        fetcher_with().get(site.url("/"))


def test_who_asks_is_said_with_whom_to_write_to(site: Any, fetcher_with: Make) -> None:
    site.says("/", "here")
    fetcher_with(contact="https://desk.example/bot").get(site.url("/"))
    assert {asked["user-agent"].split("/")[0] for _, asked in site.asked} == {"Copydesk"}
    assert all(asked["user-agent"].endswith(" (+https://desk.example/bot)") for _, asked in site.asked)


@pytest.mark.parametrize(
    "rest", ['; charset="ISO-8859-1"', ";charset = iso-8859-1; boundary=x", "; v=1; charset=iso-8859-1;"]
)
def test_what_the_server_says_of_type_charset_and_freshness_is_kept(site: Any, fetcher_with: Make, rest: str) -> None:
    site.says("/", "x", Content_Type=f"Text/XML{rest}", Cache_Control="public, max-age=90")
    answer = fetcher_with().get(site.url("/"))
    assert (answer.media, answer.charset, answer.fresh) == ("text/xml", "iso-8859-1", 90.0)


def test_robots_txt_is_asked_once_and_obeyed(site: Any, fetcher_with: Make) -> None:
    site.says("/robots.txt", "User-agent: *\nDisallow: /\n\nUser-agent: copydesk\nDisallow: /*/closed$\nAllow: /\n")
    site.says("/a/open", "here")
    fetcher = fetcher_with()
    assert fetcher.get(site.url("/a/open")).body == b"here"
    with pytest.raises(NotFetched, match=r"robots\.txt") as refused:
        fetcher.get(site.url("/a/closed"))
    assert not refused.value.again
    assert [path for path, _ in site.asked] == ["/robots.txt", "/a/open"]


@pytest.mark.parametrize(("mark", "media"), [(b"\xef\xbb\xbf", "text/plain"), (b"", "application/octet-stream")])
def test_robots_txt_is_obeyed_with_a_byte_order_mark_and_of_any_type(
    site: Any, fetcher_with: Make, mark: bytes, media: str
) -> None:
    site.says("/robots.txt", mark + b"User-agent: *\nDisallow: /closed", Content_Type=media)
    site.says("/open", "here")
    fetcher = fetcher_with()
    assert fetcher.get(site.url("/open")).body == b"here"
    with pytest.raises(NotFetched, match=r"robots\.txt asks"):
        fetcher.get(site.url("/closed"))


def test_robots_txt_is_asked_for_anew_after_a_day(site: Any, fetcher_with: Make, clock: Any) -> None:
    site.says("/", "here")
    fetcher = fetcher_with()
    fetcher.get(site.url("/"))
    clock.time += 86_401
    fetcher.get(site.url("/"))
    assert [path for path, _ in site.asked] == ["/robots.txt", "/"] * 2


def test_of_robots_txt_no_more_is_kept_than_there_is_room_for(
    site: Any, other_site: Any, fetcher_with: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (site, other_site):
        each.says("/robots.txt", "User-agent: *\nAllow: /")
        each.says("/", "here")
    roomy, narrow = fetcher_with(), fetcher_with()
    for fetcher, room, asked in ((roomy, 1 << 20, 1), (narrow, 1_500, 3)):
        monkeypatch.setattr(fetchers, "_ROBOTS_KEPT", room)
        for one in (site, other_site, site):
            fetcher.get(one.url("/"))
        assert [path for path, _ in site.asked].count("/robots.txt") == asked


def test_robots_txt_that_is_not_to_be_had_forbids_all_for_now(site: Any, fetcher_with: Make) -> None:
    site.pages["/robots.txt"] = (500, {}, b"")
    site.says("/", "here")
    fetcher = fetcher_with()
    with pytest.raises(NotFetched, match="500") as refused:
        fetcher.get(site.url("/"))
    assert refused.value.again
    assert fetcher.resting("127.0.0.1")
    assert site.paths() == []


def test_a_host_whose_robots_txt_fails_is_left_alone_twice_as_long_each_time(
    site: Any, fetcher_with: Make, clock: Any
) -> None:
    site.pages["/robots.txt"] = (500, {}, b"")
    fetcher = fetcher_with()
    rests = []
    for _ in range(3):
        given(fetcher, site.url("/"))
        until, _ = fetcher.rests()["127.0.0.1"]
        rests.append(until - clock.time)
        clock.time = until
    assert rests == [60.0, 120.0, 240.0]


def test_robots_txt_need_not_be_asked(site: Any, fetcher_with: Make) -> None:
    site.says("/", "here")
    fetcher_with(robots=False).get(site.url("/"))
    assert [path for path, _ in site.asked] == ["/"]


def test_robots_txt_of_any_size_does_not_stop_a_round(site: Any, fetcher_with: Make) -> None:
    site.says("/robots.txt", "User-agent: *\nDisallow: /x\n" * 50_000)
    with pytest.raises(NotFetched, match="524288"):
        fetcher_with().get(site.url("/"))


def test_a_host_rests_after_each_answer(site: Any, fetcher_with: Make, clock: Any) -> None:
    for page in "abc":
        site.says(f"/{page}", page)
    given(fetcher_with(host_seconds=2.0), *(site.url(f"/{page}") for page in "abc"))
    assert clock.slept == [2.0, 2.0, 2.0]  # before a (after robots.txt), b and c
    assert site.paths() == ["/a", "/b", "/c"]


def test_a_crawl_delay_lengthens_the_rest(site: Any, fetcher_with: Make, clock: Any) -> None:
    site.says("/robots.txt", "User-agent: *\nCrawl-delay: 7\n")
    site.says("/a", "a")
    given(fetcher_with(), site.url("/a"), site.url("/b"))
    assert clock.slept == [1.0, 7.0]


def test_no_crawl_delay_makes_a_redirect_hold_up_the_round(site: Any, fetcher_with: Make, clock: Any) -> None:
    site.says("/robots.txt", "User-agent: *\nCrawl-delay: 36000\n")
    site.pages["/a"] = (301, {"Location": "/b"}, b"")
    site.says("/b", "b")
    outcomes = given(fetcher_with(), site.url("/a"), site.url("/c"))
    assert site.paths() == ["/a", "/b"]
    assert list(outcomes) == [site.url("/a")]  # /c is due in ten hours
    assert clock.slept == [1.0, 30.0]


def test_hosts_do_not_wait_for_each_other(site: Any, other_site: Any, fetcher_with: Make) -> None:
    """Each server holds its answer back till the other has been asked as well."""

    def reply_of(mine: Any, other: Any) -> Callable[[Any], None]:
        def reply(handler: Any) -> None:
            mine.over.set()
            assert other.over.wait(10)
            handler.send_response(200)
            handler.send_header("Content-Length", "4")
            handler.end_headers()
            handler.wfile.write(b"both")

        return reply

    site.pages["/"], other_site.pages["/"] = reply_of(site, other_site), reply_of(other_site, site)
    outcomes = given(fetcher_with(), site.url("/"), other_site.url("/"))
    assert [each.body for each in outcomes.values() if isinstance(each, Fetched)] == [b"both", b"both"]


def test_a_host_that_others_redirect_to_is_asked_one_at_a_time(site: Any, other_site: Any, fetcher_with: Make) -> None:
    asked, most = 0, 0

    def reply(handler: Any) -> None:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        other_site.over.wait(0.05)
        asked -= 1
        handler.send_response(404)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    other_site.pages = {"/a": reply, "/b": reply}
    site.pages["/a"] = (302, {"Location": other_site.url("/a")}, b"")
    assert len(given(fetcher_with(host_seconds=0.0), site.url("/a"), other_site.url("/b"))) == 2
    assert most == 1


def test_a_round_ends_when_its_time_is_up_and_the_longest_due_come_first(site: Any, fetcher_with: Make) -> None:
    fetcher = fetcher_with(poll_seconds=3.5)
    one = fetcher.round()
    for number in (5, 1, 4, 2, 3):
        one.add(Wish(float(number), site.url(f"/{number}")))
    assert [wish.url[-1] for wish, _ in one] == ["1", "2", "3"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_host_is_left_alone_for_as_long_as_it_asks(
    site: Any, fetcher_with: Make, clock: Any, status: int
) -> None:
    site.pages["/a"] = (status, {"Retry-After": "300"}, b"")
    site.says("/b", "b")
    fetcher = fetcher_with()
    assert list(given(fetcher, site.url("/a"), site.url("/b"))) == [site.url("/a")]
    assert given(fetcher, site.url("/b")) == {}
    clock.time += 300
    assert isinstance(given(fetcher, site.url("/b"))[site.url("/b")], Fetched)
    assert site.paths() == ["/a", "/b"]
    assert fetcher.rests() == {}


def test_a_host_that_does_not_say_how_long_is_left_alone_twice_as_long_each_time(
    site: Any, fetcher_with: Make, clock: Any
) -> None:
    site.pages["/"] = (503, {}, b"")
    fetcher = fetcher_with()
    rests = []
    for _ in range(4):
        given(fetcher, site.url("/"))
        until, _ = fetcher.rests()["127.0.0.1"]
        rests.append(until - clock.time)
        clock.time = until
    assert rests == [60.0, 120.0, 240.0, 480.0]
    assert back_off(1_000) == LONGEST_REST


def test_a_host_that_is_down_is_left_alone(site: Any, fetcher_with: Make) -> None:
    site.close()
    fetcher = fetcher_with()
    assert len(given(fetcher, site.url("/a"), site.url("/b"))) == 1
    assert fetcher.resting("127.0.0.1")


def test_back_off_outlives_the_process(site: Any, fetcher_with: Make, clock: Any) -> None:
    site.pages["/"] = (503, {"Retry-After": "300"}, b"")
    first = fetcher_with()
    given(first, site.url("/"))
    second = fetcher_with()
    second.recall(first.rests())
    assert given(second, site.url("/")) == {}
    clock.time -= 30 * LONGEST_REST  # a clock set back does not stretch it
    assert len(given(second, site.url("/"))) == 1


def test_a_redirect_is_followed_and_one_for_good_is_told(site: Any, fetcher_with: Make) -> None:
    site.says("/new", "here")
    site.pages["/old"] = (301, {"Location": "/new"}, b"")
    site.pages["/now"] = (302, {"Location": "new"}, b"")
    fetcher = fetcher_with()
    assert fetcher.get(site.url("/old")).moved
    answer = fetcher.get(site.url("/now"))
    assert (answer.url, answer.body, answer.moved) == (site.url("/new"), b"here", False)
    assert not fetcher.get(site.url("/new")).moved


def test_redirects_that_lead_nowhere_end(site: Any, fetcher_with: Make) -> None:
    site.pages["/a"] = (302, {"Location": "/b"}, b"")
    site.pages["/b"] = (302, {"Location": "/a"}, b"")
    with pytest.raises(NotFetched, match="more than 5 redirects"):
        fetcher_with().get(site.url("/a"))
    assert len(site.paths()) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://x/", "http://[", "//"])
def test_a_redirect_to_what_is_no_web_address_is_refused(site: Any, fetcher_with: Make, target: str) -> None:
    site.pages["/"] = (302, {"Location": target}, b"")
    with pytest.raises(NotFetched):
        fetcher_with().get(site.url("/"))


def test_a_redirect_to_a_private_address_is_refused(
    site: Any, other_site: Any, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    """The first hop is a public host; `ask` is told that all but 127.0.0.2 is public."""
    monkeypatch.setattr("transforms.read.fetch.public", lambda address: address != "127.0.0.2")
    site.pages["/"] = (302, {"Location": other_site.url("/secret")}, b"")
    fetcher = Fetcher(FetchOptions(enabled=True), now=clock, clock=clock, sleep=clock.sleep)
    with pytest.raises(NotFetched, match=r"127\.0\.0\.2, no public address"):
        fetcher.get(site.url("/"))
    assert other_site.asked == []


def test_a_redirect_to_another_host_obeys_its_robots_txt(site: Any, other_site: Any, fetcher_with: Make) -> None:
    site.pages["/"] = (302, {"Location": other_site.url("/closed")}, b"")
    other_site.says("/robots.txt", "User-agent: *\nDisallow: /")
    with pytest.raises(NotFetched, match=r"robots\.txt"):
        fetcher_with().get(site.url("/"))
    assert other_site.paths() == []


def test_a_password_does_not_follow_a_redirect_to_another_host(site: Any, other_site: Any, fetcher_with: Make) -> None:
    site.pages["/"] = (302, {"Location": "/in"}, b"")
    site.pages["/in"] = (302, {"Location": other_site.url("/out")}, b"")
    other_site.says("/out", "here")
    answer = fetcher_with().get(site.url("/", "ann:secret@127.0.0.1"))
    assert "secret" not in answer.url
    assert ["authorization" in asked for path, asked in site.asked if path != "/robots.txt"] == [True, True]
    assert not any("authorization" in asked for _, asked in other_site.asked)


def test_an_error_of_ours_costs_one_answer_alone(
    site: Any, fetcher_with: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.says("/b", "b")
    asked = fetch.ask

    def ask(url: str, *rest: Any) -> Any:
        if url.endswith("/a"):
            raise ZeroDivisionError
        return asked(url, *rest)

    monkeypatch.setattr("transforms.read.fetcher.ask", ask)
    outcomes = given(fetcher_with(), site.url("/a"), site.url("/b"))
    assert "ZeroDivisionError" in str(outcomes[site.url("/a")])
    assert isinstance(outcomes[site.url("/b")], Fetched)


def test_a_wish_that_is_no_address_is_told(fetcher_with: Make) -> None:
    assert isinstance(given(fetcher_with(), "nonsense")["nonsense"], NotFetched)
