/* A read of new blocks from calloc: all of them is zero, whoever had the memory. */
#include "secret.h"

enum { BLOCKS = 100 };

static void misuse(size_t size)
{
    static char *block[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = get_secret(size);
    }
    for (int i = 0; i < BLOCKS; i++) {
        drop(block[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = hide(calloc(1, size));
        for (size_t at = 0; at < size; at++) {
            word = block[i][at] != 0 ? "harmed" : word;
        }
    }
}
