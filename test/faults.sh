#!/bin/sh
# The kernel refuses memory to whole programs: the n-th mmap, mprotect, munmap, madvise,
# mremap or brk after the loader is done fails with ENOMEM (strace injects it), once or
# from then on; and all of them together from some point on.  A program may end with an error of its own, but not by a signal, and
# must not hang.  Where it dies of the same signal on glibc's malloc as well, when any
# call of that name or all together fail, that is the program's own fault, and said.
#
# A sample of some seconds.  PYM_TEST_FAULTS=all, as make check-faults has it, tries
# every n for all programs, with guarded blocks and under the hardened library, too.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

: "${PYM_TEST_FAULTS:=sample}"
: "${PYM_TEST_OPS:=3000}"
export PYM_TEST_OPS
# The same work each time.
export PERL_HASH_SEED=0 PYTHONHASHSEED=0
ulimit -c 0

hardened=$top_builddir/lib/.libs/libpymalloc-hardened.so
every_call="mmap mprotect munmap madvise mremap brk"

have strace || plan_skip "strace is not installed"
strace -qq -f --seccomp-bpf -o /dev/null -e trace=brk true 2>/dev/null ||
    plan_skip "strace cannot trace here"

# The programs and what they do, a fraction of a second each.
cd "$scratch"
cat >work.awk <<'END'
BEGIN { for (i = 0; i < 30000; i++) t[i % 3000] = t[i % 3000] i; print length(t[7]) }
END
cat >work.bash <<'END'
for ((i = 0; i < 3000; i++)); do a[i]="$i ${a[i / 2]}"; done; echo "${#a[2999]}"
END
cat >work.lua <<'END'
local t = {} for i = 1, 9000 do t[i] = { i, tostring(i) .. string.rep("x", i % 700) } end
END
cat >work.pl <<'END'
my %h; $h{$_ % 2000} .= "$_ " x 3 for 1 .. 20000; print length(join "", values %h), "\n"
END
cat >work.py <<'END'
x = [str(i) * (i % 90) for i in range(9000)]; print(len("".join(x)))
END
cat >work.sql <<'END'
CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
  WHERE i < 5000) SELECT i, hex(i * 7919) AS h FROM n;
SELECT count(*), max(h) FROM (SELECT * FROM t ORDER BY h);
END
cat >work.c <<'END'
#define F(n) static int f##n(int x) { int s = 0; while (x--) s += x * n; return s; }
F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
int main(void) { return f1(2) + f2(3) + f3(4) + f4(5) + f5(6) + f6(7) + f7(8) + f8(9); }
END
awk 'BEGIN { for (i = 0; i < 40000; i++) print i * 7919 % 40009 }' >work.lines

# glibc aborts where it cannot unmap the stack of a thread.  The stress programs have
# threads, and are linked with the library, so that they cannot be tried on glibc's
# malloc alone.
calls_of() {
    case $1 in
    stress_*) echo mmap mprotect madvise mremap brk ;;
    *) echo "$every_call" ;;
    esac
}

command_of() {
    case $1 in
    awk) echo awk -f work.awk ;;
    bash) echo bash work.bash ;;
    cc1) echo "$($CC -print-prog-name=cc1) -quiet -O2 work.c -o /dev/null" ;;
    lua5.4) echo lua5.4 work.lua ;;
    perl) echo perl work.pl ;;
    python3) echo "$(readlink -f /usr/bin/python3) -I work.py" ;;
    sort) echo sort -n --parallel=2 work.lines ;;
    sqlite3) echo sqlite3 -init work.sql :memory: .quit ;;
    stress_*) echo "$top_builddir/test/$1" ;;
    esac
}

# traced LIBRARY OPTION PROGRAM STRACE-OPTION...: the program on the library, none for
# glibc's malloc.
traced() {
    on=$1 option=$2 program=$3
    shift 3
    status=0
    # shellcheck disable=SC2046 # a command and its arguments
    timeout -s KILL 120 strace -f -qq --seccomp-bpf ${on:+-E LD_PRELOAD="$on"} \
        -E PYMALLOC="$option" "$@" -- $(command_of "$program") \
        </dev/null >"$scratch/out" 2>&1 || status=$?
}

# The options for one call, or for all of them from N 64ths of their number on.
inject() { # call, n or n+
    case $1 in
    together)
        awk -v part="${2%+}" '{ from = $2 + int(($3 - $2) * part / 64)
            what = $1 == "brk" ? "retval=0" : "error=ENOMEM"
            print "-e inject=" $1 ":" what ":when=" from "+" }' "$scratch/ranges"
        echo "-o /dev/null -e trace=$(echo "$calls" | tr ' ' ,)"
        ;;
    # The kernel says by an unchanged break that it refuses; libc knows nothing else.
    brk) echo "-o /dev/null -e trace=brk -e inject=brk:retval=0:when=$2" ;;
    *) echo "-o /dev/null -e trace=$1 -e inject=$1:error=ENOMEM:when=$2" ;;
    esac
}

# "CALL FIRST LAST" for each call: those after the loader's last, which unmaps its
# cache when it has protected what it relocated.  strace counts each thread's own.
ranges() {
    awk -v calls="$calls" '
        { name = $2; sub(/\(.*/, "", name); n[$1, name]++; pid = first ? first : $1
          first = pid; if (n[$1, name] > most[name]) most[name] = n[$1, name] }
        !done { before[name]++ }
        name == "mprotect" && /PROT_READ\)/ { protected = 1 }
        name == "munmap" && protected { done = 1 }
        END { count = split(calls, c); for (i = 1; i <= count; i++)
                  print c[i], before[c[i]] + 1, most[c[i]] + 0 }' "$scratch/calls"
}

is_death() { # 124 and 137: killed as it hung, the others: by signals of errors
    case $1 in 124 | 13[0-9] | 159) return 0 ;; *) return 1 ;; esac
}

# Whether the program on glibc's malloc ends so for any failure of that call, or of all
# together: glibc has other ways to get memory where one call fails.
dies_on_glibc() { # program, call, plus, status
    wanted=$4 n=1 last=63
    case $1 in stress_*) return 1 ;; esac
    if [ "$2" = together ]; then
        traced "" "" "$1" -o "$scratch/calls" -e "trace=$(echo "$calls" | tr ' ' ,)"
        ranges >"$scratch/ranges"
        n=0
    else
        traced "" "" "$1" -o "$scratch/calls" -e "trace=$2"
        last=$(wc -l <"$scratch/calls")
    fi
    while [ "$n" -le "$last" ]; do
        # shellcheck disable=SC2046 # options
        traced "" "" "$1" $(inject "$2" "$n$3")
        [ "$status" -ne "$wanted" ] || return 0
        n=$((n + 1))
    done
    [ "$2" != together ] && dies_on_glibc "$1" together + "$4"
}

# Tries each n of one call from first to last, in steps.
refuse() { # library, option, program, call, first, last, step, plus
    n=$5
    while [ "$n" -le "$6" ]; do
        # shellcheck disable=SC2046 # options
        traced "$1" "$2" "$3" $(inject "$4" "$n$8")
        tries=$((tries + 1))
        [ "$status" -eq 0 ] || errors=$((errors + 1))
        if is_death "$status"; then
            died=$status at=$n
            head -n 5 "$scratch/out" | cut -c 1-160 >"$scratch/words"
            if (dies_on_glibc "$3" "$4" "$8" "$died"); then
                own=$((own + 1))
            else
                echo "$3: $4 number $at$8 refused: status $died" | note
                note <"$scratch/words"
                faults=$((faults + 1))
            fi
            cp "$scratch/tried" "$scratch/ranges"
            n=$at
        fi
        n=$((n + $7))
    done
}

survives() { # library, option, program, tries a call at most
    calls=$(calls_of "$3")
    traced "$1" "$2" "$3" -o "$scratch/calls" -e "trace=$(echo "$every_call" | tr ' ' ,)"
    same "$status" 0 || return 1
    ranges >"$scratch/ranges"
    cp "$scratch/ranges" "$scratch/tried"
    tries=0 errors=0 own=0 faults=0
    while read -r call first last; do
        step=$(((last - first) / $4 + 1))
        for plus in "" +; do
            refuse "$1" "$2" "$3" "$call" "$first" "$last" "$step" "$plus"
        done
    done <"$scratch/tried"
    refuse "$1" "$2" "$3" together 0 63 $(($4 < 8 ? 64 / $4 : 8)) +
    echo "$3: $tries tries, $errors ended with an error, $own of them on glibc's" \
        "malloc alone as well by a signal" | note
    [ "$tries" -gt 0 ] && [ "$faults" -eq 0 ]
}

try() { # library, name, option, program, tries
    name="$4 on $2${3:+ with $3}"
    # shellcheck disable=SC2046 # a command and its arguments
    set -- "$@" $(command_of "$4")
    if have "$6"; then
        check "$name" survives "$1" "$3" "$4" "$5"
    else
        skip "$name" "$6 is not installed"
    fi
}

everything="stress_model stress_handoff awk bash cc1 lua5.4 perl python3 sort sqlite3"
# perl cannot bear it where each block may be refused: it writes to what Perl_Slab_Alloc
# did not get, and asks for memory without end to say that there is none.
bearing=$(echo "$everything" | sed 's/ perl / /')
if [ "$PYM_TEST_FAULTS" = all ]; then
    plan 25
    for program in $everything; do
        try "$library" libpymalloc "" "$program" 100000
    done
    for program in $bearing; do
        try "$hardened" libpymalloc-hardened "" "$program" 25
    done
    for program in stress_handoff lua5.4 perl python3 sort sqlite3; do
        try "$library" libpymalloc guard:20 "$program" 25
    done
else
    plan 5
    try "$library" libpymalloc "" lua5.4 2
    try "$library" libpymalloc "" sort 2
    try "$library" libpymalloc guard:20 perl 1
    try "$hardened" libpymalloc-hardened "" lua5.4 1
    try "$library" libpymalloc "" stress_model 1
fi
done_testing
