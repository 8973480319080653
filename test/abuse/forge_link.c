/* The first word of a freed block overwritten, where free lists have their links, to
 * make malloc hand out memory of the attacker's choice. */
#include "abuse.h"

static char variable[1 << 18] __attribute__((aligned(64)));

static void misuse(size_t size)
{
    char *block = get(size);
    char *aim = hide(variable) + 64;
    forbid(variable, sizeof(variable));
    drop(get(size));
    drop(about(block));
    memcpy(hide(block), &aim, sizeof(aim));
    (void)hide(block);
}
