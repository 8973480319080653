#!/bin/sh
# PYMALLOC in the environment.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/option_probe

# with SETTING OPTION...: runs the probe with PYMALLOC=SETTING; it prints the
# options into $out, and whatever libpymalloc has to say goes to $err.
with() {
    setting=$1
    shift
    status=0
    PYMALLOC=$setting "$probe" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    out=$(cat "$scratch/out")
    err=$(cat "$scratch/err")
    same "$status" 0
}

lines_of_err() {
    grep -c . "$scratch/err" || true
}

# gives SETTING OUTPUT OPTION...: and nothing is said about it.
gives() {
    wanted=$2
    with_setting=$1
    shift 2
    with "$with_setting" "$@" && same "$out" "$wanted" && same "$err" ""
}

# warns_once SETTING OPTION VALUE WORD: in one line, with the word in it, and the
# option has the value.
warns_once() {
    with "$1" "$2" && same "$(lines_of_err)" 1 && same "$out" "$2=$3" || return 1
    case $err in
    *"$4"*) ;;
    *) same "$err" "a line with $4" ;;
    esac
}

warns_once_with_threads_and_children() {
    PYM_TEST_FORK=1
    export PYM_TEST_FORK
    warns_once "$@"
    result=$?
    unset PYM_TEST_FORK
    return "$result"
}

helps() {
    with help && same "$out" "" || return 1
    for option in help stats cache decay remote header deepbind reserve; do
        grep -q "$option.*default" "$scratch/err" || same "$err" "a line on $option" ||
            return 1
    done
}

reports() {
    with stats:1 && same "$out" "" && [ "$(lines_of_err)" -ge 3 ]
}

with "" cache && cache=${out#cache=}
with "" decay && decay=${out#decay=}
long=$(printf '%01000d' 0)
both="cache=12345
decay=17"

plan 18
check "an empty setting is silent" gives "" "cache=$cache" cache
check "an option is taken" gives cache:12345 cache=12345 cache
check "a list of options is taken" gives cache:12345,decay:17 "$both" cache decay
check "the last of several settings counts" gives cache:1,cache:2 cache=2 cache
check "a size may have a suffix" gives cache:64k cache=65536 cache
check "empty items are ignored" gives ,cache:12345,,decay:17, "$both" cache decay
check "an unknown option warns once" warns_once nonsense:1 cache "$cache" nonsense
check "a bad value warns once and the default stays" \
    warns_once cache:banana cache "$cache" banana
check "a missing value warns once" warns_once cache: cache "$cache" cache
check "a negative value warns once" warns_once cache:-1 cache "$cache" cache
check "a value out of range warns once" warns_once cache:2g cache "$cache" cache:2g
check "a value out of all range warns once" \
    warns_once decay:99999999999999999999999 decay "$decay" decay
check "a very long name is no trouble" warns_once "n$long:1" cache "$cache" n000
check "a bad option does not spoil a good one" \
    warns_once nonsense:1,cache:777 cache 777 nonsense
check "threads and children do not warn again" \
    warns_once_with_threads_and_children nonsense:1 cache "$cache" nonsense
check "help lists every option with its default, on standard error" helps
check "stats prints a report at the end, on standard error" reports
check "the address range can be turned off" gives reserve:0 reserve=0 reserve
done_testing
