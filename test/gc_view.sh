#!/bin/sh
# What can be seen of the object heap of a real program: the Lisp example, run on a
# program that leaks cycles.
# shellcheck disable=SC2086 # compilers are several words
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

lisp=$top_builddir/examples/lisp
report=$scratch/report
graph=$scratch/graph.dot
json=$scratch/json

# A function that is defined within a call lies in the scope that it refers to.
leaky='
(define make (lambda (n) (define self (lambda () n))))
(define repeat (lambda (n)
  (if (< n 1) () ((lambda (first rest) rest) (make n) (repeat (- n 1))))))
(repeat 300)'

run() {
    printf '%s\n' "$leaky" | "$lisp" "$report" "$graph" "$json" >"$scratch/out"
}

tells() { # pattern
    grep -q -e "$1" "$report" || {
        note <"$report"
        return 1
    }
}

cycles_are_told() {
    tells '^garbage: [0-9]* objects, .*; 1200 of them in 300 cycles$' &&
        tells '^pair -> closure -> scope -> pair -> pair: 300 cycles of 4 objects, ' &&
        tells '^    -> slot at offset 16 -> 0x[0-9a-f]* of type scope$'
}

tables_are_there() {
    tells '^ *objects .* age  type$' && tells '  closure$' && tells '^generation 2 ' &&
        tells '^pauses: [1-9]' && tells '^the program had [0-9.]*% of '
}

json_agrees() {
    python3 - "$json" >"$scratch/wrong" 2>&1 <<'END' || { note <"$scratch/wrong"; return 1; }
import json, sys

text = open(sys.argv[1], encoding="utf-8").read()
assert text.endswith("}\n") and text.count("\n") == 1, "one line"
heap = json.loads(text)
types = {entry["name"]: entry for entry in heap["types"]}
assert heap["pygc"] == 1
assert set(types) == {"pair", "number", "symbol", "closure", "builtin", "scope"}, types
assert sum(t["objects"] for t in heap["types"]) == heap["objects"]
assert sum(t["bytes"] for t in heap["types"]) == heap["bytes"]
assert sum(t["references"] for t in heap["types"]) == sum(
    t["referrers"] for t in heap["types"])
for t in heap["types"]:
    assert sum(t["generations"]) + t["frozen"] + t["untracked"] == t["objects"], t
places = heap["generations"] + [heap["frozen"], heap["untracked"]]
assert sum(place["objects"] for place in places) == heap["objects"]
assert sum(place["bytes"] for place in places) == heap["bytes"]
pauses = heap["pauses"]
assert sum(step["count"] for step in pauses["histogram"]) == pauses["count"] == sum(
    g["collections"] for g in heap["generations"])
assert pauses["p50_ns"] <= pauses["p99_ns"] <= pauses["longest_ns"] <= pauses["total_ns"]
garbage = heap["garbage"]
assert garbage["cycles"] == 300 and garbage["in_cycles"] == 1200, garbage
assert garbage["kept"] == sum(g["collected"] for g in heap["generations"]), garbage
(group,) = garbage["groups"]
assert group["types"] == ["pair", "closure", "scope"], group
assert group["cycles"] == 300 and group["least"] == group["most"] == 4, group
assert [step["type"] for step in group["example"]] == ["pair", "closure", "scope", "pair"]
assert group["example"][1]["to_next"] == "slot at offset 16", group
END
}

dot_takes_it() {
    dot -Tsvg "$graph" >"$scratch/svg" 2>"$scratch/err" || return 1
    note <"$scratch/err"
    ! [ -s "$scratch/err" ] && grep -q '</svg>' "$scratch/svg"
}

# Also with names that are anything but simple.
dot_takes_names() {
    cat >"$scratch/odd.c" <<'END'
#include <pymalloc/gc.h>
int main(void)
{
    struct pygc_slot slot = {0, 1, PYGC_STRONG, NULL};
    struct pygc_type_spec spec = {.size = 16, .slots = &slot, .slot_count = 1};
    pygc_heap *heap = pygc_heap_new(NULL);
    char names[256][8] = {{'x'}};
    void *last = NULL;
    for (int i = 1; i < 256; i++) {
        char name[] = {'<', (char)i, 'N', '\\', '"', (char)i, '>', 0};
        for (int k = 0; k < 8; k++) {
            names[i][k] = name[k];
        }
        spec.name = names[i];
        void **object = pygc_alloc(heap, pygc_type_new(&spec));
        *object = last;
        last = object;
    }
    return pygc_dot_why_alive(last, 1) != 1 || pygc_dot(heap, last, 1000, 1) != 255;
}
END
    quietly $CC -I"$top_srcdir/include" -o "$scratch/odd" "$scratch/odd.c" "$library" \
        -Wl,-rpath,"$(dirname "$library")" &&
        "$scratch/odd" >"$scratch/graph.dot" && dot_takes_it
}

plan 6
check "the program runs" run
check "its cycles are told" cycles_are_told
check "so are types, generations and pauses" tables_are_there
if have python3; then
    check "the same as JSON" json_agrees
else
    skip "the same as JSON" "there is no python3"
fi
if have dot; then
    check "graphviz takes the graph" dot_takes_it
    check "and names of all kinds" dot_takes_names
else
    skip "graphviz takes the graph" "graphviz is not installed"
    skip "and names of all kinds" "graphviz is not installed"
fi
done_testing
