<?php
// Deterministic work for PHP.
ini_set('memory_limit', '1G');
mt_srand(12345);

class Node
{
    public array $children = [];
    public function __construct(public string $name, public ?Node $parent = null) {}
}

// A tree with cycles, dropped and collected.
for ($round = 0; $round < 4; $round++) {
    $root = new Node('root');
    $all = [$root];
    for ($i = 0; $i < 40000; $i++) {
        $parent = $all[mt_rand(0, count($all) - 1)];
        $all[] = $parent->children[] = new Node(str_repeat('n', mt_rand(1, 60)), $parent);
    }
    echo "tree $round ", array_sum(array_map(fn($n) => strlen($n->name), $all)), "\n";
    unset($root, $all, $parent);
    echo 'collected ', gc_collect_cycles() > 0 ? 'some' : 'none', "\n";
}

// Arrays: packed, hashed, nested, sorted.
$map = [];
for ($i = 0; $i < 300000; $i++) {
    $map['key' . mt_rand(0, 50000)][] = $i;
    if ($i % 7 == 0) {
        unset($map['key' . mt_rand(0, 50000)]);
    }
}
ksort($map, SORT_STRING);
echo 'map ', count($map), ' ', hash('sha256', json_encode($map)), "\n";
usort($map, fn($a, $b) => count($b) <=> count($a) ?: $a[0] <=> $b[0]);
echo 'usort ', hash('sha256', serialize(array_slice($map, 0, 5000))), "\n";
echo 'round trip ', unserialize(serialize($map)) == $map ? 'same' : 'different', "\n";

// Strings and regular expressions.
$text = '';
for ($i = 0; $i < 100000; $i++) {
    $text .= "line $i " . str_repeat(chr(97 + $i % 26), mt_rand(0, 30)) . "\n";
}
echo 'text ', hash('sha256', $text), "\n";
$swapped = preg_replace_callback('/(\d+) (\w+)/', fn($m) => "$m[2] $m[1]", $text);
echo 'preg ', hash('sha256', $swapped), ' ', preg_match_all('/a+$/m', $text), "\n";
echo 'explode ', count(array_unique(explode(' ', strtr($text, "\n", ' ')))), "\n";
$packed = gzcompress($text, 6);
echo 'zlib ', strlen($packed), ' ', gzuncompress($packed) === $text ? 'same' : 'different', "\n";

// Generators, closures, heaps, documents.
$squares = (function () { for ($i = 0; $i < 100000; $i++) { yield $i => $i * $i; } })();
$sum = 0;
foreach ($squares as $square) {
    $sum += $square % 97;
}
echo "generator $sum\n";
$queue = new SplPriorityQueue();
for ($i = 0; $i < 50000; $i++) {
    $queue->insert("job$i", [mt_rand(0, 9999), $i]);
}
for ($i = 0; $i < 3; $i++) {
    echo $queue->extract(), "\n";
}
$children = [];
for ($i = 0; $i < 3; $i++) {
    if (($pid = pcntl_fork()) == 0) {
        file_put_contents("child$i", count(array_filter($map, fn($v) => count($v) > $i)));
        exit(0);
    }
    $children[] = $pid;
}
foreach ($children as $i => $pid) {
    pcntl_waitpid($pid, $status);
    echo "child $status ", file_get_contents("child$i"), "\n";
}
