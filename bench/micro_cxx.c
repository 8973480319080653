/*
 * C++'s operators from C, under the names that the Itanium ABI gives them where size_t
 * is unsigned long.
 */
#include "micro.h"

void *cxx_new(size_t size) __asm__("_Znwm");
void *cxx_new_array(size_t size) __asm__("_Znam");
void *cxx_new_aligned(size_t size, size_t alignment) __asm__("_ZnwmSt11align_val_t");
void cxx_delete(void *block) __asm__("_ZdlPv");
void cxx_delete_array(void *block) __asm__("_ZdaPv");
void cxx_delete_sized(void *block, size_t size) __asm__("_ZdlPvm");
void cxx_delete_aligned(void *block, size_t alignment) __asm__("_ZdlPvSt11align_val_t");

static void new_delete(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        cxx_delete(bench_hide(cxx_new(size)));
    }
    gbench_items(state, gbench_iterations(state));
}

static void new_delete_sized(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        cxx_delete_sized(bench_hide(cxx_new(size)), size);
    }
    gbench_items(state, gbench_iterations(state));
}

static void new_delete_array(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        cxx_delete_array(bench_hide(cxx_new_array(size)));
    }
    gbench_items(state, gbench_iterations(state));
}

static void new_delete_aligned(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        cxx_delete_aligned(bench_hide(cxx_new_aligned(size, 64)), 64);
    }
    gbench_items(state, gbench_iterations(state));
}

void micro_register_cxx(void)
{
    static const int64_t sizes[] = {16, 64, 256, 512, 1024, 16384};
    static const struct {
        const char *name;
        gbench_fn *fn;
    } forms[] = {
        {"new_delete", new_delete},
        {"new_delete_sized", new_delete_sized},
        {"new_delete_array", new_delete_array},
        {"new_delete_aligned64", new_delete_aligned},
    };

    for (size_t i = 0; i < BENCH_COUNT(forms); i++) {
        gbench *b = gbench_register(forms[i].name, forms[i].fn, NULL);

        gbench_arg_names(b, (const char *const[]){"size"}, 1);
        for (size_t k = 0; k < BENCH_COUNT(sizes); k++)
            gbench_add_arg(b, sizes[k]);
    }
}
