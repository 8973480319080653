/* A read of new blocks that nothing was written to: what others left must be gone. */
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
        block[i] = hide(malloc(size));
        if (has_secret(block[i], size)) {
            word = "old data";
        }
    }
}
