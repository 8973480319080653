#!/bin/sh
# The heap profile, the option "profile": that its figures are right, where it is written,
# and that programs see no difference.
set -eu
export LC_ALL=C
# shellcheck source=lib.sh
. "${srcdir:-$(dirname "$0")/..}/test/lib.sh"

probe=$top_builddir/test/profile_probe
have python3 || plan_skip "there is no python3"

run() { # option, act
    rm -f "$scratch"/*.heap
    PYMALLOC=$1,profile_file:$scratch/%n.heap "$probe" "$2" >"$scratch/out" \
        2>"$scratch/places" || {
        note <"$scratch/places"
        return 1
    }
}

has() { # profile, expression...
    python3 "$top_srcdir/test/profile_check.py" "$scratch/places" "$@" >"$scratch/wrong" \
        2>&1 || {
        note <"$scratch/wrong"
        return 1
    }
}

told() { # option, act, expression...
    run "$1" "$2" || return 1
    shift 2
    has "$scratch/1.heap" "$@" "about['reason'] == 'exit'"
}

# Ten profiles of 20000 blocks from each place: within a tenth, which is 4.8 standard errors
# of the smallest sum and more of the others, of which the seed is not ours to choose.
on_average() {
    : >"$scratch/sums"
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        run profile:4k turns && has "$scratch/1.heap" \
            "print(p['small'][3], p['other'][3], p['zeroed'][3], p['large'][3]) or True" ||
            return 1
        cat "$scratch/wrong" >>"$scratch/sums"
    done
    awk '{ a += $1; b += $2; c += $3; d += $4 }
        function off(sum, wanted) { return sum / NR < wanted * 0.9 || sum / NR > wanted * 1.1 }
        END {
            print "# bytes on average:", a / NR, b / NR, c / NR, d / NR
            exit off(a, 960000) || off(b, 960000) || off(c, 2240000) || off(d, 40000000)
        }' "$scratch/sums"
}

called() {
    run profile:1 dump && mv "$scratch/out" "$scratch/called" &&
        has "$scratch/called" "p['held'][:2] == [200, 200000]" "about['reason'] == 'call'"
}

by_fork() {
    rm -f "$scratch"/*.heap
    PYMALLOC=profile:1,profile_file:$scratch/of-%p.heap "$probe" forks 2>"$scratch/places" ||
        return 1
    ls "$scratch"/of-*.heap | sort -t- -k3n >"$scratch/files"
    same "$(wc -l <"$scratch/files")" 2 || return 1
    while read -r file; do
        if has "$file" "p['child'][0] == 0" "p['held'][0] == 200" >/dev/null; then
            parent=$file
        elif has "$file" "p['child'][:2] == [40, 40 * 304]" "p['held'][0] == 200"; then
            child=$file
        fi
    done <"$scratch/files"
    [ -n "${parent:-}" ] && [ -n "${child:-}" ]
}

where_it_runs() {
    mkdir "$scratch/here"
    (cd "$scratch/here" && PYMALLOC=profile:1 "$probe" hold 2>/dev/null) &&
        ls "$scratch/here" | grep -q '^pymalloc\.[0-9]*\.1\.heap$'
}

on_demand() {
    rm -f "$scratch"/*.heap
    mkfifo "$scratch/in" "$scratch/pid"
    PYMALLOC=profile:1,serve:1,signal:10,profile_file:$scratch/%n.heap "$probe" sleep \
        <"$scratch/in" >"$scratch/pid" 2>"$scratch/places" &
    exec 3>"$scratch/in" 4<"$scratch/pid"
    read -r pid <&4
    python3 -c '
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect("\0pymalloc." + sys.argv[1])
client.sendall(b"profile\n")
while part := client.recv(65536):
    sys.stdout.buffer.write(part)
' "$pid" >"$scratch/served"
    kill -10 "$pid"
    waited=0
    until [ -s "$scratch/1.heap" ] || [ "$waited" -eq 100 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    exec 3>&- 4<&-
    wait
    has "$scratch/served" "p['held'][0] == 200" "about['reason'] == 'served'" &&
        has "$scratch/1.heap" "p['held'][0] == 200" "about['reason'] == 'signal'" &&
        has "$scratch/2.heap" "p['held'][0] == 200" "about['reason'] == 'exit'"
}

# The snapshot has the samples.
in_snapshots() {
    PYMALLOC=profile:1,stats:json,stats_file:$scratch/s.json,profile_file:/dev/null \
        "$probe" hold 2>/dev/null && python3 -c '
import json, sys
samples = json.load(open(sys.argv[1]))["samples"]
held = [s for s in samples["live"] if s["weight_bytes"] == 1000 and s["size"] == 1000]
assert samples["interval_bytes"] == 1 and len(held) == 200, len(held)
assert all(s["frames"] and int(s["address"], 16) % 16 == 0 for s in held)
' "$scratch/s.json"
}

passes() { # program
    status=0
    PYM_TEST_OPS=20000 PYMALLOC=profile:$2,profile_file:/dev/null "$top_builddir/test/$1" >"$scratch/log" 2>&1 ||
        status=$?
    if [ "$status" -ne 0 ] || grep -q '^not ok\|^Bail out\|^pymalloc: ' "$scratch/log"; then
        note <"$scratch/log"
        return 1
    fi
}

# The probe is linked with the library, which would be the hardened one's system allocator.
hardened() {
    PYTHONMALLOC=malloc LD_PRELOAD=${library%.so}-hardened.so \
        PYMALLOC=profile:1,profile_file:$scratch/python.heap \
        python3 -c 'keep = [str(i) * 50 for i in range(3000)]; import os; os.kill' &&
        python3 -c '
import sys
lines = open(sys.argv[1]).read().split("\n")
own = [int(x, 16) for line in lines if "hardened" in line and " r-xp " in line
       for x in line.split()[0].split("-")]
stacks = [[int(x, 16) for x in line.split()[1:]] for line in lines if line.startswith("@")]
assert len(own) == 2 and len(stacks) > 100, (own, len(stacks))
assert not any(own[0] <= frame < own[1] for stack in stacks for frame in stack[:1])
assert int(lines[1].split()[3].strip("[:")) > 5000, lines[1]
' "$scratch/python.heap"
}

# Its blocks have no word in front.
on_jemalloc() {
    LD_PRELOAD=$library:$jemalloc run profile:1 hold && has "$scratch/1.heap" \
        "p['held'] == [200, 200000, 300, 300000]" &&
        LD_PRELOAD=$library:$jemalloc run profile:1 grow && has "$scratch/1.heap" \
        "p['grown'][:2] == [1, 5000]" && LD_PRELOAD=$library:$jemalloc passes stress_model 2k
}

no_profile() {
    rm -f "$scratch"/*.heap
    PYMALLOC=profile_file:$scratch/1.heap "$probe" hold 2>/dev/null &&
        ! [ -e "$scratch/1.heap" ]
}

plan 21
check "every block, if told so" told profile:1 turns \
    "p['small'] == [0, 0, 20000, 960000]" "p['other'] == [0, 0, 20000, 960000]" \
    "p['zeroed'] == [0, 0, 20000, 2240000]" "total[3] < 50000000"
check "a sample of them, on average" on_average
check "what is live" told profile:1 hold "p['held'] == [200, 200000, 300, 300000]"
check "aligned blocks" told profile:1 aligned "p['aligned'][:3] == [0, 0, 1000]"
check "blocks that grow" told profile:1 grow "p['grown'][:2] == [1, 5000]" \
    "p['grown'][2] >= 30"
check "blocks that grow, some of them samples" told profile:64k grow "p['grown'][2] > 0"
check "what was live at the peak" told profile:1 peak "peak['peak'] == [100, 1000000]" \
    "peak['other'] == [0, 0]" "p['peak'][:2] == [0, 0]" "p['other'][:2] == [50, 500000]"
check "blocks of a thread that has ended" told profile:1 threads \
    "p['thread'] == [40, 40 * 208, 100, 100 * 208]"
check "code made at run time" told profile:1 jit "p['held'] == [200, 200000, 300, 300000]"
check "a child has its own" by_fork
check "by a call" called
check "by a signal, and for the tool" on_demand
check "in snapshots" in_snapshots
check "in the folder where it runs" where_it_runs
check "in the hardened library" hardened
check "none without the option" no_profile
jemalloc=$(ldconfig -p 2>/dev/null | awk '/libjemalloc\.so\.2/ { print $NF; exit }')
if [ -n "$jemalloc" ]; then
    check "on another system allocator" on_jemalloc
else
    skip "on another system allocator" "there is no libjemalloc.so.2"
fi
check "forks while its lock is held" passes life_points_core 4k
check "stress_model with many samples" passes stress_model 2k
check "stress_model with some" passes stress_model 64k
check "stress_handoff with many samples" passes stress_handoff 2k
done_testing
