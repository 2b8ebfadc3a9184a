"""From what a run writes to its terminal to the picture of one moment of it."""

from tests.pictures import HEIGHT, WIDTH, halfway, screens, svg, text_of


def drawn(*said: str) -> str:
    *_, screen = screens([piece.encode() for piece in said])
    return svg(text_of(screen), "name", "inv cluster.up")


def test_a_picture_shows_the_screen_as_it_was_left() -> None:
    *_, screen = screens([b"first\r\n", b"\x1b[32msecond\x1b[0m, wrong", b"\b\b\b\b\bright\r\n"])
    text = text_of(screen)
    assert [line.rstrip() for line in text.plain.splitlines()] == ["first", "second, right"]
    assert len(text.plain.splitlines()[0]) == WIDTH


def test_colours_are_kept() -> None:
    *_, screen = screens([b"\x1b[1;31mred\x1b[0m \x1b[33myellow\x1b[0m \x1b[2mfaint\x1b[0m \x1b[38;2;1;2;3mown\x1b[0m"])
    text = text_of(screen)
    styles = {text.plain[span.start]: str(span.style) for span in text.spans if text.plain[span.start] in "ryfo"}
    assert styles == {"r": "bold red", "y": "not bold yellow", "f": "not bold #8a8a8a", "o": "not bold #010203"}


def test_a_picture_has_no_ids_but_its_own_and_asks_nobody_for_a_font() -> None:
    picture = drawn("all is well")
    assert picture == drawn("all is well")
    assert "name-matrix" in picture
    assert "http" not in picture.replace("http://www.w3.org/", "").replace("https://www.textualize.io", "")


def test_what_has_scrolled_away_is_not_in_the_picture() -> None:
    *_, screen = screens([f"line {number}\r\n".encode() for number in range(HEIGHT + 10)])
    assert len(text_of(screen).plain.splitlines()) == HEIGHT - 1


def test_the_moment_to_show_has_all_hosts_at_work_at_different_steps() -> None:
    rows = ["⠦ client  the host is a node", "⠦ client2 the host is a node", "⠦ manager flannel answers"]
    moments = [halfway(screen) for screen in screens([f"{row}\r\n".encode() for row in rows])]
    assert moments == [False, False, True]
