/* A string that is one too long, by the NUL at its end. */
#include "overflow.h"

static void misuse(size_t size)
{
    char *text = get(size + 1);
    text[size] = '\0';
    char *block = about(lowest(size));
    strcpy(hide(block), hide(text));
    drop(block);
}
