/* A library that life_deepbind loads so that its malloc is the C library's. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *module_malloc(size_t n);
void *module_malloc(size_t n)
{
    return malloc(n);
}

void *module_memalign(size_t alignment, size_t n);
void *module_memalign(size_t alignment, size_t n)
{
    return memalign(alignment, n);
}

char *module_strdup(const char *text);
char *module_strdup(const char *text)
{
    return strdup(text);
}

/* Works with its own blocks, as most of such a library does. */
int module_work(int rounds);
int module_work(int rounds)
{
    void *block[64] = {NULL};
    for (int i = 0; i < rounds; i++) {
        int k = i * 7 % 64;
        free(block[k]);
        block[k] = calloc(1, (size_t)i % 3000);
        if (!block[k]) {
            return 0;
        }
    }
    for (int k = 0; k < 64; k++) {
        free(block[k]);
    }
    return 1;
}
