#!/bin/sh
# Static probes: that they are in the library, and that a debugger that stops at each finds
# the arguments that probe.h tells of.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/profile_probe
grep -q '^#define HAVE_SYS_SDT_H 1' "$top_builddir/config.h" ||
    plan_skip "the library was built without <sys/sdt.h>"
have readelf || plan_skip "there is no readelf"
have gdb || plan_skip "there is no gdb"

readelf -nW "$library" >"$scratch/notes" 2>/dev/null

is_there() { # provider, name, number of arguments
    awk -v provider="$1" -v name="$2" -v arguments="$3" '
        / Provider: / { found = $NF == provider }
        $1 == "Name:" { found = found && $2 == name }
        $1 == "Arguments:" && found { good = NF - 1 == arguments }
        END { exit !good }' "$scratch/notes"
}

# stops PROBE ACT EXPRESSION: at the first time, with an expression of the arguments that
# is true.
stops() {
    cat >"$scratch/commands" <<END
set pagination off
set debuginfod enabled off
set breakpoint pending on
set environment PYMALLOC=$option
break main
run $2 >/dev/null 2>&1
break -probe-stap $1
continue
printf "reached %d\n", $3
kill
END
    timeout 60 gdb -nx -q -batch -x "$scratch/commands" "$probe" >"$scratch/log" 2>&1 || true
    grep -q '^reached 1$' "$scratch/log" || {
        note <"$scratch/log"
        return 1
    }
}

plan 12
check "arena_made is there" is_there pymalloc arena_made 1
check "arena_purged is there" is_there pymalloc arena_purged 2
check "pool_made is there" is_there pymalloc pool_made 2
check "pool_freed is there" is_there pymalloc pool_freed 2
check "inbox_drained is there" is_there pymalloc inbox_drained 2
check "large is there" is_there pymalloc large 2
check "alloc of OpenTelemetry's contract is there" is_there otel_memory alloc 3
check "free of it is there" is_there otel_memory free 1
echo 'int main(void) { return 0; }' >"$scratch/empty.c"
if $CC -o "$scratch/empty" "$scratch/empty.c" 2>/dev/null &&
    gdb -nx -q -batch -ex run "$scratch/empty" 2>&1 | grep -q 'exited normally'; then
    option=decay:0
    check "a pool is made" stops pymalloc:pool_made turns '$_probe_arg0 % 16384 == 0 && $_probe_arg1 != 0'
    check "a large block" stops pymalloc:large turns '$_probe_arg0 % 16 == 0 && $_probe_arg1 > 512'
    option=profile:1,profile_file:/dev/null
    check "a sample" stops otel_memory:alloc hold \
        '$_probe_arg0 % 16 == 0 && $_probe_arg1 <= $_probe_arg2 && $_probe_arg2 < 10000'
    check "a sample is freed" stops otel_memory:free turns '$_probe_arg0 % 16 == 0'
else
    for name in "a pool is made" "a large block" "a sample" "a sample is freed"; do
        skip "$name" "gdb cannot run programs here"
    done
fi
done_testing
