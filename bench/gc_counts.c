#include "gc_backend.h"
#include "gc_work.h"

#include <gnu/libc-version.h>

const char *const backend = "counts";
struct backend_events backend_events;

/* Nodes that wait for their end are linked through count, and b is done first: a chain
 * needs no stack. */
void node_free(node *object)
{
    node *waiting = NULL;
    for (;;) {
        node *a = object->a, *b = object->b;
        free(object);
        object = NULL;
        if (b != NULL && --b->count == 0) {
            object = b;
        }
        if (a != NULL && --a->count == 0) {
            if (object == NULL) {
                object = a;
            } else { /* a's own slots are still to be done */
                a->count = (long)waiting;
                waiting = a;
            }
        }
        if (object == NULL) {
            if (waiting == NULL) {
                return;
            }
            object = waiting;
            waiting = (node *)object->count;
        }
    }
}

void backend_start(void)
{
}

const char *backend_version(void)
{
    return gnu_get_libc_version();
}

void backend_collect(void)
{
}

void backend_automatic(int on)
{
    (void)on;
}

int backend_set_pause_target(uint64_t ns)
{
    (void)ns;
    return -1;
}

void *backend_table(size_t bytes)
{
    return bench_map(bytes);
}

void *backend_data(size_t bytes)
{
    return bench_must(calloc(1, bytes));
}

void *backend_object(size_t payload)
{
    return bench_must(calloc(1, payload + sizeof(long)));
}

wide *wide_new(size_t n)
{
    wide *object = bench_must(calloc(1, sizeof *object + n * sizeof object->items[0]));
    object->head.count = 1;
    return object;
}

int backend_watch(void)
{
    return 0;
}

size_t backend_nodes(void)
{
    return 0;
}

void backend_report(void)
{
}
