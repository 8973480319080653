/* A block freed by its old address after realloc has freed it. */
#include "abuse.h"

static void misuse(size_t size)
{
    char *block = about(get(size));
    char *pin = get(size); /* so that it cannot grow where it is */
    char *moved = hide(realloc(hide(block), 4 * size));
    drop(block);
    if (moved == block) {
        drop(moved);
    }
    drop(pin);
}
