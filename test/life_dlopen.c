/* A program on the C library's malloc that loads libpymalloc for itself. */
#include "tap.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { BLOCKS = 2000, THREADS = 4 };

static struct {
    void *handle;
    void *(*malloc)(size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*owns)(const void *);
    int (*verify)(void);
} py;

/* A function's address through an object pointer, as dlsym wants it. */
static void symbol(void *function, const char *name)
{
    void *address = dlsym(py.handle, name);
    if (!address) {
        tap_bail_out("dlsym: %s", dlerror());
    }
    memcpy(function, &address, sizeof address);
}

static void load(int mode)
{
    py.handle = dlopen(LIBPYMALLOC_SO, mode);
    if (!py.handle) {
        tap_bail_out("dlopen: %s", dlerror());
    }
    symbol(&py.malloc, "malloc");
    symbol(&py.realloc, "realloc");
    symbol(&py.free, "free");
    symbol(&py.owns, "pymalloc_owns");
    symbol(&py.verify, "pymalloc_verify");
}

static void use(size_t seed)
{
    void *ours[BLOCKS], *libcs[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = (i * 37 + seed) % (i % 10 ? 600 : 30000);
        ours[i] = py.malloc(n);
        libcs[i] = malloc(n);
        memset(ours[i], (int)i, n);
        memset(libcs[i], (int)i, n);
        CHECK_EQ(py.owns(ours[i]) != 0, n <= 512, "its block of %zu", n);
        CHECK(!py.owns(libcs[i]), "the program's block of %zu", n);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t n = (i * 37 + seed) % (i % 10 ? 600 : 30000);
        if (i % 4 == 0) {
            ours[i] = py.realloc(ours[i], n + 100);
            libcs[i] = py.realloc(libcs[i], n + 100);
        }
        CHECK(n == 0 || (((char *)ours[i])[n - 1] == (char)i &&
                         ((char *)libcs[i])[n - 1] == (char)i),
              "blocks of %zu", n);
        py.free(ours[i]);
        if (i % 2 || i % 4 == 0) { /* what it reallocated may be its own now */
            py.free(libcs[i]);
        } else {
            free(libcs[i]);
        }
    }
}

static void serves_beside_the_c_library(void)
{
    for (size_t i = 0; i < 20; i++) {
        use(i);
    }
    CHECK_EQ(py.verify(), 0, "the heap is sound");
}

static void *use_in_thread(void *arg)
{
    for (size_t i = 0; i < 5; i++) {
        use((size_t)arg + i);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        pthread_create(&thread[i], NULL, use_in_thread, (void *)(i * 17));
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
}

static void serves_threads(void)
{
    for (int i = 0; i < 10; i++) {
        run_threads();
    }
    CHECK_EQ(py.verify(), 0, "the heap is sound");
}

static void serves_children(void)
{
    for (int i = 0; i < 20; i++) {
        void *inherited = py.malloc(100);
        pid_t pid = fork();
        if (pid == 0) {
            py.free(inherited);
            use((size_t)i);
            _exit(py.verify() != 0);
        }
        int status = -1;
        waitpid(pid, &status, 0);
        CHECK_EQ(status, 0, "child %d", i);
        py.free(inherited);
    }
}

static _Atomic int closed;

static void *outlives_the_handle(void *arg)
{
    void *p = py.malloc(100);
    while (!atomic_load(&closed)) {
        usleep(1000);
    }
    py.free(p);
    use((size_t)arg);
    return NULL;
}

/* There are blocks and threads of it about, so it must not really go. */
static void survives_dlclose(void)
{
    pthread_t thread;
    void *p = py.malloc(50);
    memset(p, 1, 50);
    pthread_create(&thread, NULL, outlives_the_handle, NULL);
    CHECK_EQ(dlclose(py.handle), 0, "dlclose");
    atomic_store(&closed, 1);
    pthread_join(thread, NULL);
    py.free(p);
    use(3);
    load(RTLD_LAZY | RTLD_LOCAL);
    use(4);
    run_threads();
    CHECK_EQ(py.verify(), 0, "the heap is sound");
}

static const struct tap_case cases[] = {
    {"it serves beside the C library's malloc", serves_beside_the_c_library},
    {"it serves threads", serves_threads},
    {"it serves children", serves_children},
    {"it survives dlclose", survives_dlclose},
};

int main(int argc, char **argv)
{
    load(RTLD_NOW | RTLD_LOCAL);
    return TAP_RUN(cases, argc, argv);
}
