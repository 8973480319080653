"""What the generators of inputs share: a random number generator whose sequence is
the same with every version of Python."""


class Random:
    """Numbers of a linear congruential generator; only its high bits are used."""

    def __init__(self, seed):
        self.state = seed * 2862933555777941757 + 3037000493

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def pick(self, items):
        return items[self.below(len(items))]
