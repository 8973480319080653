# nginx: files, compression, a cache behind a proxy, TLS, a reload.
. "$PROGRAMS/common.sh"
needs nginx curl perl openssl pgrep

mkdir site cache temporary
perl -e '
    for my $i (0 .. 199) {
        open my $file, ">", "site/$i.txt" or die;
        print $file "line $_ of $i\n" x (1 + $i % 13) for 1 .. 5 + $i * 3;
        close $file;
        open $file, ">", "site/$i.shtml" or die;
        print $file "<p><!--#include virtual=\"/$i.txt\" --><!--#echo var=\"arg_x\" --></p>\n";
    }'
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
    -subj /CN=localhost 2>openssl.log

user=
[ "$(id -u)" -ne 0 ] || user='user root;'
cat >nginx.conf <<END
$user
daemon off;
worker_processes 2;
pid $WORK/pid;
error_log $WORK/error.log warn;
events { worker_connections 512; }
http {
    access_log $WORK/access.log combined buffer=32k;
    client_body_temp_path temporary/body;
    proxy_temp_path temporary/proxy;
    fastcgi_temp_path temporary/fastcgi;
    scgi_temp_path temporary/scgi;
    uwsgi_temp_path temporary/uwsgi;
    proxy_cache_path $WORK/cache levels=1:2 keys_zone=pages:1m max_size=8m;
    types { text/plain txt; text/html shtml; }
    server {
        listen unix:$WORK/plain;
        root $WORK/site;
        gzip on;
        gzip_types text/plain;
        ssi on;
        location = /status { stub_status; }
        location /alias/ { rewrite ^/alias/(.*)-(\\d+)\$ /\$2.txt last; }
    }
    server {
        listen unix:$WORK/tls ssl;
        ssl_certificate $WORK/cert.pem;
        ssl_certificate_key $WORK/key.pem;
        location / {
            proxy_pass http://unix:$WORK/plain:;
            proxy_cache pages;
            proxy_cache_valid 200 1h;
            sub_filter_types text/plain;
            sub_filter 'line 7' 'LINE SEVEN';
        }
    }
}
END
subject nginx -p "$WORK" -e "$WORK/error.log" -c "$WORK/nginx.conf" &
server=$!

# fetch NAME SOCKET SCHEME: all pages, in parallel, printed as one digest.
fetch() {
    mkdir "$1"
    perl -e '
        my ($name, $scheme) = @ARGV;
        for my $i (0 .. 199) {
            for my $page ("$i.txt", "$i.shtml?x=$i", "alias/any-$i", "missing-$i") {
                (my $file = $page) =~ tr|/?|__|;
                print "url = \"$scheme://localhost/$page\"\noutput = \"$name/$file\"\n";
            }
        }' "$1" "$3" >"$1.curl"
    curl -s -k --compressed --parallel --parallel-max 20 --unix-socket "$2" -K "$1.curl" 2>"$1.log"
    find "$1" -type f | wc -l
    (cd "$1" && sha256sum -- *) | sha256sum
}
await curl -s --unix-socket plain http://localhost/status
fetch plain.out plain http
fetch tls.out tls https
# New workers; once the old ones are gone, the cache answers what it can.
old=$(pgrep -P $server)
kill -HUP $server
gone() {
    for pid in $old; do
        ! kill -0 "$pid" || return 1
    done
}
await gone
fetch cached.out tls https
stop $server QUIT
# The requests that failed by design, and no worse trouble.
grep -c 'missing-' access.log
if grep -E '\[(alert|crit|emerg)\]' error.log >&2; then
    exit 1
fi
