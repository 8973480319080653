/* The first word overwritten of a freed block that has left every quarantine. */
#include "abuse.h"

enum { OTHERS = 100 };

static char variable[1 << 18] __attribute__((aligned(64)));

static void misuse(size_t size)
{
    static char *other[OTHERS];
    char *aim = hide(variable) + 64;
    for (int i = 0; i < OTHERS; i++) {
        other[i] = get(size);
    }
    forbid(variable, sizeof(variable));
    char *block = about(get(size));
    drop(block);
    for (int i = 0; i < OTHERS; i++) {
        drop(other[i]);
    }
    memcpy(hide(block), &aim, sizeof(aim));
    (void)hide(block);
}
