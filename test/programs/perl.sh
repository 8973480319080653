# perl: hashes, strings, regular expressions, closures, fork, threads.
. "$PROGRAMS/common.sh"
needs perl
PERL_HASH_SEED=0 subject perl "$INPUTS/work.pl"
