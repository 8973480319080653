#!/bin/sh
# A leak of 1% in a program of 200 MiB is found in the ways that README.md tells, at the top
# of what the commands there print.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$(cd "$top_builddir" && pwd)/test/leak_probe
pymalloc=$(cd "$top_builddir" && pwd)/tools/pymalloc

have python3 || plan_skip "there is no python3"
"$pymalloc" check "$probe" >/dev/null 2>&1 || plan_skip "libpymalloc cannot take over here"
cd "$scratch"

# The first function of the first stack that is not the program's own way to get memory.
culprit() { # report
    awk '/^1\. / { found = 1 } /^     / && found && $1 != "get" { print $1; exit }' "$1"
}

in_one_that_ends() {
    "$pymalloc" profile --leaks -- "$probe" end >report 2>&1 || return 1
    note <report
    same "$(culprit report)" open_session && same "$(grep -c '^[0-9]*\. ' report)" 1
}

in_one_that_stays() {
    mkfifo in out
    "$pymalloc" run --option profile:128k --option serve:1 -- "$probe" stay <in >out &
    exec 3>in 4<out
    read -r pid <&4
    "$pymalloc" profile --growth 3 "$pid" >report 2>&1 && verdict=0 || verdict=1
    exec 3>&- 4<&-
    wait
    note <report
    [ "$verdict" -eq 0 ] && same "$(culprit report)" open_session
}

plan 2
check "in a program that ends" in_one_that_ends
check "in a program that stays" in_one_that_stays
done_testing
