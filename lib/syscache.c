#include "syscache.h"

#include "track.h"

bool pym_syscache_usable;

/* Whether a block's size word tells what the system allocator tells. */
static bool probe_size(size_t size)
{
    void *block = pym_sysalloc.malloc(size);
    if (block == NULL) {
        return false;
    }
    size_t usable = pym_sysalloc.usable_size(block);
    size_t word = pym_sysalloc_chunk_word(block);
    bool mapped = (word & PYM_CHUNK_MAPPED) != 0;
    bool agrees = usable >= size && !mapped &&
                  (word & ~(size_t)PYM_CHUNK_FLAGS) - PYM_CHUNK_HEADER == usable;
    pym_sysalloc.free(block);
    return agrees;
}

void pym_syscache_probe(void)
{
    static const size_t sizes[] = {520, 1000, 1024, 5000, 32760};
    if (PYM_OPTION(cache) == 0 || pym_sysalloc.usable_size == NULL || PYM_ASAN ||
        pym_track_valgrind()) {
        return;
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (!probe_size(sizes[i])) {
            return;
        }
    }
    pym_syscache_usable = true;
}

void pym_syscache_shrink(struct pym_syscache *cache, size_t keep)
{
    for (unsigned cls = PYM_CACHED_CLASSES; cls-- > 0 && cache->bytes > keep;) {
        size_t size = pym_cached_class_size(cls);
        while (cache->bin[cls] != NULL && cache->bytes > keep) {
            void *block = cache->bin[cls];
            cache->bin[cls] = *(void **)block;
            cache->bytes -= size;
            cache->shed++;
            pym_sysalloc.free(block);
        }
    }
}

void pym_syscache_recover(struct pym_syscache *cache)
{
    cache->bytes = 0;
    cache->kept = cache->hits + cache->shed;
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        for (void *block = cache->bin[cls]; block != NULL; block = *(void **)block) {
            cache->bytes += pym_cached_class_size(cls);
            cache->kept++;
        }
    }
}
