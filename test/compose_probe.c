/* A program linked with no allocator: compose.sh preloads libpymalloc in front
 * of jemalloc and asks who serves what. */
#include "tap.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

enum { COUNT = 200 };

static int (*mallctl)(const char *, void *, size_t *, void *, size_t);
static int (*owns)(const void *);
static int (*verify)(void);

static void symbol(void *function, const char *name)
{
    void *address = dlsym(RTLD_DEFAULT, name);
    if (!address) {
        tap_bail_out("%s is not loaded", name);
    }
    memcpy(function, &address, sizeof address);
}

/* Bytes that jemalloc handed to this thread so far. */
static uint64_t jemalloc_served(void)
{
    uint64_t bytes = 0;
    size_t room = sizeof bytes;
    if (mallctl("thread.allocated", &bytes, &room, NULL, 0) != 0) {
        tap_bail_out("jemalloc keeps no statistics");
    }
    return bytes;
}

static void small_blocks_are_ours(void)
{
    void *p[COUNT * 10];
    uint64_t before = jemalloc_served();
    for (int i = 0; i < COUNT * 10; i++) {
        p[i] = malloc((size_t)i % 513);
        CHECK(owns(p[i]), "a block of %d", i % 513);
    }
    CHECK_EQ(jemalloc_served(), before, "jemalloc served");
    for (int i = 0; i < COUNT * 10; i++) {
        free(p[i]);
    }
}

/* Whatever the entry point. */
static void large_blocks_are_jemallocs(void)
{
    for (size_t n = 20000; n < 3000000; n *= 3) {
        void *p[COUNT];
        uint64_t before = jemalloc_served();
        for (int i = 0; i < COUNT; i++) {
            p[i] = i % 4 == 0   ? malloc(n)
                   : i % 4 == 1 ? calloc(1, n)
                   : i % 4 == 2 ? aligned_alloc(4096, n)
                                : realloc(malloc(100), n);
            CHECK(!owns(p[i]), "a block of %zu is ours", n);
            CHECK(malloc_usable_size(p[i]) >= n, "a block of %zu", n);
            ((char *)p[i])[n - 1] = 1;
        }
        uint64_t served = jemalloc_served() - before;
        CHECK(served >= COUNT * n, "blocks of %zu: jemalloc served only %ju", n,
              (uintmax_t)served);
        for (int i = 0; i < COUNT; i++) {
            free(p[i]);
        }
    }
}

/* jemalloc's size classes, which no other allocator has, show through. */
static void usable_sizes_are_jemallocs(void)
{
    size_t (*nallocx)(size_t, int);
    symbol(&nallocx, "nallocx");
    for (size_t n = 40000; n < 2000000; n = n * 5 / 3) {
        void *p = malloc(n);
        CHECK_EQ(malloc_usable_size(p), nallocx(n, 0), "a block of %zu", n);
        free(p);
    }
}

static void blocks_change_sides(void)
{
    for (int round = 0; round < 50; round++) {
        unsigned char *p = malloc(40);
        memset(p, 7, 40);
        for (size_t n = 100; n < 2000000; n *= 4) {
            p = realloc(p, n);
            CHECK(p[0] == 7 && p[39] == 7, "grown to %zu", n);
        }
        for (size_t n = 2000000; n > 40; n /= 4) {
            p = realloc(p, n);
            CHECK(p[0] == 7 && p[39] == 7, "shrunk to %zu", n);
        }
        free(p);
    }
}

static void *mixed_work(void *arg)
{
    size_t x = (size_t)arg + 1;
    void *held[100] = {NULL};
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t k = (x >> 33) % 100, n = (x >> 40) % ((x >> 30) % 8 ? 600 : 50000);
        free(held[k]);
        held[k] = malloc(n);
        memset(held[k], (int)k, n);
    }
    for (int k = 0; k < 100; k++) {
        free(held[k]);
    }
    return NULL;
}

static void threads_and_children_work(void)
{
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++) {
        pthread_create(&thread[i], NULL, mixed_work, (void *)i);
    }
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            mixed_work((void *)7);
            _exit(verify() != 0);
        }
        int status = -1;
        waitpid(pid, &status, 0);
        CHECK_EQ(status, 0, "child %d", i);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
    CHECK_EQ(verify(), 0, "the heap is sound");
}

static const struct tap_case cases[] = {
    {"small blocks are libpymalloc's", small_blocks_are_ours},
    {"large blocks are jemalloc's", large_blocks_are_jemallocs},
    {"usable sizes are jemalloc's", usable_sizes_are_jemallocs},
    {"blocks change sides", blocks_change_sides},
    {"threads and children work", threads_and_children_work},
};

int main(int argc, char **argv)
{
    symbol(&mallctl, "mallctl");
    symbol(&owns, "pymalloc_owns");
    symbol(&verify, "pymalloc_verify");
    return TAP_RUN(cases, argc, argv);
}
