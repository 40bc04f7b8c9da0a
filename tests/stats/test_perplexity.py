import math

from overmem.stats.perplexity import perplexity


def test_it_is_the_exponential_and_infinite_where_that_overflows():
    assert perplexity(0.0) == 1.0 and math.isclose(perplexity(math.log(7)), 7)
    assert perplexity(1e4) == math.inf and perplexity(-1e4) == 0 and math.isnan(perplexity(math.nan))
