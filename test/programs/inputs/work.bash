# Deterministic work for bash: arrays, strings, functions, subshells, pipelines.
set -eu

# A sieve in an indexed array.
declare -a composite
limit=40000 count=0 last=0
for ((i = 2; i <= limit; i++)); do
    if [[ -z ${composite[i]:-} ]]; then
        count=$((count + 1)) last=$i
        for ((j = i * i; j <= limit; j += i)); do
            composite[j]=1
        done
    fi
done
echo "primes to $limit: $count, the last $last"

# Word counts in an associative array, with keys of all lengths.
declare -A seen
state=1
for ((i = 0; i < 30000; i++)); do
    state=$(((state * 1103515245 + 12345) % 2147483648))
    printf -v key 'key-%0*d' $((state % 60 + 1)) $((state % 997))
    seen[$key]=$((${seen[$key]:-0} + 1))
done
total=0
for key in "${!seen[@]}"; do
    total=$((total + seen[$key]))
done
echo "keys ${#seen[@]}, total $total"
for key in "${!seen[@]}"; do echo "$key ${seen[$key]}"; done | sort | cksum

# Strings that grow, and pattern substitution over them.
text=
for ((i = 0; i < 4000; i++)); do
    text+="line $i;"
done
short=${text//line /}
echo "${#text} ${#short} ${text:1000:24} ${short%%;9*}" | cksum

# Recursion with command substitution: a process for each level.
depth() {
    if (($1 == 0)); then echo 0; else echo $(($(depth $(($1 - 1))) + 1)); fi
}
echo "depth $(depth 60)"

# Here documents, process substitution, read loops, jobs.
paste -d: <(printf '%s\n' {1..500}) <(printf '%s\n' {a..z}{a..z} | head -n 500) |
    while IFS=: read -r number word; do
        echo "$word$number"
    done | cksum
for job in 1 2 3 4; do
    (
        sum=0
        for ((i = 0; i < 20000; i++)); do sum=$((sum + i * job)); done
        echo "job $job $sum" >"job.$job"
    ) &
done
wait
cat job.1 job.2 job.3 job.4

# A trap and a large environment for a child.
for ((i = 0; i < 300; i++)); do
    export "VARIABLE_$i=$(printf '%0200d' "$i")"
done
bash -c 'set | grep -c ^VARIABLE_'
trap 'echo "bye from the trap"' EXIT
