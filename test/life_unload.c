/* Libraries that come and go.  Blocks of one that was unloaded stay what they
 * were, and the program frees them; nothing grows with the number of turns. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BLOCKS = 300, TURNS = 300, THREADS = 3 };

struct module {
    void *handle;
    void *(*block)(size_t);
    void (*use)(size_t);
    void (*keep)(void);
};

static void symbol(struct module *m, void *function, const char *name)
{
    void *address = dlsym(m->handle, name);
    if (!address) {
        tap_bail_out("dlsym: %s", dlerror());
    }
    memcpy(function, &address, sizeof address);
}

static void load(struct module *m)
{
    m->handle = dlopen(UNLOAD_MODULE, RTLD_NOW | RTLD_LOCAL);
    if (!m->handle) {
        tap_bail_out("dlopen: %s", dlerror());
    }
    symbol(m, &m->block, "module_block");
    symbol(m, &m->use, "module_use");
    symbol(m, &m->keep, "module_keep");
}

static void unload(struct module *m)
{
    CHECK_EQ(dlclose(m->handle), 0, "dlclose");
    void *still = dlopen(UNLOAD_MODULE, RTLD_NOW | RTLD_NOLOAD);
    CHECK(!still, "the library is still there, so this proves nothing");
}

static size_t size_of(size_t i)
{
    return i % 10 ? i * 16 % 513 : i * 200;
}

static uint64_t live_blocks(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.small_live;
}

static void blocks_outlive_the_library(void)
{
    struct module m;
    unsigned char *block[BLOCKS];
    load(&m);
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = m.block(size_of(i));
        pattern_fill(block[i], size_of(i), i);
    }
    unload(&m);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = size_of(i), kept = size;
        if (i % 3 == 0) {
            block[i] = realloc(block[i], size * 2 + 1);
        }
        CHECK(pattern_holds(block[i], kept, i), "a block of %zu", size);
        CHECK(malloc_usable_size(block[i]) >= size, "a block of %zu", size);
        free(block[i]);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void turns_leave_nothing(void)
{
    uint64_t before = 0;
    for (size_t turn = 0; turn < TURNS; turn++) {
        struct module m;
        load(&m);
        m.use(turn);
        void *p = m.block(turn), *q = m.block(turn * 50);
        unload(&m);
        free(p);
        free(q);
        before = turn == 20 ? live_blocks() : before;
    }
    CHECK(live_blocks() <= before + 8, "%d turns left %jd blocks", TURNS,
          (intmax_t)(live_blocks() - before));
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ---- beside threads that use it, and that allocate */

static _Atomic int over;

static void *allocates(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    void *held[100] = {NULL};
    while (!atomic_load(&over)) {
        void **slot = &held[rng_below(&rng, COUNT_OF(held))];
        free(*slot);
        *slot = malloc(rng_below(&rng, 2000));
    }
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        free(held[i]);
    }
    return NULL;
}

/* A thread with a value for the module's key ends while the module is loaded, so
 * that the module's destructor runs beside ours. */
static void *uses_the_module(void *arg)
{
    struct module *m = arg;
    free(m->block(100));
    m->keep();
    return m->block(200);
}

static void turns_with_threads(void)
{
    pthread_t busy[THREADS], user;
    atomic_store(&over, 0);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&busy[i], NULL, allocates, (void *)i);
    }
    uint64_t before = 0;
    for (size_t turn = 0; turn < TURNS / 2; turn++) {
        struct module m;
        void *p = NULL;
        load(&m);
        if (pthread_create(&user, NULL, uses_the_module, &m) != 0) {
            tap_bail_out("pthread_create failed");
        }
        m.use(turn);
        pthread_join(user, &p);
        unload(&m);
        free(p);
    }
    atomic_store(&over, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(busy[i], NULL);
    }
    for (size_t turn = 0; turn < 20; turn++) {
        struct module m;
        load(&m);
        unload(&m);
        before = turn == 0 ? live_blocks() : before;
    }
    CHECK(live_blocks() <= before + 8, "%jd blocks are left",
          (intmax_t)(live_blocks() - before));
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static const struct tap_case cases[] = {
    {"blocks outlive the library that allocated them", blocks_outlive_the_library},
    {"a library that comes and goes leaves nothing", turns_leave_nothing},
    {"it comes and goes beside threads", turns_with_threads},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
