"""A few rows of each known data set, as they are published."""

from __future__ import annotations

GSM8K = [
    {
        "question": f"Tom has {n} pens and buys 1000. How many?",
        "answer": f"{n}+1000=<<{n}+1000=1>>x\n#### 1,00{n}",
    }
    for n in range(10)
]
SVAMP = [
    {
        "ID": "chal-1",
        "Body": "Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack",
        "Question": "How much do you have to pay to buy each pack?",
        "Equation": "( 76.0 - 25.0 )",
        "Answer": 51.0,
        "Type": "Subtraction",
    },
    {
        "ID": "chal-2",
        "Body": "They had 90 pens in 4 boxes.",
        "Question": "How many pens in 2 boxes?",
        "Equation": "( 2.0 * ( 90.0 / 4.0 ) )",
        "Answer": "45.0",
        "Type": "Common-Division",
    },
    {"ID": "chal-3", "Body": "He has 3 left", "Question": "How many?", "Equation": "3.0", "Answer": 3.0},
    {  # the published row whose equation contradicts its answer
        "ID": "chal-4",
        "Body": "It moved.",
        "Question": "How far?",
        "Equation": "( ( 4.0 - 2.0 ) + 3.0 )",
        "Answer": 1.0,
    },
]
GSM_HARD = [
    {"input": "q1", "code": "def solution(): ...", "target": -9867630.0},
    {"input": "q2", "code": "", "target": 3244047.0999999996},
    {"input": "q3", "code": "", "target": 9284017268534.4},
    {"input": "q4", "code": "", "target": 1e-7},
]
