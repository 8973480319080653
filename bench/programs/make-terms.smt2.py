"""Writes an SMT problem of uninterpreted functions and integer arithmetic: many terms,
then a series of questions that each add a few more and take them back."""
import sys

from generate import Random

VARIABLES = 90
CLAUSES = 640
QUESTIONS = 24


def main():
    random = Random(3)

    def variables(n):
        return [f"x{random.below(VARIABLES)}" for _ in range(n)]

    with open(sys.argv[1], "w", encoding="ascii") as out:
        print("(set-logic QF_UFLIA)", file=out)
        print("(declare-fun f (Int) Int)(declare-fun g (Int Int) Int)", file=out)
        for i in range(VARIABLES):
            print(f"(declare-const x{i} Int)", file=out)
            print(f"(assert (and (<= 0 x{i}) (<= x{i} 40)))", file=out)
        for _ in range(CLAUSES):
            a, b, c, d = variables(4)
            print(
                f"(assert (or (= (f (+ {a} {b})) (g {c} (f {d})))"
                f" (< (+ {a} {random.below(9)}) {c}) (distinct (f {d}) (g {b} {a}))))",
                file=out,
            )
        print("(check-sat)", file=out)
        for _ in range(QUESTIONS):
            a, b = variables(2)
            print(f"(push)(assert (= (f {a}) (+ 1 (f {b}))))", file=out)
            print(f"(assert (> {a} {b}))(check-sat)(pop)", file=out)


main()
