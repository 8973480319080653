# Deterministic work for perl.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use List::Util qw(reduce sum);
use POSIX qw(_exit);
use Storable qw(freeze thaw dclone);

my $state = 12345;
sub draw { $state = ($state * 1103515245 + 12345) % 2147483648; return $state % $_[0]; }

# A hash of arrays of hashes, grown and thinned.
my %tree;
for my $i (1 .. 150_000) {
    push @{ $tree{ 'branch' . draw(997) } }, { id => $i, text => 'x' x draw(40) };
    delete $tree{ 'branch' . draw(997) } if $i % 50 == 0;
}
my $leaves = sum map { scalar @$_ } values %tree;
my $bytes = sum map { length $_->{text} } map { @$_ } values %tree;
print "tree: ", scalar(keys %tree), " $leaves $bytes\n";
my $copy = dclone(\%tree);
my $frozen = freeze($copy);
print "clone: ", scalar(keys %{ thaw($frozen) }), " ", length($frozen), "\n";
undef $copy;

# Text: words, substitution, sprintf, join, sort.
my @words = map { join '', map { chr(97 + draw(26)) } 1 .. 1 + draw(12) } 1 .. 60_000;
my %count;
$count{$_}++ for @words;
my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "words: ", scalar(@sorted), " $sorted[0] ", sha256_hex(join ',', @sorted), "\n";
my $text = join ' ', @words;
(my $swapped = $text) =~ s/(\w)(\w+)/$2$1/g;
my @doubles = $text =~ /\b(\w*(\w)\2\w*)\b/g;
print "text: ", sha256_hex($swapped), " ", scalar(@doubles), "\n";
my $table = '';
$table .= sprintf "%-20s|%08d|%.3f\n", $_, $count{$_}, length($_) / 7 for @sorted[0 .. 9999];
print "table: ", sha256_hex($table), "\n";

# Closures and objects that die in destructors.
package Counted { my $live = 0; sub new { $live++; return bless { data => [ 1 .. 5 ] }, shift }
    sub DESTROY { $live-- } sub live { $live } }
package main;
my @adders = map { my $n = $_; sub { $_[0] + $n } } 1 .. 20_000;
print "closures: ", (reduce { $b->($a) } 0, @adders), "\n";
my @objects = map { Counted->new } 1 .. 50_000;
splice @objects, draw(scalar @objects), 1 for 1 .. 200;
$#objects = 999;
print "objects: ", Counted::live(), "\n";
undef @objects;
print "objects: ", Counted::live(), "\n";

# String evaluation makes and drops code.
my $sum = 0;
$sum += eval "my \@v = (1 .. $_ % 17); scalar(\@v) * $_" for 1 .. 3000;
print "eval: $sum\n";

# Children that inherit the heap and free much of it.
$| = 1;
for my $child (1 .. 4) {
    my $pid = open(my $pipe, '-|') // die "fork: $!";
    if ($pid == 0) {
        delete $tree{$_} for grep { draw(4) == $child - 1 } sort keys %tree;
        print "child $child: ", scalar(keys %tree), "\n";
        exit 0;
    }
    print <$pipe>;
    close $pipe or die "child: $?";
}

# Threads clone the whole interpreter.
require threads;
my @threads = map { my $n = $_; threads->create(sub { my %h; $h{ $_ % 1000 } .= 'y' for 1 .. 30_000 * $n;
    return sum map { length } values %h }) } 1 .. 3;
print "threads: ", join(' ', map { $_->join } @threads), "\n";
