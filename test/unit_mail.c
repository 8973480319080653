/* heaps.h: what comes into an orphan's inbox while another thread is looking into
 * that orphan is found by whoever looks next. */
#include "alloc.h"
#include "heaps.h"
#include "support.h"

#include <pthread.h>

enum { BLOCKS = 2, SIZE = 200 };

static void *left[BLOCKS];

/* What arrives when an orphan has just been drained; NULL: nothing. */
static void *late;

void __real_pym_heap_drain(struct pym_heap *heap);
void __real_pym_heap_purge(struct pym_heap *heap);
void __wrap_pym_heap_drain(struct pym_heap *heap);
void __wrap_pym_heap_purge(struct pym_heap *heap);

static void push_late(const struct pym_heap *drained)
{
    if (late != NULL && pym_region_pool_of(late)->owner == drained) {
        void *block = late;
        late = NULL;
        pym_remote_send(pym_region_pool_of(block), block);
    }
}

void __wrap_pym_heap_drain(struct pym_heap *heap)
{
    __real_pym_heap_drain(heap);
    push_late(heap);
}

void __wrap_pym_heap_purge(struct pym_heap *heap)
{
    __real_pym_heap_purge(heap);
    push_late(heap);
}

static void *leave_blocks(void *heap)
{
    for (int i = 0; i < BLOCKS; i++) {
        left[i] = pym_alloc_malloc(SIZE);
    }
    *(struct pym_heap **)heap = pym_thread.heap;
    return NULL;
}

/* A heap that nobody has, with blocks in use. */
static struct pym_heap *make_orphan(void)
{
    struct pym_heap *orphan = NULL;
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave_blocks, &orphan) != 0) {
        tap_bail_out("pthread_create failed");
    }
    pthread_join(thread, NULL);
    CHECK_EQ(orphan->state, PYM_HEAP_ORPHAN, "the heap of a thread that has ended");
    return orphan;
}

static void send(void *block)
{
    pym_remote_send(pym_region_pool_of(block), block);
}

static void mail_that_comes_during_a_drain_is_found(void)
{
    struct pym_heap *orphan = make_orphan();
    send(left[0]);
    late = left[1];
    pym_heaps_drain_orphans();
    CHECK(late == NULL, "the orphan was drained, and the other block sent");
    CHECK(!pym_inbox_empty(&orphan->inbox), "it waits");
    pym_heaps_drain_orphans();
    CHECK(pym_inbox_empty(&orphan->inbox), "the next drain found it");
}

static void mail_that_comes_during_a_purge_is_found(void)
{
    struct pym_heap *orphan = make_orphan();
    pym_heaps_drain_orphans(); /* nothing is announced now */
    late = left[1];
    pym_heaps_purge();
    CHECK(late == NULL, "the orphan was purged, and the other block sent");
    pym_heaps_drain_orphans();
    CHECK(pym_inbox_empty(&orphan->inbox), "the next drain found it");
}

static void mail_that_comes_while_a_heap_is_handed_on_is_found(void)
{
    (void)make_orphan();
    pym_heaps_drain_orphans();
    late = left[1];
    struct pym_heap *orphan = make_orphan(); /* the same, adopted */
    CHECK(late == NULL, "the heap was drained when it was handed on");
    pym_heaps_drain_orphans();
    CHECK(pym_inbox_empty(&orphan->inbox), "the next drain found it");
}

static const struct tap_case cases[] = {
    {"mail that comes during a drain is found",
     mail_that_comes_during_a_drain_is_found},
    {"mail that comes during a purge is found",
     mail_that_comes_during_a_purge_is_found},
    {"mail that comes while a heap is handed on is found",
     mail_that_comes_while_a_heap_is_handed_on_is_found},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
