"""Object churn: builds, walks and drops binary trees of small objects while one
large tree stays alive."""


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, left, right, value):
        self.left = left
        self.right = right
        self.value = value


def build(depth, value):
    if depth == 0:
        return Node(None, None, value)
    return Node(build(depth - 1, 2 * value), build(depth - 1, 2 * value + 1), value)


def total(node):
    if node.left is None:
        return node.value
    return node.value + total(node.left) - total(node.right)


def main():
    keep = build(17, 1)
    for depth in range(4, 17, 4):
        rounds = 1 << (16 - depth)
        print(depth, sum(total(build(depth, i)) for i in range(rounds)))
    print("kept", total(keep))


main()
