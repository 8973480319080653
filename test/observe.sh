#!/bin/sh
# Reports for programs: the snapshot in JSON, when and where it is written, and the thread
# that answers for a running process.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/observe_probe
checker=$top_srcdir/test/observe_check.py

have python3 || plan_skip "there is no python3"

is_sound() { # file, expression...
    python3 "$checker" "$@" >"$scratch/wrong" 2>&1 || {
        note <"$scratch/wrong"
        return 1
    }
}

called() { # commands of the probe, expression...
    # shellcheck disable=SC2086
    "$probe" $1 >"$scratch/json" || return 1
    shift
    is_sound "$scratch/json" "$@"
}

hardened() {
    LD_PRELOAD=${library%.so}-hardened.so called "hold 1000 40 json 1" \
        "s['library'] == 'hardened'" "c(48)['live_blocks'] >= 1000" \
        "40000 <= c(48)['asked_bytes'] - 40 * (c(48)['live_blocks'] - 1000) <= 48000"
}

at_exit() {
    PYMALLOC=stats:json "$probe" hold 100 48 2>"$scratch/json" && is_sound "$scratch/json" \
        "c(48)['live_blocks'] >= 70" "'map' in s" "s['options']['stats'] == 'json'"
}

to_a_file() {
    pid=$(PYMALLOC=stats:json,stats_file:$scratch/of-%p-%n-%%-%x "$probe" ready) &&
        is_sound "$scratch/of-$pid-1-%-%x" "s['pid'] == $pid"
}

text_to_a_file() {
    PYMALLOC=stats:1,stats_file:$scratch/text "$probe" && grep -q 'small blocks' "$scratch/text"
}

to_nowhere() {
    PYMALLOC=stats:json,stats_file:$scratch/no/where "$probe" 2>"$scratch/err" &&
        same "$(cat "$scratch/err")" \
            "pymalloc: warning: cannot write to the file: $scratch/no/where"
}

# What the program has under our numbers is its own; standard error may be left.
not_into_others() {
    for first in 3 2; do
        PYMALLOC=stats:1,signal:10 "$probe" fill "$first" "$scratch/own" signal \
            2>"$scratch/err" || return 1
        same "$(cat "$scratch/own")" "" || return 1
        [ "$first" -eq 2 ] || grep -q 'small blocks' "$scratch/err" || return 1
    done
    same "$(cat "$scratch/err")" ""
}

no_errors() {
    same "$("$probe" fails)" "$(printf 'flags 1\ndescriptor 1\nprofile 1')"
}

info_agrees() {
    "$probe" hold 5000 100 hold 50 100000 strand 200 xml "$scratch/xml" \
        >"$scratch/json" && is_sound --xml "$scratch/xml" "$scratch/json"
}

stats_agree() {
    "$probe" hold 5000 100 hold 50 100000 stats 2>"$scratch/text" >"$scratch/json" &&
        grep -q "of 112 bytes  $(python3 -c 'import json, sys
c = json.load(sys.stdin)["classes"][6]
print(c["live_blocks"], "live, room for", c["capacity_blocks"], "in", c["pools"], "pools")
' <"$scratch/json")" "$scratch/text"
}

# What mallinfo2 has in use is the system's, ours, and no cached block.
mallinfo_agrees() {
    # shellcheck disable=SC2046
    set -- $("$probe" hold 5000 100 hold 50 100000 info) 0 0 0
    [ "$1" -ge $((5000 * 112 + 50 * 100000)) ] && [ "$3" -ge $((5000 * 112)) ] &&
        [ "$1" -le $((5000 * 112 + 50 * 100000 + 400000)) ]
}

# The signal's report may still be on its way when the program's next one is due.
by_signal() {
    PYMALLOC=stats:json,signal:10,stats_file:$scratch/signal-%n "$probe" hold 9 500 signal \
        hold 9 500 signal && is_sound "$scratch/signal-1" "c(512)['live_blocks'] >= 9" &&
        is_sound "$scratch/signal-2" "c(512)['live_blocks'] >= 18" &&
        is_sound "$scratch/signal-3"
}

# An eventfd looks like any other; the next signal finds a new way.
not_to_others() {
    same "$(PYMALLOC=signal:10,stats_file:$scratch/found-%n "$probe" counters signal signal)" \
        0 && grep -q 'small blocks' "$scratch/found-2"
}

# A child has a way of its own, and what the program decided on the signal.
child_by_signal() {
    PYMALLOC=signal:10,stats_file:$scratch/child "$probe" fork signal &&
        grep -q 'small blocks' "$scratch/child" &&
        PYMALLOC=signal:10,stats_file:$scratch/ignored "$probe" ignore fork signal &&
        ! [ -e "$scratch/ignored" ]
}

ends_with_the_last_thread() {
    for option in serve:1 signal:10; do
        PYMALLOC=stats:1,$option timeout -s KILL 20 "$probe" leave 2>"$scratch/err" &&
            grep -q 'small blocks' "$scratch/err" || return 1
    done
}

# served COMMANDS QUESTION...: the probe is served while the questions are asked.
served() {
    mkfifo "$scratch/in" "$scratch/out"
    # shellcheck disable=SC2086
    PYMALLOC=serve:1 "$probe" $1 ready wait <"$scratch/in" >"$scratch/out" &
    exec 3>"$scratch/in" 4<"$scratch/out"
    rm "$scratch/in" "$scratch/out"
    read -r pid <&4
    shift
    verdict=0
    for question; do
        eval "python3 '$checker' $question" >"$scratch/wrong" 2>&1 || {
            echo "$question" | note
            note <"$scratch/wrong"
            verdict=1
        }
    done
    exec 3>&- 4<&-
    wait
    return "$verdict"
}

# A class's first few blocks come from a coarser one.
plan 30
check "what a call writes is sound" called "json 0" "'map' not in s"
check "with a map" called "hold 1 16 json 1" "len(s['map']) >= 1"
check "blocks are counted" called "hold 12345 48 hold 777 512 hold 3 1000 json 1" \
    "12300 <= c(48)['live_blocks'] < 12400" "777 <= c(512)['live_blocks'] < 790" \
    "s['large']['live_blocks'] >= 3" "s['small']['backlog_blocks'] == 0"
check "blocks on their way back are told" called "strand 300 json 1" \
    "s['small']['backlog_blocks'] == 300" "s['process']['threads'] == 2" \
    "s['heaps']['live'] == 2"
check "the system's memory is told" called "hold 20 1000000 json 0" \
    "s['backend']['mapped_bytes'] + s['backend']['used_bytes'] >= 20000000" \
    "s['process']['rss_bytes'] > 1 << 20" \
    "s['process']['rss_peak_bytes'] >= s['process']['rss_bytes']"
# shellcheck disable=SC2016
check "any name is written" called 'rename "\ json 0' 's["program"] == "\"\\"'
check "the hardened library knows what was asked for" hardened
check "errors of the call" no_errors
check "mallinfo2 tells the same" mallinfo_agrees
check "malloc_info tells the same" info_agrees
check "malloc_stats tells the same" stats_agree
check "at exit" at_exit
check "to a file" to_a_file
check "text to a file" text_to_a_file
check "a file that cannot be" to_nowhere
check "not into files of the program" not_into_others
check "at a signal" by_signal
check "and only to the library itself" not_to_others
check "at a child's signal, unless the program ignores it" child_by_signal
check "a running process answers" served "hold 5000 80" \
    '--ask "$pid" stats "c(80)[\"live_blocks\"] >= 4900" "\"map\" not in s"' \
    '--ask "$pid" map "\"map\" in s" "len(s[\"history\"]) >= 1" "s[\"pid\"] == $pid"' \
    '--ask "$pid" purge "s[\"pools\"][\"dirty_bytes\"] == 0"'
check "and tells what it does not know" served "" \
    '--ask "$pid" nonsense --error' '--ask "$pid" "" --error' '--ask "$pid" profile --error' \
    '--ask "$pid" "$(printf %0100d 0)" --error' '--ask "$pid" stats'
check "whoever else says something without an end" served "" \
    "--beside $(id -u) --ask \$pid stats"
check "a child answers for itself" served "hold 900 496 fork hold 500 496" \
    '--ask "$pid" stats "s[\"pid\"] == $pid" "c(496)[\"live_blocks\"] >= 1390"'
check "and the answer ends in spite of a child" served "forks" '--across --ask "$pid" stats'
check "with all descriptors closed" served "close" '--ask "$pid" stats'
if [ "$(id -u)" -eq 0 ]; then
    check "a process that is not dumpable answers root alone" served "hide" \
        '--as 65534 --ask "$pid" stats --error' '--ask "$pid" stats'
    check "other users are refused" served "" '--as 65534 --ask "$pid" stats --error'
    check "and are not waited for" served "" '--beside 65534 --ask "$pid" stats'
else
    check "a process that is not dumpable answers none" served "hide" \
        '--ask "$pid" stats --error'
    skip "other users are refused" "only root can be another user"
    skip "and are not waited for" "only root can be another user"
fi
check "a program without threads ends" ends_with_the_last_thread
check "nobody answers unless told so" sh -c "'$probe' ready wait </dev/null >'$scratch/pid'
    ! python3 '$checker' --ask \"\$(cat '$scratch/pid')\" stats 2>/dev/null"
done_testing
