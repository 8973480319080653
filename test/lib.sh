# shellcheck shell=sh
# What the shell tests share: TAP, where things are, programs built on the spot.
# To be sourced.  Nothing here needs more than POSIX sh.

: "${srcdir:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${top_srcdir:=$srcdir}"
: "${top_builddir:=$top_srcdir}"
: "${CC:=cc}"
: "${CXX:=c++}"

library=$top_builddir/lib/.libs/libpymalloc.so
archive=${library%.so}.a

# Nothing may pass, or be skipped, because there is nothing to test; but a test that
# builds a library itself (needs_library=no) needs none.
if [ "${needs_library:-yes}" = yes ] && ! [ -e "$library" ]; then
    echo "Bail out! there is no $library"
    exit 1
fi

tap_number=0
tap_red=0

plan() {
    echo "1..$1"
}

plan_skip() {
    echo "1..0 # SKIP $1"
    exit 0
}

# check NAME COMMAND...: the command's status is the verdict.  Inside it set -e
# does not hold.
check() {
    tap_number=$((tap_number + 1))
    check_name=$1
    shift
    if "$@"; then
        echo "ok $tap_number - $check_name"
    else
        echo "not ok $tap_number - $check_name"
        tap_red=1
    fi
}

skip() {
    echo "1..0 # SKIP $1"
    exit 0
}

# ok NAME: the status of the last command is the verdict.
ok() {
    ok_status=$?
    tap_number=$((tap_number + 1))
    if [ "$ok_status" -eq 0 ]; then
        echo "ok $tap_number - $1"
    else
        echo "not ok $tap_number - $1"
        tap_red=1
    fi
}

skip() {
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1 # SKIP $2"
}

# Diagnostics from standard input.
note() {
    sed 's/^/#   /'
}

# same A B: whether they are; says so if not.
same() {
    [ "$1" = "$2" ] && return 0
    printf 'got:\n%s\nwanted:\n%s\n' "$1" "$2" | note
    return 1
}

done_testing() {
    exit "$tap_red"
}

# quietly COMMAND...: what it writes is shown only if it fails.
quietly() {
    "$@" >"$scratch/quietly" 2>&1 || {
        note <"$scratch/quietly"
        return 1
    }
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# A directory of this test, gone when it ends.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/pymalloc-test.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# What the environment of a developer must not decide.
unset PYMALLOC LD_PRELOAD MALLOC_ARENA_MAX MALLOC_CHECK_ \
    MALLOC_PERTURB_ GLIBC_TUNABLES || true
