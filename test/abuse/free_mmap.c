/* free of memory from mmap. */
#include "abuse.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

static void misuse(size_t size)
{
    char *pages = (char *)mmap(NULL, 2 * PAGE + size, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    forbid(pages, 2 * PAGE + size);
    drop(about(hide(pages + PAGE)));
}
