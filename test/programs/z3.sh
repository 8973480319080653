# z3: integers, bit vectors, arrays, models, unsatisfiable cores.
. "$PROGRAMS/common.sh"
needs z3 perl
subject z3 "$INPUTS/work.smt2"

# Queens as integers, with the model.
perl -e '
    my $n = 22;
    print "(declare-const q$_ Int)(assert (and (<= 0 q$_) (< q$_ $n)))\n" for 1 .. $n;
    for my $i (1 .. $n) {
        for my $j ($i + 1 .. $n) {
            my $d = $j - $i;
            print "(assert (distinct q$i q$j (+ q$j $d)))(assert (distinct q$i (- q$j $d)))\n";
        }
    }
    print "(check-sat)(get-model)\n"' >queens.smt2
subject z3 queens.smt2
subject z3 smt.random_seed=5 queens.smt2

# Ten pigeons in nine holes, as propositions: unsatisfiable after long search.
perl -e '
    my ($p, $h) = (10, 9);
    for my $i (1 .. $p) {
        print "(declare-const p${i}_$_ Bool)" for 1 .. $h;
        print "(assert (or ", join(" ", map { "p${i}_$_" } 1 .. $h), "))\n";
    }
    for my $k (1 .. $h) {
        for my $i (1 .. $p) {
            print "(assert (not (and p${i}_$k p${_}_$k)))\n" for $i + 1 .. $p;
        }
    }
    print "(check-sat)\n"' >pigeons.smt2
subject z3 -st pigeons.smt2 >statistics
grep -E 'sat|conflicts|decisions|propagations' statistics
subject z3 parallel.enable=true parallel.threads.max=2 pigeons.smt2
