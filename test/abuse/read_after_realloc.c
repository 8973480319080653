/* A read of what realloc has left: of the block that it moved, and, after the free, of
 * the bytes that it took from one. */
#include "secret.h"

static void look_for_secret(const char *block, size_t size)
{
    if (has_secret(block, size)) {
        word = "old data";
    }
}

static void misuse(size_t size)
{
    word = "junk";
    char *large = get_secret(size | 8);
    char *small = get_secret(size | 8);
    char *pin = get(size); /* so that they cannot grow where they are */
    char *grown = hide(realloc(hide(large), 4 * size));
    if (grown != large) {
        look_for_secret(large, size);
    }
    drop(realloc(hide(small), size / 2));
    look_for_secret(hide(small), size | 8);
    drop(grown);
    drop(pin);
}
