# tar: an archive of many files, through xz with two threads, and back.
. "$PROGRAMS/common.sh"
needs tar xz perl

perl -MFile::Path -e '
    my $state = 1;
    for my $i (0 .. 1999) {
        my $dir = join "/", "tree", $i % 5, $i % 7, $i % 3;
        mkpath $dir;
        open my $file, ">", "$dir/" . "n" x (1 + $i % 120) . $i or die;
        for (1 .. $i % 200) {
            $state = ($state * 1103515245 + 12345) % 2147483648;
            print $file "$state $_ some words that repeat\n";
        }
    }'
ln -s 0/0 tree/symbolic
find tree | sort >list

subject tar -c --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner \
    -f plain.tar tree
digest plain.tar
digest_of subject tar -tvf plain.tar
subject xz -T2 -6 --block-size=1MiB -c plain.tar >threads.tar.xz
subject xz -T1 -4 -c plain.tar >one.tar.xz
digest threads.tar.xz one.tar.xz
digest_of subject xz --robot -lvv threads.tar.xz
subject xz -T2 -t threads.tar.xz one.tar.xz
mkdir out
# Here tar starts xz itself.
subject tar -C out -xJf threads.tar.xz
diff -r tree out/tree
subject tar -cJf again.tar.xz --no-recursion -T list
subject tar -df again.tar.xz
