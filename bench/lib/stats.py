"""The statistics: medians, ratios, means of ratios, and how sure of them one can be.

All allocators run a workload once in every round, close together in time, so samples
of one round belong together: what disturbs one of them tends to disturb them all.
A bootstrap therefore draws whole rounds.  Workloads are not drawn: they are the set
that is asked about, not a sample from a larger one.
"""
import math
import random
from dataclasses import dataclass

DRAWS = 2000
LEVEL = 0.95
SEED = 20210


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def geometric_mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


@dataclass
class Estimate:
    """A ratio with the interval that it lies in with probability LEVEL."""

    value: float
    low: float
    high: float

    @property
    def verdict(self):
        """-1 smaller than 1, +1 larger, 0 undecided."""
        if self.high < 1:
            return -1
        return 1 if self.low > 1 else 0

    @property
    def decided(self):
        """Whether it is known how the ratio stands to 1; also when it is exactly that."""
        return self.verdict != 0 or self.low == self.high

    def overlaps(self, other):
        return self.low <= other.high and other.low <= self.high


def draws_of_rounds(rounds, draws=DRAWS, seed=SEED):
    """Lists of rounds, drawn with replacement; the same for every caller, so that the
    ratios of two allocators to a third can be compared."""
    source = random.Random(f"{seed} {len(rounds)}")
    return [source.choices(rounds, k=len(rounds)) for _ in range(draws)]


def percentile(ordered, share):
    """With linear interpolation between neighbours."""
    at = share * (len(ordered) - 1)
    below = int(at)
    if below + 1 >= len(ordered):
        return ordered[-1]
    return ordered[below] + (at - below) * (ordered[below + 1] - ordered[below])


def interval(value, logs, rounds):
    """The interval from the logarithms of the bootstrap's values.

    Draws from n values vary less than n new values would, by (n - 1) / n in variance:
    that is made up for, because n is small here."""
    if rounds < 2:
        return Estimate(value, 0.0, math.inf)
    widen = math.sqrt(rounds / (rounds - 1))
    centre = math.log(value)
    ordered = sorted(logs)
    low = percentile(ordered, (1 - LEVEL) / 2) - centre
    high = percentile(ordered, (1 + LEVEL) / 2) - centre
    return Estimate(
        value, math.exp(centre + widen * min(low, 0)), math.exp(centre + widen * max(high, 0))
    )


def ratio_draws(samples, baseline):
    """The ratio of medians, the logarithms of its bootstrap draws, and the number of
    rounds; None without a common round.  Both arguments are {round: value}."""
    rounds = sorted(samples.keys() & baseline.keys())
    if not rounds or min(*samples.values(), *baseline.values()) <= 0:
        return None
    value = median([samples[r] for r in rounds]) / median([baseline[r] for r in rounds])
    logs = [
        math.log(median([samples[r] for r in drawn]))
        - math.log(median([baseline[r] for r in drawn]))
        for drawn in (draws_of_rounds(rounds) if len(rounds) > 1 else ())
    ]
    return value, logs, len(rounds)


def ratio(samples, baseline):
    """Estimate of the ratio of medians; None where there is nothing to compare."""
    drawn = ratio_draws(samples, baseline)
    return None if drawn is None else interval(*drawn)


def mean_ratio(pairs):
    """Estimate of the geometric mean of the ratios of several workloads, given as pairs
    of {round: value}; None if any of them gives no ratio.

    Each workload is drawn by itself: that they ran in the same round means nothing
    here, for they ran at different times."""
    drawn = [ratio_draws(samples, baseline) for samples, baseline in pairs]
    if not drawn or None in drawn:
        return None
    value = geometric_mean([d[0] for d in drawn])
    rounds = min(d[2] for d in drawn)
    if rounds < 2:
        return Estimate(value, 0.0, math.inf)
    source = random.Random(SEED)
    columns = []
    for _, logs, _ in drawn:
        column = list(logs)
        source.shuffle(column)
        columns.append(column)
    return interval(value, [sum(row) / len(row) for row in zip(*columns)], rounds)
