#!/bin/sh
# The protocols between threads, in all their interleavings: spin searches the
# models in test/models/ to the end.  Each model is searched as it is, without an
# error, and with each of the faults that it lists, which must be found.
#
# A model's head has a line for each configuration, quick or large, and for each
# fault.  The quick ones are part of make check; make check-models searches the
# large ones, for some minutes and in up to 4 GiB of memory for each processor.
# The steps of a model are named in the code that they stand for.
#
# spin's memory is sequentially consistent: each load sees the last store, and each
# thread's steps happen in their order.  What the processor and the compiler may do
# beyond that, these searches do not show.  The comments in lib/ say what each order
# of memory is for; ThreadSanitizer checks that what is handed over is ordered; and
# where a model has a fault for two steps the wrong way round, it shows what the
# order is needed for (FAULT_STATE_EARLY, FAULT_NOTE_LATE, FAULT_COUNT_LATE).
#
# To look at one: spin -a FLAGS MODEL, gcc -o pan pan.c, ./pan, and if it finds an
# error, spin -t -p -g FLAGS MODEL tells how it came to that.
# shellcheck disable=SC2317 # check calls the functions
set -eu
export LC_ALL=C
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

models=$(cd "$srcdir/test/models" && pwd)
size=${PYM_MODELS:-quick}
case $size in
quick) hash_bits=22 compile=-O1 ;;
large) hash_bits=25 compile=-O2 ;;
*) echo "Bail out! PYM_MODELS is quick or large, not $size"; exit 1 ;;
esac

# The name of each step, after that of its model: as the models have them, and as
# the code has them.
steps_of_models() {
    for model in "$models"/*.pml; do
        grep -o 'transition: [a-z_]*' "$model" |
            sed "s|^transition:|$(basename "$model"):|"
    done | sort -u
}
steps_of_code() {
    cat "$srcdir"/lib/*.[ch] | sed -n 's|.*/\* models/\([a-z]*\.pml\): \(.*\) \*/.*|\1 \2|p' |
        tr -d , | awk '{ for (i = 2; i <= NF; i++) print $1 ": " $i }' | sort -u
}

# ------------------------------------------------------------------ the searches

# One a line: its model, what it is to show, and the flags.
list_searches() {
    for model in "$models"/*.pml; do
        name=$(basename "$model" .pml)
        sed -n "s/^ \* config $size: /$name sound /p" "$model"
        first=$(sed -n 's/^ \* config quick: //p' "$model" | sed 1q)
        sed -n "s/^ \* fault: \(FAULT_[A-Z_]*\) \(.*\)-- .*/$name \1 $first \2/p" "$model"
    done
}

# search DIRECTORY MODEL FAULT FLAGS...: leaves what the search says in DIRECTORY/out.
search() (
    mkdir "$1"
    cd "$1"
    name=$2
    fault=$3
    shift 3
    with=$compile
    if [ "$fault" != sound ]; then
        set -- "$@" "-D$fault"
        with=-O0
    fi
    {
        spin -a "$@" "$models/$name.pml" &&
            gcc "$with" -w -DSAFETY -DCOLLAPSE -DMEMLIM=4096 -o pan pan.c &&
            ./pan -m20000 -w"$hash_bits"
    } >out 2>&1 || true
    [ "$fault" != sound ] || ./pan -m1 -w10 >nowhere 2>&1 || true
    [ ! -e "$name.pml.trail" ] || spin -t -p -g "$@" "$models/$name.pml" >trail 2>&1 || true
)

# Every second search, from the first or the second.
worker() {
    number=0
    while read -r name fault flags; do
        number=$((number + 1))
        # shellcheck disable=SC2086 # flags are words
        [ $((number % 2)) -ne "$1" ] ||
            search "$scratch/$number" "$name" "$fault" $flags
    done <"$scratch/searches"
}

# What makes a search worthless, whatever it found.
is_whole() {
    grep -q '^Full statespace search' "$1/out" &&
        ! grep -qE 'depth too small|out of memory|memory limit' "$1/out"
}

states_of() {
    sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$1/out"
}

is_sound() {
    if is_whole "$1" && grep -q 'errors: 0$' "$1/out" &&
        ! grep -q 'Search not completed' "$1/out"; then
        return 0
    fi
    note <"$1/out"
    [ ! -e "$1/trail" ] || tail -n 200 "$1/trail" | note
    return 1
}

is_found() {
    if is_whole "$1" && grep -q 'errors: 1$' "$1/out" &&
        grep -qE '^pan:1: (assertion violated|invalid end state)' "$1/out"; then
        return 0
    fi
    note <"$1/out"
    return 1
}

# The statements that a search did not come to, one a line for each place where
# they are expanded.
unreached() {
    sed -n 's|^	.*\.pml:\([0-9]*\), state [0-9]*, \(.*\)|line \1: \2|p' "$1" |
        sort | uniq -c
}

# The statements of a model that no search came to, anywhere: what is claimed of
# them is empty.  A search of no depth tells which there are.
never_reached() {
    searches=0
    number=0
    : >"$scratch/unreached"
    while read -r name fault flags; do
        number=$((number + 1))
        if [ "$name $fault" = "$1 sound" ]; then
            searches=$((searches + 1))
            unreached "$scratch/$number/nowhere" >"$scratch/nowhere"
            unreached "$scratch/$number/out" |
                grep -Fx -f "$scratch/nowhere" >>"$scratch/unreached" || true
        fi
    done <"$scratch/searches"
    sed 's/^ *[0-9]* //' "$scratch/unreached" | sort | uniq -c |
        awk -v all="$searches" '$1 == all'
}

# -------------------------------------------------------------------- the verdicts

list_searches >"$scratch/searches"
count=$(wc -l <"$scratch/searches")
plan $((2 + count + $(find "$models" -name '*.pml' | wc -l)))

check "there are models with configurations and faults" test "$count" -gt 20
check "the code names the steps of the models, and no others" \
    same "$(steps_of_code)" "$(steps_of_models)"

reason=
have spin || reason="there is no spin"
have gcc || reason="there is no gcc, which spin needs"
if [ -z "$reason" ]; then
    worker 0 &
    worker 1
    wait
fi

number=0
while read -r name fault flags; do
    number=$((number + 1))
    case $fault in
    sound) what="$name is sound: $flags" ;;
    *) what="$name with $fault is found wrong" ;;
    esac
    if [ -n "$reason" ]; then
        skip "$what" "$reason"
    elif [ "$fault" = sound ]; then
        check "$what" is_sound "$scratch/$number"
        echo "$(states_of "$scratch/$number") states" | note
    else
        check "$what" is_found "$scratch/$number"
    fi
done <"$scratch/searches"

for model in "$models"/*.pml; do
    name=$(basename "$model" .pml)
    if [ -n "$reason" ]; then
        skip "all of $name was searched" "$reason"
    else
        check "all of $name was searched" same "$(never_reached "$name")" ""
    fi
done

done_testing
