/* CPython's objects and collector: see gc_backend.h. */
#ifndef BENCH_GC_CPYTHON_H
#define BENCH_GC_CPYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define BACKEND_COLLECTS 1

struct node {
    PyObject head;
    node *a, *b;
    long value;
};

struct wide {
    PyVarObject head;
    node *items[];
};

extern PyTypeObject backend_type;
extern size_t backend_node_count;

static inline node *node_new(void)
{
    node *object = PyObject_GC_New(node, &backend_type);
    object->a = object->b = NULL;
    object->value = 0;
    backend_node_count++;
    PyObject_GC_Track(object);
    return object;
}

static inline void node_store(void *owner, node **slot, node *value)
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

#endif
