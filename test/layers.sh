#!/bin/sh
# The layers of lib/ (doc/ARCHITECTURE.md): a file includes headers of its own
# layer or of lower ones, there are no cycles, and every file has a layer.
# Speaks TAP.
set -eu
export LC_ALL=C

srcdir=${srcdir:-$(dirname "$0")/..}
lib=$srcdir/lib

# layer: modules
table='
0: base atomic random
1: os print probe trace check lock sysalloc
2: options report sizeclass track harden ledger canary sampler poisson writer json process slab known stacks samples
3: region arena pool pages pagecost sysahead syshuge systrim guard profile profile_text
4: heap heaps mix scavenge sweep verify remote syscache transfer
5: inspect stats snapshot
6: alloc lifecycle history server observe
7: held judge quarantine hardened front control interpose interpose_cxx interpose_dl interpose_info
8: gc_type gc_heap gc_scratch gc_check gc_verify gc_object gc_weakref gc_collect gc_inspect gc_mark gc_dispose gc_pace gc_slice gc_phase gc_decide gc_group gc_reference gc_map gc_graph gc_cycles gc_dot gc_report
'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "module layer" a line
printf '%s\n' "$table" | awk -F: 'NF == 2 {
    count = split($2, names, " ")
    for (i = 1; i <= count; i++) print names[i], $1
}' >"$work/layers"

# "includer included" a line, file names without their folder
for file in "$lib"/*.[ch]; do
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$file" |
        sed "s|^|${file##*/} |"
done | sed 's| \([^ ]*/\)| |' >"$work/includes"

number=0
report() { # description, file with complaints
    number=$((number + 1))
    if [ -s "$2" ]; then
        sed 's/^/# /' "$2"
        echo "not ok $number - $1"
    else
        echo "ok $number - $1"
    fi
}

echo 1..5

: >"$work/found"
[ "$(ls "$lib"/*.c 2>/dev/null | wc -l)" -gt 0 ] || echo "no sources in $lib" >"$work/found"
report "there are sources to look at" "$work/found"

for file in "$lib"/*.[ch]; do
    name=${file##*/}
    grep -q "^${name%.*} " "$work/layers" || echo "$name is in no layer"
done >"$work/unknown"
report "every file of lib/ has a layer" "$work/unknown"

awk 'NR == FNR { layer[$1] = $2; next }
{
    from = $1; to = $2
    sub(/\.[ch]$/, "", from); sub(/\.[ch]$/, "", to)
    if (from in layer && to in layer && layer[to] > layer[from])
        print $1 " (layer " layer[from] ") includes " $2 " (layer " layer[to] ")"
}' "$work/layers" "$work/includes" >"$work/up"
report "no file includes a header of a higher layer" "$work/up"

# Headers without open includes are taken away, again and again; what remains is
# in a circle or leads into one.  Modules of one layer may know each other.
awk '{ if (!(($1, $2) in edge)) { edge[$1, $2] = 1; open[$1]++ } file[$1]; file[$2] }
END {
    do {
        removed = 0
        for (name in file) {
            if (!(name in gone) && open[name] + 0 == 0) {
                gone[name]
                removed++
                for (other in file) if ((other, name) in edge) open[other]--
            }
        }
    } while (removed > 0)
    for (name in file) if (!(name in gone)) {
        line = name " is in a circle or leads into one:"
        for (other in file)
            if ((name, other) in edge && !(other in gone)) line = line " " other
        print line
    }
}' "$work/includes" >"$work/cycles"
report "no headers include each other in a circle" "$work/cycles"

for file in "$lib"/*.c; do
    name=${file##*/}
    header=${name%.c}.h
    [ -e "$lib/$header" ] || continue
    first=$(awk -v name="$name" '$1 == name { print $2; exit }' "$work/includes")
    [ "$first" = "$header" ] || echo "$name includes ${first:-nothing} before $header"
done >"$work/first"
report "every source includes its own header first" "$work/first"
