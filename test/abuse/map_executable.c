/* No misuse: nothing that can be written to can be executed. */
#include "abuse.h"

#include <fcntl.h>

static void misuse(size_t size)
{
    static char maps[1 << 18];
    (void)size;
    int file = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    for (ssize_t n = 1; file >= 0 && n > 0; length += (size_t)n) {
        n = read(file, maps + length, sizeof(maps) - 1 - length);
        n = n > 0 ? n : 0;
    }
    word = length == 0 ? "no maps" : strstr(maps, " rwx") != NULL ? "harmed" : word;
}
