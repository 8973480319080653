/*
 * libpymalloc in CPython's three memory domains, by PyMem_SetAllocator.
 *
 * Whose is a block?  A hook keeps a block of libpymalloc only if pymalloc_owns says
 * that it is a small one of a pool, and leaves every other request to the domain's
 * former allocator.  So this question has an exact answer at any time, without a table
 * of blocks: what pymalloc_owns is ours, everything else is the former allocator's, no
 * matter which that is and when the block was made:
 *
 *   a block from before the hooks      the former allocator's
 *   1 to 512 bytes since               libpymalloc's
 *   more                               the former allocator's; at the end of both ways
 *                                      it would be the C library's
 *   a guarded block, or one that       given back at once, and the former
 *   libpymalloc takes elsewhere        allocator's is used
 *
 * The answer would be wrong only if the former allocator hands out addresses inside of
 * libpymalloc's blocks: so there are no hooks where the process's malloc is
 * libpymalloc's anyway.
 *
 * The hooks stay for good once they are there: as long as one block of libpymalloc's is
 * live, its free must come here, and there is always one.  hooks_stop only makes them
 * leave every request to the former allocator.
 *
 * Hooks may be called by any thread; those of mem and obj by one at a time, except
 * where interpreters have locks of their own.  Their counters may then lose an
 * increment, and nothing else depends on these.
 */
#ifndef PYMALLOC_PYTHON_HOOKS_H
#define PYMALLOC_PYTHON_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

enum hooks_domain { HOOKS_RAW, HOOKS_MEM, HOOKS_OBJ, HOOKS_DOMAINS };

extern const char *const hooks_names[HOOKS_DOMAINS];

/* Of one domain, if it is counted.  Live blocks are allocs - frees. */
struct hooks_counts {
    size_t allocs;    /* blocks that libpymalloc served */
    size_t frees;     /* of them: freed */
    size_t passed_on; /* requests left to the former allocator */
    size_t live_bytes;
    size_t peak_bytes; /* of live_bytes */
};

/* Both take a set of bits, 1 << domain, and need the GIL.  hooks_start returns NULL, or
 * why it did nothing.  Counting costs as much as the rest of a hook.  Whether a domain
 * is counted stays as it was at the first time. */
const char *hooks_start(unsigned domains, bool is_counted);
void hooks_stop(unsigned domains);

bool hooks_are_serving(enum hooks_domain domain);
struct hooks_counts hooks_count(enum hooks_domain domain);

#endif
