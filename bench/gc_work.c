/*
 * What a program does with a graph of objects, under the layer that gc_backend.h was
 * told: one workload a process.
 *
 *     trees    binary trees of depth 18 made and dropped, beside a long-lived one
 *     gcbench  trees of depths 4 to 16, made from the top and from the bottom
 *     rings    a million rings of ten nodes, all garbage
 *     ring     one ring of ten million, garbage
 *     chain    a chain of ten million, dropped by its head
 *     wide     full collections of an object with ten million references
 *     dag      a million nodes whose edges to older ones are changed
 *     web      two million nodes, edges at random, changed at random
 *     live     full collections of a tree of two million in the order of allocation
 *     liveweb  full collections of a random web of two million
 *     churn    ten million live nodes, fifty million young ones, of which one in a
 *              hundred ends in a cycle
 *     rewrite  a million nodes, edges at random, a hundred million changes, of which
 *              one in sixteen replaces a node
 *     linear   what churn does, from the first node on, with eight million
 *     overhead memory of objects of 16 to 256 bytes
 *     fork     a full collection in a child, beside 1 GiB of live nodes
 *
 * SCALE multiplies the sizes, and with LENGTH how long it goes on; PAUSE is the pause
 * target in nanoseconds, where there is such a thing.  Prints one line:
 *
 *     result name=... backend=... version=... seconds=... ops=... peak_rss_kb=...
 *
 * followed on it by what workloads have found out beyond that.
 */
#include "gc_work.h"

static double scale = 1, length = 1;
static struct bench_rng rng;
static double begin, end, excluded;
static char additions[4096];
static size_t additions_length;

static size_t times(size_t n, double factor)
{
    size_t result = (size_t)((double)n * factor);
    return result > 64 ? result : 64;
}

size_t scaled(size_t objects)
{
    return times(objects, scale);
}

size_t lengthened(size_t steps)
{
    return times(steps, scale * length);
}

size_t any(size_t below)
{
    return bench_rng_below(&rng, below);
}

void work_begins(void)
{
    begin = bench_now();
    excluded = 0;
}

void work_ends(void)
{
    end = bench_now();
}

void work_excludes(double seconds)
{
    excluded += seconds;
}

void result_add(const char *format, ...)
{
    size_t room = sizeof additions - additions_length;
    va_list args;
    va_start(args, format);
    additions[additions_length] = ' ';
    int added = vsnprintf(additions + additions_length + 1, room - 1, format, args);
    va_end(args);
    if (added < 0 || (size_t)added + 1 >= room) {
        bench_die("too many results");
    }
    additions_length += (size_t)added + 1;
}

node *plant(size_t count, plant_fn *tell, void *arg)
{
    node *root = node_new();
    size_t sizes[] = {(count - 1) / 2, count - 1 - (count - 1) / 2};
    node **slots[] = {&root->a, &root->b};
    root->value = (long)count;
    for (int i = 0; i < 2; i++) {
        if (sizes[i] > 0) {
            node *child = plant(sizes[i], tell, arg);
            node_store(root, slots[i], child);
            node_drop(child);
        }
    }
    if (tell != NULL && count >= 8 && count < 16) {
        tell(root, arg);
    }
    return root;
}

node **make_nodes(size_t count, int only_older)
{
    node **nodes = backend_table(count * sizeof *nodes);
    backend_automatic(0);
    for (size_t i = 0; i < count; i++) {
        nodes[i] = node_new();
    }
    for (size_t i = 1; i < count; i++) {
        node_store(nodes[i], &nodes[i]->a, nodes[any(only_older ? i : count)]);
        node_store(nodes[i], &nodes[i]->b, nodes[any(only_older ? i : count)]);
    }
    backend_automatic(1);
    return nodes;
}

size_t collect_repeatedly(size_t objects)
{
    enum { FULL = 5 };
    backend_collect();
    work_begins();
    for (int i = 0; i < FULL; i++) {
        backend_collect();
    }
    work_ends();
    return objects * FULL;
}

static const struct {
    const char *name;
    size_t (*run)(void);
} workloads[] = {
    {"trees", trees},   {"gcbench", gcbench},   {"rings", rings}, {"ring", one_ring},
    {"chain", chain},   {"wide", wide_object},  {"dag", dag},     {"web", web},
    {"live", live},     {"liveweb", live_web},  {"churn", churn}, {"rewrite", rewrite},
    {"linear", linear}, {"overhead", overhead}, {"fork", forked},
};

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s WORKLOAD [SCALE [LENGTH [PAUSE]]]; workloads:", program);
    for (size_t i = 0; i < BENCH_COUNT(workloads); i++) {
        fprintf(stderr, " %s", workloads[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}

static void run(const char *name, size_t (*workload)(void))
{
    work_begins();
    size_t ops = workload();
    double seconds = (end > 0 ? end : bench_now()) - begin - excluded;
    size_t peak = bench_peak_rss_kb();
    backend_report();
    printf("result name=%s backend=%s version=%s seconds=%.6f ops=%zu "
           "peak_rss_kb=%zu%s\n",
           name, backend, backend_version(), seconds, ops, peak, additions);
}

int main(int argc, char **argv)
{
    scale = argc > 2 ? atof(argv[2]) : 1;
    length = argc > 3 ? atof(argv[3]) : 1;
    for (size_t i = 0; argc > 1 && i < BENCH_COUNT(workloads); i++) {
        if (strcmp(argv[1], workloads[i].name) != 0) {
            continue;
        }
        rng = bench_rng_make(20261122);
        backend_start();
        if (argc > 4 && backend_set_pause_target(strtoull(argv[4], NULL, 10)) != 0) {
            bench_die("%s has no pause target", backend);
        }
        run(workloads[i].name, workloads[i].run);
        return 0;
    }
    return usage(argv[0]);
}
