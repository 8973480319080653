"""What profile.sh knows of raw profiles.

    profile_check.py PLACES PROFILE EXPRESSION...

PLACES: lines with the name and the address of a function.  Each expression must be
true of p, a dictionary from a place's name to (live blocks, live bytes, all blocks, all
bytes), of peak, the same for (blocks, bytes) at the peak, and of about, what the library
tells about the profile.
"""

import json
import sys


def read_places(file):
    places = {}
    for line in file:
        words = line.split()
        if len(words) == 2 and words[0].startswith("place_"):
            places[words[0][len("place_"):]] = int(words[1], 16)
    return places


def place_of(frames, places):
    """The nearest place that begins before one of the inner frames."""
    for frame in frames[:3]:
        distance, name = min((frame - address, name) for name, address in places.items()
                             if frame > address) if frame > min(places.values()) else (64, "")
        if distance < 64:
            return name
    return "elsewhere"


def numbers(line):
    return [int(word) for word in line.replace("[", " ").replace("]", " ")
            .replace(":", " ").split()[1:]]


def read_stacks(lines, places, width):
    sums = {name: [0] * width for name in [*places, "elsewhere"]}
    total = [0] * width
    while lines and lines[0].startswith("@"):
        frames = [int(word, 16) for word in lines[0].split()[1:]]
        figures = numbers(lines[1].replace("t*:", "t* "))
        assert len(figures) == width, lines[1]
        name = place_of(frames, places)
        sums[name] = [a + b for a, b in zip(sums[name], figures)]
        total = [a + b for a, b in zip(total, figures)]
        lines = lines[2:]
    return sums, total, lines


def main(places_file, profile, *expressions):
    with open(places_file, encoding="utf-8") as file:
        places = read_places(file)
    with open(profile, encoding="utf-8") as file:
        lines = file.read().split("\n")
    assert len(places) == 10, places
    assert lines[0] == "heap_v2/1", lines[0]
    sums, total, rest = read_stacks(lines[2:], places, 4)
    assert numbers(lines[1].replace("t*:", "t* ")) == total, (lines[1], total)
    assert rest[:2] == ["", "MAPPED_LIBRARIES:"], rest[:2]
    end = rest.index("", 2)
    maps = rest[2:end]
    assert any("profile_probe" in line and " r-xp " in line for line in maps), maps
    assert rest[end:end + 2] == ["", "PYMALLOC:"], rest[end:end + 2]
    about = json.loads(rest[end + 2])
    assert any("profile_probe" in name and len(build) >= 16
               for name, build in about["build_ids"]), about["build_ids"]
    assert "profile_probe" in about["command"][0], about["command"]
    assert rest[end + 3] == "PEAK:", rest[end + 3]
    peak, peak_total, rest = read_stacks(rest[end + 4:], places, 2)
    assert rest == [""], rest
    assert peak_total[1] == about["peak_bytes"], (peak_total, about["peak_bytes"])
    assert peak_total[1] >= total[1], "the peak is not the most"
    wrong = [e for e in expressions
             if not eval(e, {"p": sums, "peak": peak, "about": about, "total": total})]
    for expression in wrong:
        print(f"{expression} is not so")
    if wrong:
        print(sums, peak, about)
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
