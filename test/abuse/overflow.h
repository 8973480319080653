/* Writes past the end of a block, and the blocks around it. */
#ifndef TEST_OVERFLOW_H
#define TEST_OVERFLOW_H

#include "abuse.h"

enum { AROUND = 8 };

static char *around[AROUND];

/* A block that others of its size lie behind, as far as the allocator puts any there:
 * what runs over it must not reach what is not the allocator's. */
static char *lowest(size_t size)
{
    char *block = NULL;
    for (int i = 0; i < AROUND; i++) {
        around[i] = get(size);
        if (block == NULL || around[i] < block) {
            block = around[i];
        }
    }
    return block;
}

/* Changes bytes by their lowest bits: none stays what it was. */
static void spoil(char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        from[i] = (char)(from[i] ^ 3);
    }
    (void)hide(from);
}

__attribute__((unused)) static void overflow(size_t size, size_t bytes)
{
    char *block = about(lowest(size));
    spoil(block + size, bytes);
    drop(block);
    for (int i = 0; i < AROUND; i++) {
        if (around[i] != block) {
            drop(around[i]);
        }
    }
}

#endif
