#include "profile.h"

#include "check.h"
#include "options.h"
#include "os.h"
#include "probe.h"
#include "profile_text.h"
#include "samples.h"
#include "trace.h"

uint64_t pym_profile_interval;

void pym_profile_init(void)
{
    if (!pym_sysalloc.has_word && !pym_known_init()) {
        pym_check_warn("no heap profile", "there is no memory for it");
        return;
    }
    pym_trace_init();
    pym_profile_text_init();
    pym_profile_interval = PYM_OPTION(profile);
}

static size_t distance_for(size_t alignment)
{
    return pym_round_up(sizeof(struct pym_profile_header), alignment);
}

size_t pym_profile_room(size_t size, size_t alignment)
{
    size_t distance = distance_for(alignment);
    size_t room;
    return distance > UINT32_MAX || __builtin_add_overflow(size, distance, &room) ||
                   room > PTRDIFF_MAX
               ? 0
               : room;
}

void *pym_profile_adopt(void *base, size_t size, size_t alignment,
                        const struct pym_weight *weight)
{
    size_t distance = distance_for(alignment);
    char *block = (char *)base + distance;
    if (!pym_sysalloc.has_word && !pym_known_add(block)) {
        return NULL;
    }
    *pym_profile_header_of(block) = (struct pym_profile_header){
        .sample = weight != NULL ? pym_samples_begin(block, weight) : NULL,
        .magic = PYM_PROFILE_MAGIC,
        .distance = (uint32_t)distance,
        .size = size,
    };
    if (weight != NULL) {
        PYM_PROBE3(otel_memory, alloc, block, size, weight->bytes);
    }
    return block;
}

/* The block ends; its header may lie elsewhere by now. */
static void end(const struct pym_profile_header *header, const void *block)
{
    if (header->sample != NULL) {
        PYM_PROBE1(otel_memory, free, block);
        pym_samples_end(header->sample, block);
    }
    if (!pym_sysalloc.has_word) {
        pym_known_remove(block);
    }
}

void *pym_profile_release(void *block)
{
    struct pym_profile_header *header = pym_profile_header_of(block);
    end(header, block);
    header->magic = 0; /* a second free is the system allocator's to find */
    return pym_profile_base(block);
}

void *pym_profile_readopt(void *base, const void *old_block, size_t size,
                          const struct pym_weight *weight)
{
    end(base, old_block);
    return pym_profile_adopt(base, size, PYM_GRAIN, weight);
}
