/* A block of a thread that has ended, freed twice. */
#include "abuse.h"

static void *make(void *arg)
{
    char **block = (char **)arg;
    *block = get(*(size_t *)(void *)*block);
    return NULL;
}

static void misuse(size_t size)
{
    char *block = (char *)&size;
    elsewhere(make, &block);
    about(block);
    drop(block);
    drop(block);
}
