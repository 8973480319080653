/* What several threads do at once that Python alone cannot let them do: thousands of
 * requests in the raw domain, without the GIL and without coming back in between. */
#include <stddef.h>

void hammer(void *(*allocate)(size_t), void *(*resize)(void *, size_t),
            void (*release)(void *), int rounds)
{
    for (int i = 0; i < rounds; i++) {
        void *block = allocate((size_t)(i % 200 + 1));
        void *larger = resize(block, 450);
        release(larger != NULL ? larger : block);
    }
}
