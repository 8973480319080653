#include "slab.h"

#include "os.h"

void *pym_slab_cut(struct pym_slab *slab, size_t size, size_t mapping)
{
    if (slab->left < size) {
        slab->at = pym_os_map(mapping);
        slab->left = slab->at != NULL ? mapping : 0;
        if (slab->at == NULL) {
            return NULL;
        }
    }
    void *cut = slab->at;
    slab->at += size;
    slab->left -= size;
    return cut;
}
