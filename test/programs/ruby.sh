# ruby: objects, strings, JSON, Marshal, threads, fork, compaction.
. "$PROGRAMS/common.sh"
needs ruby
subject ruby "$INPUTS/work.rb"
