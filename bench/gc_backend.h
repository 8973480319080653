/*
 * One node type, under the object layers that are compared: included by
 * gc_work.c, which is compiled once for each with GC_BACKEND_... defined.
 *
 *   PYGC     libpymalloc's object layer
 *   COUNTS   malloc and plain reference counts: what counting itself costs; cycles
 *            are never freed
 *   CPYTHON  CPython's objects and its gc module's collector, through its C interface
 *   BOEHM    the Boehm-Demers-Weiser collector: no counts at all
 *
 * node_new gives a reference; node_store takes one of its own; node_drop gives one up.
 * backend_table gives memory for references that are held from outside.
 */
#ifndef BENCH_GC_BACKEND_H
#define BENCH_GC_BACKEND_H

#include <stdlib.h>

typedef struct node node;

#if defined(GC_BACKEND_PYGC)

#include <pymalloc/gc.h>

struct node {
    node *a, *b;
    long value;
};

static pygc_heap *heap;
static pygc_type *type;

static const char *const backend = "pygc";

static void backend_start(void)
{
    static const struct pygc_slot slots[] = {{0, 2, PYGC_STRONG, NULL}};
    static const struct pygc_type_spec spec = {
        .name = "node", .size = sizeof(node), .slots = slots, .slot_count = 1};
    heap = pygc_heap_new(NULL);
    type = pygc_type_new(&spec);
}

static inline node *node_new(void)
{
    return pygc_alloc(heap, type);
}

static inline void node_store(node *owner, node **slot, node *value)
{
    pygc_store(owner, slot, value);
}

static inline void node_drop(node *object)
{
    pygc_decref(object);
}

static inline void node_keep(node *object)
{
    pygc_incref(object);
}

static inline void backend_collect(void)
{
    (void)pygc_collect(heap, 2);
}

static inline void backend_automatic(int on)
{
    (on ? pygc_enable : pygc_disable)(heap);
}

#elif defined(GC_BACKEND_COUNTS)

struct node {
    node *a, *b;
    long value;
    long count;
};

static const char *const backend = "counts";

static void backend_start(void)
{
}

static inline node *node_new(void)
{
    node *object = calloc(1, sizeof *object);
    object->count = 1;
    return object;
}

/* Nodes that wait for their end are linked through a, and b is done first: a chain
 * needs no stack. */
static void node_free(node *object)
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

static inline void node_drop(node *object)
{
    if (--object->count == 0) {
        node_free(object);
    }
}

static inline void node_keep(node *object)
{
    object->count++;
}

static inline void node_store(node *owner, node **slot, node *value)
{
    node *old = *slot;
    (void)owner;
    if (value != NULL) {
        value->count++;
    }
    *slot = value;
    if (old != NULL) {
        node_drop(old);
    }
}

static inline void backend_collect(void)
{
}

static inline void backend_automatic(int on)
{
    (void)on;
}

#elif defined(GC_BACKEND_CPYTHON)

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct node {
    PyObject head;
    node *a, *b;
    long value;
};

static const char *const backend = "cpython";

static int node_traverse(PyObject *self, visitproc visit, void *arg)
{
    node *object = (node *)self;
    Py_VISIT(object->a);
    Py_VISIT(object->b);
    return 0;
}

static int node_clear(PyObject *self)
{
    node *object = (node *)self;
    Py_CLEAR(object->a);
    Py_CLEAR(object->b);
    return 0;
}

static void node_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, node_dealloc) node_clear(self);
    PyObject_GC_Del(self);
    Py_TRASHCAN_END
}

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "node",
    .tp_basicsize = sizeof(node),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_traverse = node_traverse,
    .tp_clear = node_clear,
    .tp_dealloc = node_dealloc,
};

static void backend_start(void)
{
    Py_InitializeEx(0);
    if (PyType_Ready(&type) != 0) {
        abort();
    }
}

static inline node *node_new(void)
{
    node *object = PyObject_GC_New(node, &type);
    object->a = object->b = NULL;
    object->value = 0;
    PyObject_GC_Track(object);
    return object;
}

static inline void node_store(node *owner, node **slot, node *value)
{
    node *old = *slot;
    (void)owner;
    Py_XINCREF(value);
    *slot = value;
    Py_XDECREF(old);
}

static inline void node_drop(node *object)
{
    Py_DECREF(object);
}

static inline void node_keep(node *object)
{
    Py_INCREF(object);
}

static inline void backend_collect(void)
{
    (void)PyGC_Collect();
}

static inline void backend_automatic(int on)
{
    (void)(on ? PyGC_Enable() : PyGC_Disable());
}

#elif defined(GC_BACKEND_BOEHM)

#include <gc.h>

#define backend_table GC_MALLOC_UNCOLLECTABLE

struct node {
    node *a, *b;
    long value;
};

static const char *const backend = "boehm";

static void backend_start(void)
{
    GC_INIT();
}

static inline node *node_new(void)
{
    return GC_MALLOC(sizeof(node));
}

/* Without the barriers the compiler drops stores, and so references, that it sees
 * nobody read. */
static inline void node_store(node *owner, node **slot, node *value)
{
    *slot = value;
    __asm__ volatile("" : : "r"(owner), "r"(slot) : "memory");
}

static inline void node_drop(node *object)
{
    __asm__ volatile("" : : "r"(object) : "memory");
}

static inline void node_keep(node *object)
{
    (void)object;
}

static inline void backend_collect(void)
{
    GC_gcollect();
}

static inline void backend_automatic(int on)
{
    (on ? GC_enable : GC_disable)();
}

#endif

#ifndef backend_table
#define backend_table malloc
#endif

#endif
