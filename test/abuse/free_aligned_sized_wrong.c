/* free_aligned_sized with a larger size than was asked for. */
#include "sized.h"

static void misuse(size_t size)
{
    if (free_aligned_sized == NULL) {
        word = "no function";
        return;
    }
    free_aligned_sized(about(hide(aligned_alloc(64, size))), 64, size + 64);
}
