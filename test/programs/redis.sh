# redis: every data type, redis-benchmark, a forked save and a restart.
. "$PROGRAMS/common.sh"
needs redis-server redis-cli redis-benchmark perl

start() {
    subject redis-server --port 0 --unixsocket "$WORK/socket" --dir "$WORK" \
        --save '' --enable-debug-command yes --daemonize no --io-threads 2 >>server.log &
    server=$!
    await redis-cli -s socket ping
}
cli() {
    redis-cli -s socket "$@"
}
# show TEXT: prints what the data is, with a label.
show() {
    echo "$1: $(cli dbsize) keys, digest $(cli debug digest)"
}

start
perl -e '
    my $state = 1;
    sub draw { $state = ($state * 1103515245 + 12345) % 2147483648; return $state % $_[0] }
    for my $i (1 .. 150_000) {
        my ($k, $v) = (draw(3000), "v" x draw(300) . $i);
        my $kind = draw(10);
        print $kind == 0 ? "SET s$k $v" : $kind == 1 ? "APPEND s$k $v"
            : $kind == 2 ? "HSET h$k f" . draw(200) . " $v" : $kind == 3 ? "RPUSH l$k $v $i"
            : $kind == 4 ? "SADD set$k m" . draw(500) : $kind == 5 ? "ZADD z$k $i m" . draw(500)
            : $kind == 6 ? "LPOP l$k" : $kind == 7 ? "DEL s$k h" . draw(3000)
            : $kind == 8 ? "XADD x$k $i-1 field $v" : "PFADD p$k $v", "\r\n";
    }' >commands
cli --pipe <commands >pipe.log
grep 'errors: 0' pipe.log
show loaded

cli eval 'local sum = 0
    for i = 0, 2999 do
        for _, member in ipairs(redis.call("SMEMBERS", "set" .. i)) do
            sum = sum + #member
        end
        redis.call("SUNIONSTORE", "union" .. i % 50, "union" .. i % 50, "set" .. i)
    end
    return sum' 0
for key in 1 2 3; do
    cli sort "union$key" alpha limit 0 3
    cli zrange "z$key" 0 2 withscores
done
show joined

# Load from many clients, on another database; its keys are random.
for threads in 1 2; do
    redis-benchmark -s socket --dbnum 1 -q -n 20000 -r 20000 -c 30 -P 8 -d 200 --threads $threads \
        -t set,get,incr,lpush,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset >benchmark.log
    tr '\r' '\n' <benchmark.log | grep -c 'requests per second, p50'
done
cli -n 1 flushdb async
show benchmarked

# A snapshot by a forked child, while the parent goes on.
cli bgsave
grep -v '^XADD' commands | cli --pipe >pipe.log
grep 'errors: 0' pipe.log
saved() {
    cli info persistence | grep -q 'rdb_bgsave_in_progress:0'
}
await saved
cli info persistence | grep -o 'rdb_last_bgsave_status:[a-z]*'
show 'loaded again'
cli memory purge
cli save
stop $server

start
show restarted
cli flushall sync
show flushed
stop $server
