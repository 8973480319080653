/*
 * False sharing, after the cache-thrash and cache-scratch programs of Berger et al.
 * ("Hoard: A Scalable Memory Allocator for Multithreaded Applications", 2000).  Threads
 * write many times to tiny blocks of their own.
 *
 * Variants: "thrash" (active): does the allocator give pieces of one cache line to
 * different threads?  "scratch" (passive): each thread begins by freeing a block that
 * the main thread gave it, one of a row on the same cache line; does the allocator then
 * hand those pieces out again to the threads that freed them?
 *
 * The total work is the same for any number of threads.
 */
#include "common.h"

enum { BLOCK = 8, WRITES = 400, BLOCKS = 4000000 };

struct plan {
    size_t blocks;   /* for each thread */
    void **presents; /* one for each thread; NULL in thrash */
};

static void write_much(unsigned char *block, unsigned char byte)
{
    volatile unsigned char *p = block;

    for (size_t i = 0; i < BLOCK; i++)
        p[i] = byte;
    for (size_t i = 0; i < WRITES; i++)
        p[i % BLOCK]++;
    for (size_t i = 0; i < BLOCK; i++) {
        if (p[i] != (unsigned char)(byte + WRITES / BLOCK))
            bench_die("a block of %d bytes has wrong data", BLOCK);
    }
}

static void work(size_t index, void *arg)
{
    const struct plan *plan = arg;

    if (plan->presents != NULL)
        bench_block_free(plan->presents[index]);
    for (size_t i = 0; i < plan->blocks; i++) {
        void *block = bench_must(malloc(BLOCK));

        write_much(block, (unsigned char)index);
        free(block);
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"thrash", "scratch", NULL};
    struct bench_args args = bench_parse_args(argc, argv, variants, 2);
    struct plan plan = {bench_scaled(&args, BLOCKS) / args.threads + 1, NULL};
    double seconds;

    if (strcmp(args.variant, "scratch") == 0) {
        plan.presents = bench_map(args.threads * sizeof *plan.presents);
        for (size_t i = 0; i < args.threads; i++)
            plan.presents[i] = bench_block_new(BLOCK, (unsigned)i);
    }
    seconds = bench_run_threads(args.threads, work, &plan);
    bench_result("falseshare", &args, args.threads * plan.blocks, seconds);
    return 0;
}
