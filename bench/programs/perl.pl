# Hashes, arrays, strings, regular expressions and sorting in Perl.
use strict;
use warnings;

my $seed = 1;

sub random {
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    return int($seed / 65536) % $_[0];
}

my (%index, @records);
for my $i (1 .. 110_000) {
    my $name = join '-', map { chr(97 + random(26)) x (1 + random(4)) } 1 .. 3;
    push @records, { id => $i, name => $name, tags => [random(10), random(10)] };
    push @{ $index{ substr $name, 0, 3 } }, $records[-1];
    if (@records > 20_000) {
        splice @records, 0, 10_000;
        %index = ();
    }
}

my $text = join "\n", map { "$_->{id};$_->{name};@{ $_->{tags} }" } @records;
my %seen;
my $total = 0;
for my $round (1 .. 8) {
    for my $line (split /\n/, $text) {
        my ($id, $name, $tags) = split /;/, $line;
        (my $short = $name) =~ s/(\w)\1+/$1/g;
        $seen{$short}{$tags} += $id;
        $total += () = $name =~ /[aeiou]/g;
    }
}

my @order = sort { keys %{ $seen{$b} } <=> keys %{ $seen{$a} } || $a cmp $b } keys %seen;
print "$total ", scalar(@order), " $order[0] $order[-1]\n";
