# node: buffers, JSON, compression, ciphers, worker threads.
. "$PROGRAMS/common.sh"
needs node
subject node "$INPUTS/work.js"
