#!/bin/sh
# libpymalloc in front of another allocator: small blocks are ours, large ones
# the other's, and every rule still holds.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

# The path of a library, as the loader would find it.
find_library() {
    for directory in /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib; do
        if [ -e "$directory/$1" ]; then
            echo "$directory/$1"
            return
        fi
    done
}

# Runs a test program under libpymalloc and another allocator.
passes_with() {
    status=0
    LD_PRELOAD="$library:$1" "$top_builddir/test/$2" >"$scratch/log" 2>&1 || status=$?
    if [ "$status" -ne 0 ] || grep -q '^not ok\|^Bail out' "$scratch/log"; then
        echo "status $status" >>"$scratch/log"
        tail -n 40 "$scratch/log" | note
        return 1
    fi
}

check_with() {
    path=$(find_library "$2")
    if [ -n "$path" ]; then
        check "$1" passes_with "$path" "$3"
    else
        skip "$1" "$2 is not installed"
    fi
}

# check_all LIBRARY PROGRAM...
check_all() {
    other=$1
    shift
    for program; do
        check_with "$program in front of $other" "$other" "$program"
    done
}

plan 15
check_with "large blocks come from jemalloc" libjemalloc.so.2 compose_probe
check_all libjemalloc.so.2 \
    api_malloc api_aligned api_realloc api_free cxx_new life_order
# Debian's tcmalloc has no sizes for blocks from before its own constructor, and
# its mimalloc misaligns memalign(256, 1024), both without us, too.
check_all libtcmalloc_minimal.so.4 \
    api_malloc api_aligned api_realloc api_free cxx_new
check_all libmimalloc.so.2 api_malloc api_realloc api_free
done_testing
