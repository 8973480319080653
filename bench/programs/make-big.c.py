"""Writes a large C file: structures, tables, switches, loops and calls, all different
enough that a compiler cannot merge them."""
import sys

from generate import Random

FUNCTIONS = 110


def expression(random, names, depth):
    if depth == 0 or random.below(5) == 0:
        return random.pick(names + [str(1 + random.below(1000)) + "u"])
    left = expression(random, names, depth - 1)
    right = expression(random, names, depth - 1)
    return f"({left} {random.pick(['+', '-', '*', '^', '&', '|'])} {right})"


def function(random, i):
    names = ["a", "b", "c", "s->x", f"s->v[a % 8]", f"table_{i % 20}[b % 64]"]
    lines = [f"static unsigned fn_{i}(struct s{i % 40} *s, unsigned a, unsigned b)", "{"]
    lines.append("    unsigned c = a ^ b;")
    lines.append(f"    for (unsigned i = 0; i < (a & {3 + random.below(60)}); i++) {{")
    lines.append(f"        c += {expression(random, names + ['i'], 4)};")
    lines.append(f"        s->v[i % 8] = {expression(random, names + ['i'], 3)};")
    lines.append("    }")
    lines.append("    switch (c % 9) {")
    for case in range(9):
        lines.append(f"    case {case}:")
        lines.append(f"        a = {expression(random, names, 3)};")
        if i > 0 and case % 3 == 0:
            callee = random.below(i)
            lines.append(f"        c ^= fn_{callee}(&g{callee % 40}, a, b);")
        lines.append("        break;")
    lines.append("    }")
    lines.append(f"    if (b > {random.below(5000)})")
    lines.append(f"        s->x = {expression(random, names, 5)};")
    lines.append(f"    return {expression(random, names, 4)};")
    lines.append("}")
    return "\n".join(lines)


def main():
    random = Random(11)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        for i in range(40):
            print(f"struct s{i} {{ unsigned x, v[8]; char pad[{1 + i}]; }};", file=out)
            print(f"static struct s{i} g{i};", file=out)
        for i in range(20):
            row = ", ".join(str(random.below(100000)) for _ in range(64))
            print(f"static const unsigned table_{i}[64] = {{{row}}};", file=out)
        for i in range(FUNCTIONS):
            print(function(random, i), file=out)
        print("unsigned all(unsigned a, unsigned b)\n{\n    unsigned c = 0;", file=out)
        for i in range(FUNCTIONS):
            print(f"    c += fn_{i}(&g{i % 40}, a + {i}, b);", file=out)
        print("    return c;\n}", file=out)


main()
