/* The library of life_early.h.  It is not linked with libpymalloc, so the
 * loader runs its constructor first and its destructor last. */
#include "life_early.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 300 };

static struct {
    unsigned char *block;
    size_t size;
    unsigned char content;
} kept[KEPT];

static int is_sound(size_t i)
{
    for (size_t k = 0; k < kept[i].size; k++) {
        if (kept[i].block[k] != kept[i].content) {
            return 0;
        }
    }
    return malloc_usable_size(kept[i].block) >= kept[i].size;
}

static void renew(size_t i, char letter)
{
    size_t size = i % 10 == 0 ? i * 100 : i * 3;
    free(kept[i].block);
    kept[i].block = i % 3 ? malloc(size) : aligned_alloc(64, size);
    kept[i].size = size;
    kept[i].content = (unsigned char)(letter + (char)(i % 64));
    memset(kept[i].block, kept[i].content, size);
}

void life_stage(char letter)
{
    int sound = 1;
    for (size_t i = 0; i < KEPT; i++) {
        if (kept[i].block) {
            sound &= is_sound(i);
        }
        if ((i + (size_t)letter) % 3 || !kept[i].block) {
            renew(i, letter);
        }
    }
    kept[7].block = realloc(kept[7].block, 5000);
    kept[7].block = realloc(kept[7].block, kept[7].size);
    sound &= is_sound(7);
    if (write(1, sound ? &letter : "!", 1) != 1) {
        abort();
    }
}

static int active;

__attribute__((constructor(101))) static void first(void)
{
    active = getenv("PYM_TEST_STAGES") != NULL;
    if (active) {
        life_stage('E');
    }
}

__attribute__((destructor(101))) static void last(void)
{
    if (active) {
        life_stage('F');
    }
}
