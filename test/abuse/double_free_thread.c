/* A block freed by its thread, and again by another. */
#include "abuse.h"

static void *second(void *block)
{
    drop(block);
    return NULL;
}

static void misuse(size_t size)
{
    char *block = about(get(size));
    drop(block);
    elsewhere(second, block);
}
