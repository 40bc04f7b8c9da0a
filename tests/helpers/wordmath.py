"""A reader of wordmath questions that shares no code with their maker."""

from __future__ import annotations

import re

S, S2, S3, T, T2 = (rf"(?P<{name}>\w+)" for name in ("s", "s2", "s3", "t", "t2"))
K, K2 = (rf"(?P<{name}>\d+)" for name in ("k", "k2"))
# What each sentence makes of n (what its person has), m (what the other has) and its number k.
TOLD = (
    (rf"{S} has {K} \w+\.", lambda n, m, k: k),
    (rf"{S} (?:finds|buys|gets|picks up) {K} |A neighbor hands {K2} \w+ to {S2}", lambda n, m, k: n + k),
    (rf"{S} (?:gives away|loses|sells|drops) {K} |A bird takes {K2} \w+ from {S2}", lambda n, m, k: n - k),
    (rf"{S} doubles |Soon {S2} has twice |The \w+ of {S3} grow to two times ", lambda n, m, k: 2 * n),
    (rf"{S} (?:gives away|loses) half |{S2} keeps just one half ", lambda n, m, k: n / 2),
    (rf"{S} triples |Soon {S2} has three times ", lambda n, m, k: 3 * n),
    (rf"{S} splits the \w+ into 3 equal bags|{S2} keeps a third ", lambda n, m, k: n / 3),
    (rf"{S} has {K} more \w+ than {T}|{S2} beats {T2} by {K2} ", lambda n, m, k: m + k),
    (rf"{S} has {K} fewer \w+ than {T}|{S2} is {K2} \w+ short of {T2}", lambda n, m, k: m - k),
    (rf"{S} has twice as many \w+ as {T}|{S2} has two times the \w+ of {T2}", lambda n, m, k: 2 * m),
)


def solve(prompt):
    """Read a wordmath question as a person would, sentence by sentence; shares no code with its maker."""
    *story, question = re.findall(r"[^.?]+[.?]", prompt.removeprefix("Question: ").removesuffix("\nAnswer:"))
    amounts = {}
    for sentence in map(str.strip, story):
        ((match, act),) = [(m, act) for pattern, act in TOLD if (m := re.match(pattern, sentence))]
        found = {name[0]: text for name, text in match.groupdict().items() if text}
        k = int(found.get("k", 0))
        amounts[found["s"]] = act(amounts.get(found["s"]), amounts.get(found.get("t")), k)
    one = re.search(r"does (\w+) have now", question)
    return amounts[one[1]] if one else sum(amounts.values())
