/* A block freed by its old owner when it has a new one, who then frees it as well. */
#include "abuse.h"

enum { TRIES = 200 };

static void misuse(size_t size)
{
    static char *other[TRIES];
    char *block = about(get(size));
    drop(block);
    int tries = 0;
    for (; tries < TRIES; tries++) { /* the rest keep what they have */
        other[tries] = get(size);
        if (other[tries] == block) {
            break;
        }
        if (tries % 2 == 0) {
            drop(other[tries]);
        }
    }
    drop(block);
    if (tries < TRIES) {
        drop(other[tries]);
    }
}
