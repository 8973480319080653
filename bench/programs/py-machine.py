"""An interpreter's inner loop: a small stack machine of objects with method calls,
floats, tuples and big integers, all of them short-lived."""


class Op:
    def __init__(self, argument=None):
        self.argument = argument


class Push(Op):
    def run(self, stack, names):
        stack.append(self.argument)


class Load(Op):
    def run(self, stack, names):
        stack.append(names[self.argument])


class Store(Op):
    def run(self, stack, names):
        names[self.argument] = stack.pop()


class Add(Op):
    def run(self, stack, names):
        b, a = stack.pop(), stack.pop()
        stack.append((a[0] + b[0], a[1] + b[1]))


class Mul(Op):
    def run(self, stack, names):
        b, a = stack.pop(), stack.pop()
        stack.append((a[0] * b[0] % 1000003, a[1] * b[1] * 0.5 + 1.0))


class Big(Op):
    def run(self, stack, names):
        a = stack.pop()
        stack.append(((a[0] << 200) // 12345 % (1 << 61), a[1]))


def main():
    names = {"x": (3, 0.5), "y": (7, 0.25), "i": (0, 0.0)}
    program = [
        Load("x"), Load("y"), Mul(), Big(), Push((1, 0.125)), Add(), Store("x"),
        Load("i"), Push((1, 1.0)), Add(), Store("i"),
        Load("y"), Load("i"), Add(), Big(), Store("y"),
    ]
    trace = []
    for step in range(85_000):
        stack = []
        for op in program:
            op.run(stack, names)
        if names["y"][1] > 1e6:
            names["y"] = (names["y"][0], 0.25)
        if names["x"][1] > 1e6:
            names["x"] = (names["x"][0], 0.5)
        if step % 3 == 0:
            trace.append((step, dict(names)))
        if len(trace) > 5000:
            del trace[::2]
    print(names["x"][0], names["y"][0], names["i"][0], len(trace))


main()
