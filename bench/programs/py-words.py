"""Dictionary and string churn: counts generated words, joins, splits, slices and
sorts them, and rebuilds the dictionaries again and again."""


def words(n, seed):
    syllables = ("ka", "lo", "mi", "ter", "un", "sha", "ve", "ro", "din", "par")
    for _ in range(n):
        seed = (seed * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        x = seed >> 30
        yield "".join(syllables[(x >> (4 * i)) % 10] for i in range(2 + x % 4))


def main():
    total = {}
    for part in range(12):
        counts = {}
        for word in words(25_000, part):
            counts[word] = counts.get(word, 0) + 1
        text = " ".join(f"{word}:{count}" for word, count in counts.items())
        again = dict(item.split(":") for item in text.split(" "))
        for word, count in again.items():
            key = word[:6].upper()
            total.setdefault(key, []).append((int(count), word[::-1]))
    best = sorted(total.items(), key=lambda item: (-len(item[1]), item[0]))
    for key, found in best[:10]:
        print(key, len(found), max(found))
    print(len(total))


main()
