# git: commits, branches, merges, log, blame, repacking, verification.
. "$PROGRAMS/common.sh"
needs git perl

GIT_AUTHOR_NAME=author GIT_AUTHOR_EMAIL=author@example.org
GIT_COMMITTER_NAME=committer GIT_COMMITTER_EMAIL=committer@example.org
GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
export GIT_AUTHOR_DATE GIT_COMMITTER_DATE GIT_CONFIG_NOSYSTEM

# write_tree ROUND: changes some of 1500 files in 30 directories.
write_tree() {
    perl -e '
        my $round = shift;
        for my $i (0 .. 1499) {
            next if $round && ($i * 7 + $round) % 11;
            my $dir = "dir" . $i % 30;
            mkdir $dir;
            open my $file, ">", "$dir/file$i" or die;
            print $file "line $_ of $i", ($_ * 31 + $i) % 17 < $round ? " in $round" : "", "\n"
                for 1 .. 20 + $i % 150;
            close $file;
        }' "$1"
}

# The disk is not under test.
git config --global core.fsync none
subject git init -q -b main tree
cd tree
git config gc.auto 0
for round in 0 1 2 3 4 5 6; do
    write_tree "$round"
    subject git add -A
    subject git commit -q -m "round $round"
done

# Two branches that touch different directories, merged; a third, rebased.
subject git checkout -q -b left HEAD~3
echo left >dir1/left && git add -A && subject git commit -q -m left
subject git checkout -q -b right HEAD~2
echo right >dir2/right && git add -A && subject git commit -q -m right
subject git merge -q -m merge left main
subject git checkout -q left
subject git rebase -q main

subject git log --all --graph --stat --format='%h %s %an' >../log
subject git log --all -p --full-history >../patches
subject git diff --shortstat HEAD~5 HEAD
digest_of subject git diff --word-diff HEAD~2 HEAD
digest_of subject git blame dir3/file33
digest_of subject git grep -c 'in 5'
subject git repack -q -a -d -f --depth=20 --window=10
subject git gc -q --aggressive --prune=now
subject git fsck --full --strict
subject git clone -q --no-local . ../clone
digest_of subject git -C ../clone archive --format=tar origin/main
digest_of subject git -C ../clone cat-file --batch-all-objects --batch-check
git for-each-ref
cd ..
digest log patches
