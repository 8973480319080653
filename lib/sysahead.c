#include "sysahead.h"

#include "os.h"
#include "sysalloc.h"

#include <errno.h>

/* From so many bytes on; and from so many with memory, of which the step is little
 * then. */
#define AHEAD_LEAST ((size_t)1 << 20)
#define POPULATED_LEAST ((size_t)8 << 20)

static void populate(void *block)
{
    size_t page = pym_os_page_size();
    uintptr_t start = pym_round_up((uintptr_t)block, page);
    uintptr_t end = ((uintptr_t)block + PYM_SYSAHEAD_BYTES) & ~(page - 1);
    if (start < end) {
        (void)pym_os_populate((void *)start, end - start);
    }
}

void pym_sysahead_grown(size_t bytes)
{
    if (bytes < AHEAD_LEAST) {
        return;
    }
    int saved = errno;
    void *block = pym_sysalloc.malloc(PYM_SYSAHEAD_BYTES);
    if (block != NULL) {
        if (bytes >= POPULATED_LEAST) {
            populate(block);
        }
        pym_sysalloc.free(block);
    }
    errno = saved;
}
