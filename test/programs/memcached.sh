# memcached: values of all sizes from four threads of clients.
. "$PROGRAMS/common.sh"
needs memcached python3

# As root it wants to be told a user.
[ "$(id -u)" -ne 0 ] || as_user='-u root'
# shellcheck disable=SC2086 # $as_user is two arguments or none
subject memcached ${as_user:-} -s "$WORK/socket" -t 4 -m 128 -o modern &
server=$!
await test -S socket
python3 "$INPUTS/memcached_client.py" socket
stop $server
