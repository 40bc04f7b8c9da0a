"""Countable objects that `rename` knows, as (singular, plural), in groups that stand for one another.

Swapping within a group keeps a problem sensible (what is eaten stays food) and its answer: apples may
become pears, since both are fruit if it asks for fruit. Left out: what carries a number with it
(animals and chairs have legs, dice have faces, a box of eggs is a dozen), pairs, and colors.
"""

from __future__ import annotations

from overmem.perturbations.text import words_of

Noun = tuple[str, str]
"""(singular, plural), lower case."""

FRUIT: tuple[Noun, ...] = (
    ("apple", "apples"), ("pear", "pears"), ("plum", "plums"), ("peach", "peaches"), ("banana", "bananas"),
    ("lemon", "lemons"), ("mango", "mangoes"), ("apricot", "apricots"), ("melon", "melons"),
    ("cherry", "cherries"), ("strawberry", "strawberries"), ("grape", "grapes"),
)  # fmt: skip
VEGETABLES: tuple[Noun, ...] = (
    ("carrot", "carrots"), ("potato", "potatoes"), ("onion", "onions"), ("cucumber", "cucumbers"),
    ("turnip", "turnips"), ("radish", "radishes"), ("cabbage", "cabbages"), ("leek", "leeks"),
    ("tomato", "tomatoes"),
)  # fmt: skip
SWEETS: tuple[Noun, ...] = (
    ("cake", "cakes"), ("cookie", "cookies"), ("muffin", "muffins"), ("cupcake", "cupcakes"),
    ("brownie", "brownies"), ("donut", "donuts"), ("pie", "pies"), ("pastry", "pastries"),
    ("lollipop", "lollipops"),
)  # fmt: skip
SNACKS: tuple[Noun, ...] = (
    ("egg", "eggs"), ("nut", "nuts"), ("sandwich", "sandwiches"), ("pancake", "pancakes"),
    ("waffle", "waffles"), ("dumpling", "dumplings"), ("pretzel", "pretzels"), ("cracker", "crackers"),
    ("pizza", "pizzas"), ("burger", "burgers"),
)  # fmt: skip
COLLECTED: tuple[Noun, ...] = (
    ("coin", "coins"), ("stamp", "stamps"), ("shell", "shells"), ("card", "cards"), ("bead", "beads"),
    ("rock", "rocks"), ("sticker", "stickers"), ("button", "buttons"), ("badge", "badges"),
    ("postcard", "postcards"), ("pebble", "pebbles"), ("ribbon", "ribbons"),
)  # fmt: skip
STATIONERY: tuple[Noun, ...] = (
    ("pen", "pens"), ("pencil", "pencils"), ("eraser", "erasers"), ("crayon", "crayons"),
    ("marker", "markers"), ("ruler", "rulers"), ("envelope", "envelopes"), ("folder", "folders"),
)  # fmt: skip
READING: tuple[Noun, ...] = (
    ("book", "books"), ("magazine", "magazines"), ("novel", "novels"), ("comic", "comics"),
    ("notebook", "notebooks"), ("album", "albums"),
)  # fmt: skip
HOUSEHOLD: tuple[Noun, ...] = (
    ("key", "keys"), ("cup", "cups"), ("plate", "plates"), ("bowl", "bowls"), ("spoon", "spoons"),
    ("candle", "candles"), ("lamp", "lamps"), ("vase", "vases"), ("pillow", "pillows"),
    ("blanket", "blankets"), ("umbrella", "umbrellas"),
)  # fmt: skip
CLOTHES: tuple[Noun, ...] = (
    ("hat", "hats"), ("scarf", "scarves"), ("shirt", "shirts"), ("sweater", "sweaters"), ("coat", "coats"),
    ("jacket", "jackets"), ("dress", "dresses"), ("skirt", "skirts"), ("belt", "belts"),
)  # fmt: skip
TOYS: tuple[Noun, ...] = (
    ("ball", "balls"), ("kite", "kites"), ("toy", "toys"), ("doll", "dolls"), ("puzzle", "puzzles"),
    ("marble", "marbles"), ("balloon", "balloons"), ("robot", "robots"),
)  # fmt: skip
FLOWERS: tuple[Noun, ...] = (
    ("tulip", "tulips"), ("daffodil", "daffodils"), ("orchid", "orchids"), ("sunflower", "sunflowers"),
    ("carnation", "carnations"), ("dahlia", "dahlias"),
)  # fmt: skip
JEWELRY: tuple[Noun, ...] = (
    ("necklace", "necklaces"), ("bracelet", "bracelets"), ("brooch", "brooches"), ("pendant", "pendants"),
)  # fmt: skip

GROUPS: tuple[tuple[Noun, ...], ...] = (
    FRUIT, VEGETABLES, SWEETS, SNACKS, COLLECTED, STATIONERY, READING, HOUSEHOLD, CLOTHES, TOYS, FLOWERS,
    JEWELRY,
)  # fmt: skip

_BESIDE = {
    "toys": """toy ball balls kite kites doll dolls puzzle puzzles marble marbles balloon balloons robot
        robots car cars truck trucks train trains block blocks bear bears""",
    "coins": "quarter quarters dime dimes nickel nickels penny pennies cent cents",
    "books": "novel novels comic comics textbook textbooks dictionary dictionaries notebook notebooks",
    "balls": "basketball basketballs baseball baseballs football footballs soccer tennis golf yarn",
    "cards": "deck decks suit ace aces",
    "keys": "piano keyboard",
    "cakes": "cupcake cupcakes cheesecake cheesecakes",
    "cookies": "brownie brownies",
    "rocks": "pebble pebbles",
    "nuts": "almond almonds walnut walnuts peanut peanuts cashew cashews pecan pecans bolt bolts",
    "cups": "flour sugar milk water butter coffee tea rice oil teaspoon teaspoons tablespoon tablespoons",
}
NOT_RENAMED_BESIDE: dict[str, frozenset[str]] = {plural: words_of(words) for plural, words in _BESIDE.items()}
"""Objects (by plural) that are left alone beside certain words: there they take in other things, are a
measure, or carry a number (a deck of cards)."""
