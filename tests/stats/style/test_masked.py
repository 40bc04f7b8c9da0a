"""What is left of a text without its content."""

from overmem.stats.style.masked import MOST_PIECES, content_words, masked_pieces


def test_content_is_masked_and_the_way_of_writing_is_not():
    she = masked_pieces("Natalia sold 48/2 = $24 clips.\nSo she has 24.")
    assert she[1:] == [
        *[
            "\u2026",
            " 0",
            "+",
            "0",
            " =",
            " 0",
            "\u2026",
            ".",
            "\n",
            "so",
            "\u2026",
            "has",
            " 0",
            ".",
            "<end>",
        ]
    ]
    assert masked_pieces("Tom Lee earned 7*6 = 42 pale shells.\nSo he has 42.") == she


def test_layout_spaces_and_forms_of_numbers_are_kept():
    assert masked_pieces("3 + 4") != masked_pieces("3+4")
    assert masked_pieces("1,200") != masked_pieces("1200") == masked_pieces("7")
    assert masked_pieces("0.5")[1] == "0.0" and masked_pieces("so\nso")[1:4] == ["so", "\n", "so"]
    assert masked_pieces("$x + 1$")[1] == "$" and masked_pieces("$12")[1] == "0"


def test_long_texts_cost_no_more():
    assert len(masked_pieces("so 1 " * 9000)) <= MOST_PIECES + 2


def test_content_words_are_what_a_text_is_about():
    assert content_words("The apples of Tom: 12 apples, so it is 3.") == {"apples", "tom"}
