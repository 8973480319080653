/* Aligned blocks, small and large, allocated and freed at once. */
#include "micro.h"

static void aligned(gbench_state *state, void *arg)
{
    size_t alignment = (size_t)gbench_arg(state, 0);
    size_t size = (size_t)gbench_arg(state, 1);
    uintptr_t bits = 0;

    (void)arg;
    GBENCH_LOOP(state)
    {
        void *block = bench_hide(aligned_alloc(alignment, size));

        bits |= (uintptr_t)block;
        free(block);
    }
    if ((bits & (alignment - 1)) != 0)
        gbench_skip(state, "a block is not aligned");
    gbench_items(state, gbench_iterations(state));
}

static void memalign_free(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        void *block = NULL;

        if (posix_memalign(&block, 64, size) != 0) {
            gbench_skip(state, "posix_memalign failed");
            break;
        }
        free(bench_hide(block));
    }
    gbench_items(state, gbench_iterations(state));
}

void micro_register_aligned(void)
{
    static const int64_t shapes[][2] = {{16, 64},     {64, 64},   {64, 512},
                                        {256, 256},   {64, 4096}, {4096, 4096},
                                        {4096, 65536}};
    gbench *b = gbench_register("aligned_alloc_free", aligned, NULL);

    gbench_arg_names(b, (const char *const[]){"align", "size"}, 2);
    for (size_t i = 0; i < BENCH_COUNT(shapes); i++)
        gbench_add_args(b, shapes[i], 2);

    b = gbench_register("posix_memalign_free", memalign_free, NULL);
    gbench_arg_names(b, (const char *const[]){"size"}, 1);
    gbench_add_arg(b, 64);
    gbench_add_arg(b, 1024);
    micro_thread_counts(b);
}
