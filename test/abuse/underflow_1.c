/* A write of the byte in front of a block: where another ends, or the allocator's notes
 * are. */
#include "abuse.h"

enum { BLOCKS_MOST = 200, LARGE = 1 << 16, LARGE_BLOCKS = 8 };

static char *block[BLOCKS_MOST];

/* The block behind which the next one is nearest: with so many, there is no gap. */
static int second_of_nearest(int blocks)
{
    int found = 0;
    size_t least = SIZE_MAX;
    for (int i = 0; i < blocks * blocks; i++) {
        size_t distance = (size_t)(block[i / blocks] - block[i % blocks]);
        if (distance - 1 < least - 1) {
            least = distance;
            found = i / blocks;
        }
    }
    return found;
}

static void misuse(size_t size)
{
    int blocks = size > LARGE ? LARGE_BLOCKS : BLOCKS_MOST;
    for (int i = 0; i < blocks; i++) {
        block[i] = get(size);
    }
    int victim = second_of_nearest(blocks);
    char *front = hide(block[victim] - 1);
    *front = (char)(*front ^ 3);
    drop(block[victim]);
    for (int i = 0; i < blocks; i++) {
        if (i != victim) {
            drop(block[i]);
        }
    }
}
