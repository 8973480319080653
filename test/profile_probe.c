/* Not a test: profile.sh looks at the profiles that this program leaves.  Each place
 * that allocates is a function of its own, whose address it prints; its argument says
 * what it does. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

enum { ROUNDS = 20000, HELD = 300 };

static void *held[HELD];

#define PLACE(name, call)                                                              \
    __attribute__((noinline)) static void *name(size_t size)                           \
    {                                                                                  \
        void *block = opaque(call);                                                    \
        __asm__ volatile("" : : "r"(block) : "memory");                                \
        return block;                                                                  \
    }

PLACE(place_small, malloc(size))
PLACE(place_other, malloc(size))
PLACE(place_zeroed, calloc(1, size))
PLACE(place_large, malloc(size))
PLACE(place_aligned, aligned_alloc(256, size))
PLACE(place_held, malloc(size))
PLACE(place_peak, malloc(size))
PLACE(place_thread, malloc(size))
PLACE(place_child, malloc(size))

__attribute__((noinline)) static void *place_grown(void *block, size_t size)
{
    block = opaque(realloc(block, size));
    __asm__ volatile("" : : "r"(block) : "memory");
    return block;
}

static void print_places(void)
{
#define PRINT(name) fprintf(stderr, "%s %p\n", #name, (void *)name)
    PRINT(place_small);
    PRINT(place_other);
    PRINT(place_zeroed);
    PRINT(place_large);
    PRINT(place_aligned);
    PRINT(place_held);
    PRINT(place_peak);
    PRINT(place_thread);
    PRINT(place_child);
    PRINT(place_grown);
}

static void must(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "wrong: %s\n", what);
        _exit(1);
    }
}

static int is_zero(const unsigned char *block, size_t size)
{
    size_t i = 0;
    while (i < size && block[i] == 0) {
        i++;
    }
    return i == size;
}

/* In turns, so that nothing but chance divides the samples. */
static void turns(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        void *a = place_small(48), *b = place_other(48);
        unsigned char *c = place_zeroed(100), *d = place_large(2000);
        must(is_zero(c, 100), "calloc's block is zero");
        memset(c, 0xff, 100);
        memset(d, 0xff, malloc_usable_size(d));
        free(a);
        free(d);
        free(b);
        free(c);
    }
}

static void hold(void)
{
    for (int i = 0; i < HELD; i++) {
        held[i] = place_held(1000);
    }
    for (int i = 0; i < HELD; i += 3) {
        free(held[i]);
    }
}

static void aligned(void)
{
    for (int i = 0; i < 1000; i++) {
        size_t size = 256 * (1 + (size_t)i % 9);
        char *block = place_aligned(size);
        must((uintptr_t)block % 256 == 0, "a multiple of 256");
        must(malloc_usable_size(block) >= size, "room");
        memset(block, 1, size);
        free(block);
    }
}

/* Contents move along, and what is behind a block is not touched. */
static void grow(void)
{
    unsigned char *block = NULL;
    size_t old = 0;
    for (size_t size = 10; size < 3000000; size += size / 2) {
        block = place_grown(block, size);
        for (size_t i = 0; i < old; i++) {
            must(block[i] == (unsigned char)(i * 7), "contents are kept");
        }
        for (size_t i = old; i < size; i++) {
            block[i] = (unsigned char)(i * 7);
        }
        old = size;
    }
    block = place_grown(block, 100);
    must(block[99] == (unsigned char)(99 * 7), "contents are kept when it shrinks");
    free(block);
    must(realloc(place_grown(NULL, 5000), (size_t)PTRDIFF_MAX / 2) == NULL, "no room");
}

static void peak(void)
{
    void *some[100];
    for (int i = 0; i < 100; i++) {
        some[i] = place_peak(10000);
    }
    for (int i = 0; i < 100; i++) {
        free(some[i]);
    }
    for (int i = 0; i < 50; i++) {
        some[i] = place_other(10000);
    }
}

static void *in_thread(void *arg)
{
    for (int i = 0; i < 100; i++) {
        held[i] = place_thread(200);
    }
    return arg;
}

static void threads(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    for (int i = 0; i < 60; i++) {
        free(held[i]);
    }
}

static int in_forked(void *arg)
{
    (void)arg;
    for (int i = 0; i < 40; i++) {
        held[i] = place_child(300);
    }
    exit(0);
}

static void forks(void)
{
    hold();
    must(in_child(in_forked, NULL, 60) == 0, "the child");
}

static void dump(void)
{
    hold();
    must(pymalloc_profile_write(1) == 0, "a profile");
    must(pymalloc_profile_write(-1) == EIO, "a deaf descriptor");
}

/* Tables of code as a compiler at run time makes them: the unwinder sorts them at the
 * first walk after that, in memory that it allocates with a lock held. */
static void jit(void)
{
    static char code[16];
    static struct {
        uint32_t cie_length, cie_id;
        uint8_t version, augmentation, code_factor, data_factor, return_column, nop[3];
        uint32_t fde_length, cie_distance;
        void *begin;
        uint64_t size;
        uint32_t end;
    } tables = {.cie_length = 12,
                .version = 1,
                .code_factor = 1,
                .data_factor = 0x78, /* -8 */
                .return_column = 16,
                .fde_length = 20,
                .cie_distance = 20,
                .begin = code,
                .size = sizeof code};
    void *unwinder = dlopen("libgcc_s.so.1", RTLD_NOW);
    void (*add)(void *) = NULL;
    if (unwinder != NULL) {
        *(void **)&add = dlsym(unwinder, "__register_frame");
    }
    alarm(30);
    if (add != NULL) {
        add(&tables);
    }
    hold();
}

static void sleep_long(void)
{
    char c;
    hold();
    printf("%d\n", (int)getpid());
    fflush(stdout);
    while (read(0, &c, 1) > 0) {
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*act)(void);
    } acts[] = {
        {"turns", turns}, {"hold", hold},        {"aligned", aligned}, {"grow", grow},
        {"peak", peak},   {"threads", threads},  {"forks", forks},     {"dump", dump},
        {"jit", jit},     {"sleep", sleep_long},
    };
    print_places();
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        if (argc > 1 && strcmp(argv[1], acts[i].name) == 0) {
            acts[i].act();
            return 0;
        }
    }
    return 2;
}
