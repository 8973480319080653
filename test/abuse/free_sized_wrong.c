/* free_sized with another size than was asked for. */
#include "sized.h"

static void misuse(size_t size)
{
    if (free_sized == NULL) {
        word = "no function";
        return;
    }
    free_sized(about(get(size)), size + 1);
}
