#!/bin/sh
# Address space that is limited: the range for small blocks is then smaller or
# absent, and nothing else changes.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/limit_probe
most=40 # MiB that the probe tries to allocate

# The value of a field of the probe's line in $seen.
field() {
    printf '%s\n' "$seen" | sed "s/.*$1=\([0-9]*\).*/\1/"
}

# The probe says nothing on standard error, large blocks work, running out says
# ENOMEM (12), nothing is damaged, what was freed serves again, and half of the
# limit can be had in small blocks.
holds_under() {
    limit=$1
    seen=$( (ulimit -v "$limit" && exec "$probe" $most) 2>"$scratch/err") || {
        echo "the probe ended with status $?: $seen" | note
        note <"$scratch/err"
        return 1
    }
    echo "$limit KiB: $seen" | note
    same "$(cat "$scratch/err")" "" && same "$(field large)$(field sound)" 11 || return 1
    first=$(field first)
    if [ "$first" -lt $((most << 20)) ]; then
        same "$(field error)" 12 || return 1
    fi
    free=$(((limit - $(field used_kb)) * 1024 + $(field reserved)))
    [ "$free" -le $((most << 20)) ] || free=$((most << 20))
    if [ "$first" -lt $((free / 2)) ]; then
        echo "only $first of $free bytes were given" | note
        return 1
    fi
    if [ "$(field again)" -lt $((first / 10 * 9)) ]; then
        echo "$first bytes at first, $(field again) again" | note
        return 1
    fi
}

# A smaller range is a range: small blocks are still ours.
ours_under() {
    seen=$( (ulimit -v "$1" && exec "$probe" 1) 2>&1) && same "$(field owns)" 1
}

# Mappings that the system accounts for strictly.  This is a setting of the
# whole machine, so the limit is set far from what is in use.
overcommit=/proc/sys/vm/overcommit
put_back() {
    echo "$mode" >${overcommit}_memory
    echo "$ratio" >${overcommit}_ratio
}
holds_without_overcommit() {
    mode=$(cat ${overcommit}_memory)
    ratio=$(cat ${overcommit}_ratio)
    trap 'put_back; rm -rf "$scratch"' EXIT
    echo 500 >${overcommit}_ratio
    echo 2 >${overcommit}_memory
    seen=$("$probe" 64 2>&1) || true
    put_back
    echo "$seen" | note
    same "$(field owns)$(field large)$(field sound)" 111 &&
        same "$(field first)" "$(field again)"
}

# Memory that a control group limits, version 1 or 2: there the kernel refuses nothing,
# but kills who has too much.
groups=/sys/fs/cgroup
[ ! -d $groups/memory ] || groups=$groups/memory
group=$groups/pymalloc-test-$$

make_group() { # bytes
    mkdir "$group" 2>/dev/null || return 1
    for file in memory.max memory.limit_in_bytes; do
        if [ -w "$group/$file" ] && [ -w "$group/cgroup.procs" ] &&
            echo "$1" >"$group/$file" 2>/dev/null && sh -c "echo \$\$ >$group/cgroup.procs"; then
            return 0
        fi
    done
    rmdir "$group"
    return 1
}

in_group() { # command...
    # shellcheck disable=SC2016 # for the inner shell
    sh -c 'echo $$ >"$0" && exec "$@"' "$group/cgroup.procs" "$@"
}

# What was freed serves again, so that twice half of the limit is had, and no more.
half_of_group() {
    seen=$(in_group "$probe" 32 2>&1) || return 1
    echo "$seen" | note
    same "$(field owns)$(field large)$(field sound)" 111 &&
        same "$(field first)$(field again)" "$(field again)$(field first)" &&
        [ "$(field first)" -ge $((32 << 20)) ]
}

killed_in_group() {
    status=0
    in_group "$probe" 200 >/dev/null 2>&1 || status=$?
    same "$status" 137
}

plan 13
for limit in 8192 16384 32768 65536 131072 204800 1048576 33554432; do
    if (ulimit -v "$limit") 2>/dev/null; then
        check "ulimit -v $limit" holds_under "$limit"
    else
        skip "ulimit -v $limit" "the limit cannot be set"
    fi
done
for limit in 204800 1048576; do
    check "ulimit -v $limit: small blocks are ours" ours_under "$limit"
done
if [ "${PYM_TEST_OVERCOMMIT:-}" != 1 ]; then
    skip "overcommit off" "changes the machine; PYM_TEST_OVERCOMMIT=1 asks for it"
elif ! [ -w ${overcommit}_memory ]; then
    skip "overcommit off" "may not be changed here"
else
    check "overcommit off" holds_without_overcommit
fi
if make_group $((64 << 20)); then
    trap 'rmdir "$group"; rm -rf "$scratch"' EXIT
    check "a memory group of 64 MiB: half of it, twice" half_of_group
    check "a memory group of 64 MiB: more ends by SIGKILL" killed_in_group
else
    skip "a memory group: half of it, twice" "a limited group cannot be made here"
    skip "a memory group: more ends by SIGKILL" "a limited group cannot be made here"
fi
done_testing
