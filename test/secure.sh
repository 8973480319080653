#!/bin/sh
# Programs with more rights than their user: the environment does not steer
# them.  Programs that cannot be taken over: the preload does them no harm.
set -eu
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"
# shellcheck disable=SC2154 # of lib.sh
[ -e "$archive" ] || plan_skip "this build has no archive"

# Linked with the archive, since a setuid program of another user may not find
# a shared library in a build directory.
probe=$top_builddir/test/option_probe_static
chmod 755 "$scratch"

# A copy that belongs to another user than the one that will run it.
copy() {
    cp "$1" "$scratch/$2" && chown 65534 "$scratch/$2" && chmod "$3" "$scratch/$2"
}

# Runs a command as a user who is neither root nor the owner of the copies.
as_user() {
    setpriv --reuid=65533 --regid=65533 --clear-groups -- "$@"
}

why_not() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "needs root"
    elif ! have setpriv; then
        echo "setpriv is not installed"
    elif ! copy "$probe" setuid 4755 2>/dev/null || ! copy "$probe" ordinary 755 ||
        ! as_user "$scratch/setuid" >/dev/null 2>&1; then
        echo "no setuid program can be run from ${TMPDIR:-/tmp}"
    fi
}

reason=$(why_not)

check_if_possible() {
    if [ -n "$reason" ]; then
        skip "$1" "$reason"
    else
        check "$@"
    fi
}

# says PROGRAM SETTING: all that the program writes with PYMALLOC=SETTING.
says() {
    PYMALLOC=$2 as_user "$scratch/$1" cache 2>&1
}

# Without this the next ones prove nothing.
ordinary_obeys() {
    same "$(says ordinary cache:77)" cache=77
}

setuid_ignores() {
    same "$(says setuid "$1")" "$(says setuid "")"
}

survives_in_setuid() {
    copy "$top_builddir/test/fresh_probe" fresh_setuid 4755 &&
        LD_PRELOAD=$library as_user "$scratch/fresh_setuid" >"$scratch/out" 2>&1 &&
        [ -s "$scratch/out" ]
}

survives_in_static() {
    "$scratch/static" 64 >"$scratch/without" 2>&1 &&
        LD_PRELOAD=$library "$scratch/static" 64 >"$scratch/with" 2>&1 &&
        same "$(grep -c '^[0-9]' "$scratch/with")" "$(grep -c '^[0-9]' "$scratch/without")"
}

plan 6
check_if_possible "an ordinary program obeys PYMALLOC" ordinary_obeys
for setting in cache:77 help nonsense:1; do
    check_if_possible "a setuid program ignores PYMALLOC=$setting" setuid_ignores "$setting"
done
check_if_possible "a preload into a setuid program is harmless" survives_in_setuid
name="a preload into a static program is harmless"
if $CC -static -o "$scratch/static" "$top_srcdir/test/fresh_probe.c" 2>/dev/null; then
    check "$name" survives_in_static
else
    skip "$name" "there is no static C library"
fi
done_testing
