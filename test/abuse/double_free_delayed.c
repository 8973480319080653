/* A block freed twice, with frees of other blocks in between. */
#include "abuse.h"

enum { OTHERS = 20 };

static void misuse(size_t size)
{
    char *other[OTHERS];
    for (int i = 0; i < OTHERS; i++) {
        other[i] = get(size);
    }
    char *block = about(get(size));
    drop(block);
    for (int i = 0; i < OTHERS; i++) {
        drop(other[i]);
    }
    drop(block);
}
