/* A library that life_unload loads, uses and unloads again and again.  It
 * allocates when it is loaded, while it is used, when a thread that used it ends,
 * and when it is unloaded; what it hands out outlives it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 200 };

static void *kept[KEPT];
static pthread_key_t key;

static void thread_ends(void *arg)
{
    free(arg);
    free(malloc(300));
}

__attribute__((constructor)) static void is_loaded(void)
{
    pthread_key_create(&key, thread_ends);
    for (size_t i = 0; i < KEPT; i++) {
        kept[i] = malloc(i * 7);
    }
}

__attribute__((destructor)) static void is_unloaded(void)
{
    pthread_key_delete(key);
    for (size_t i = 0; i < KEPT; i++) {
        free(kept[i]);
    }
    free(strdup("the last words of a library"));
}

void *module_block(size_t size);
void *module_block(size_t size)
{
    return malloc(size);
}

void module_use(size_t seed);
void module_use(size_t seed)
{
    for (size_t i = seed % 3; i < KEPT; i += 3) {
        free(kept[i]);
        kept[i] = calloc(1, (i * 31 + seed) % (i % 20 ? 513 : 30000));
    }
}

/* The caller's thread has something of the module until it ends. */
void module_keep(void);
void module_keep(void)
{
    free(pthread_getspecific(key));
    pthread_setspecific(key, malloc(100));
}
