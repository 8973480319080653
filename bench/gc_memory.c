/*
 * Memory: what lies beside the payload, what a forked child copies.
 */
#include "gc_work.h"

#include <sys/wait.h>

/* The number after a name in /proc/self/smaps_rollup, in KiB; exact, other than those
 * of /proc/self/status. */
static size_t maps_kb(const char *key)
{
    char text[8192];
    bench_read_file("/proc/self/smaps_rollup", text, sizeof text);
    const char *found = strstr(text, key);
    if (found == NULL) {
        bench_die("no %s in /proc/self/smaps_rollup", key);
    }
    return strtoul(found + strlen(key), NULL, 10);
}

/* ---- overhead ---- */

/* Bytes that an object takes beyond its payload rounded up to 16. */
static double overhead_of(size_t payload, size_t count)
{
    size_t before = maps_kb("Rss:");
    for (size_t i = 0; i < count; i++) {
        backend_object(payload);
    }
    double each = (double)(maps_kb("Rss:") - before) * 1024 / (double)count;
    return each - (double)((payload + 15) / 16 * 16);
}

size_t overhead(void)
{
    size_t count = scaled(250000), sizes = 0;
    double sum = 0, least = 1e9, most = 0;
    backend_automatic(0);
    for (size_t payload = 16; payload <= PAYLOAD_MAX; payload += 8) {
        double one = overhead_of(payload, count);
        sizes++;
        sum += one;
        least = one < least ? one : least;
        most = one > most ? one : most;
    }
    result_add("overhead=%.2f overhead_least=%.2f overhead_most=%.2f",
               sum / (double)sizes, least, most);
    return count * sizes;
}

/* ---- fork ---- */

/* A list of trees, until that many KiB are resident; counts the nodes. */
static node *fill(size_t kb, size_t *count)
{
    enum { TREE = 8191 };
    node *list = node_new();
    for (*count = 1; bench_rss_kb() < kb; *count += TREE + 1) {
        node *next = node_new(), *tree = plant(TREE, NULL, NULL);
        node_store(next, &next->a, list);
        node_store(next, &next->b, tree);
        node_drop(tree);
        node_drop(list);
        list = next;
    }
    return list;
}

static size_t dirty_after_collection(void)
{
    backend_collect();
    return maps_kb("Private_Dirty:");
}

/* What a function returns in a child. */
static size_t in_child(size_t (*function)(void))
{
    size_t result = 0;
    int ends[2], status;
    if (pipe(ends) != 0) {
        bench_die("pipe: %s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        result = function();
        _exit(write(ends[1], &result, sizeof result) != sizeof result);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &result, sizeof result) != sizeof result ||
        waitpid(child, &status, 0) != child || status != 0) {
        bench_die("the child failed");
    }
    close(ends[0]);
    return result;
}

size_t forked(void)
{
    size_t count;
    node *volatile list = fill(scaled(1024 * 1024), &count);
    backend_collect();
    size_t heap = maps_kb("Rss:");
    work_begins();
    size_t dirty = in_child(dirty_after_collection);
    work_ends();
    result_add("heap_kb=%zu dirty_kb=%zu dirty_share=%.4f", heap, dirty,
               (double)dirty / (double)heap);
    return list != NULL ? count : 0;
}
