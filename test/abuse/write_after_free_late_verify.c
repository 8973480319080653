/* A write to a freed block that has left every quarantine, which pymalloc_verify()
 * finds. */
#include "overflow.h"
#include "verify.h"

enum { OTHERS = 100 };

static void misuse(size_t size)
{
    static char *other[OTHERS];
    for (int i = 0; i < OTHERS; i++) {
        other[i] = get(size);
    }
    char *block = about(get(size));
    drop(block);
    for (int i = 0; i < OTHERS; i++) {
        drop(other[i]);
    }
    spoil(hide(block) + 20, 4);
    word = verify();
    spoil(hide(block) + 20, 4); /* as it was */
}
