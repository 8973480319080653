#include "sizeclass.h"

/* Eight classes of 2^d steps each, from 8 * 2^d steps on. */
#define STEP(d, k) [(8 + (k)) << (d)...((9 + (k)) << (d)) - 1] = (d)*8 + (k)
#define DOUBLING(d)                                                                    \
    STEP(d, 0), STEP(d, 1), STEP(d, 2), STEP(d, 3), STEP(d, 4), STEP(d, 5),            \
        STEP(d, 6), STEP(d, 7)

const uint8_t pym_cached_class_table[(PYM_CACHED_MAX >> PYM_CACHED_STEP_SHIFT) + 1] = {
    DOUBLING(0), DOUBLING(1),
    DOUBLING(2), DOUBLING(3),
    DOUBLING(4), DOUBLING(5),
    DOUBLING(6), [PYM_CACHED_MAX >> PYM_CACHED_STEP_SHIFT] = PYM_CACHED_CLASSES,
};
